"""What the pytest plugin makes of campaigns and plans: items that run in the simulator or on hosts, and a decorator. Imported when there is something to run.

A pytest session of somebody who has quorate installed and tests something else must neither wait for this nor fail with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from harness.campaign.file import Campaign, Item, load_campaign
from harness.campaign.findings import acceptance, finding_id
from harness.campaign.judged import BrokenClaim, changed_plan, run_in, verdict_of
from harness.campaign.night import broken_by, configuration_of
from harness.plan import Plan, PlanError
from harness.simulate import simulate_run


def consistent(
    plan: str | Path | Plan, runs: int, changes: Mapping[str, Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What `harness.pytest_plugin.consistency_test` promises."""
    if runs < 1:
        raise ValueError(f"runs = {runs} shows nothing; choose 1 or more")
    made = changed_plan(plan, changes)

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @pytest.mark.parametrize("seed", range(made.seed, made.seed + runs), ids=lambda seed: f"seed {seed}")
        @wraps(test, assigned=("__module__", "__name__", "__qualname__", "__doc__"))
        def tried(seed: int) -> None:
            tonight = replace(made, seed=seed)
            run = simulate_run(tonight)
            verdict_of(run, tonight)
            test(run)

        del tried.__wrapped__  # pytest would take the signature of `test`
        marked: Callable[..., None] = tried
        return marked

    return decorate


class CampaignFile(pytest.File):
    """A campaign; its tests are the runs of night 0, so that they are the same every time."""

    def collect(self) -> Iterator[pytest.Item]:
        """One test for each run of each item."""
        try:
            campaign = load_campaign(self.path)
        except PlanError as error:
            raise self.CollectError(str(error)) from None
        for item in campaign.items:
            for run in range(item.runs):
                plan = item.plan_of(0, run)
                made = RunItem.from_parent(self, name=f"{item.name}[seed {plan.seed}]", campaign=campaign, item=item, plan=plan)  # fmt: skip
                made.add_marker(item.world)
                yield made


class RunItem(pytest.Item):
    """One run."""

    def __init__(self, *, campaign: Campaign, item: Item, plan: Plan, **more: Any) -> None:
        super().__init__(**more)
        self.campaign, self.item, self.plan = campaign, item, plan

    def runtest(self) -> None:
        """Make it and judge it."""
        run, folder = run_in(self.plan, self.item.place)
        configuration = configuration_of(self.plan, self.item.world)
        ids = [
            finding_id(claim, anomaly, configuration, pattern) for claim, anomaly, pattern in broken_by(run)
        ]
        known = [each for name in ids if (each := acceptance(name, self.campaign.accepted, _today()))]
        if ids and len(known) == len(ids):
            first = known[0]
            pytest.xfail(f"accepted by {first.owner} until {first.until}: {first.note}")
        verdict_of(run, self.plan, self.item.place, folder)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The drawing and the sentence, without our own stack."""
        return (
            str(excinfo.value)
            if isinstance(excinfo.value, BrokenClaim)
            else super().repr_failure(excinfo, style)
        )

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it is."""
        return self.path, None, self.name


def _today() -> str:
    from harness.cli.campaign import today

    return today()
