"""What a run means for a test in pytest: nothing, a failure that tells the whole story, or that it was skipped; in either world.

plan ─► simulator, or the hosts of this pytest process ─► Made ─► every claim held │ BrokenClaim: core, sentence, commands │ skipped: why it proves nothing

With pytest-xdist each worker is a process, so each has hosts of its own: made when the first of its tests needs some, gone when its session ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from harness.hosted import Place, own, tried_on_hosts
from harness.made import Made
from harness.plan import Plan, dump_plan, load_plan
from harness.plan_changes import changed
from harness.plan_toml import write_value
from harness.results import OK, VIOLATION
from harness.search.finding import targets
from harness.simulate import simulate_run
from harness.ways import Ways
from harness.worlds import WorldError


class BrokenClaim(AssertionError):
    """A run broke a claim; the message is the drawn core, the sentence and the commands that repeat it."""


class Cluster:
    """What the fixture `cluster` is: local hosts of this pytest process, which no other has."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def inventory(self, count: int = 5) -> Path:
        """The inventory of at least so many hosts, which are made if they are not there. Raises WorldError."""
        return own().inventory(self._place.kind, count)

    def run(self, plan: str | Path | Plan, changes: Mapping[str, Any] | None = None) -> Made:
        """Run a plan on them, changed as `--set` does: the test fails if a claim is broken, and is skipped if the run proves nothing."""
        made = changed_plan(plan, changes or {})
        run, folder = run_in(made, self._place)
        verdict_of(run, made, self._place, folder)
        return run


def cluster() -> Cluster:
    """The fixture."""
    _skip_without_rights(place := Place(), 1)
    return Cluster(place)


def run_in(plan: Plan, place: Place | None) -> tuple[Made, str]:
    """The run in the simulator, or on the hosts of a place; what it left there is kept, unless every claim held. Skips the test if there can be no hosts."""
    if place is None:
        return simulate_run(plan), ""
    _skip_without_rights(place, plan.nodes)
    folder = Path(tempfile.mkdtemp(prefix=f"{plan.name}-"))
    run = tried_on_hosts(plan, place, folder)
    if run.results["class"] != OK:
        return run, str(folder / plan.name / "latest")
    rmtree(folder)
    return run, ""


def _skip_without_rights(place: Place, nodes: int) -> None:
    try:
        place.refuse(nodes)
    except WorldError as error:
        pytest.skip(str(error))


def verdict_of(run: Made, plan: Plan, place: Place | None = None, folder: str = "") -> None:
    """Return if every claim held. Raises BrokenClaim, or skips the test with the reason if the run proves nothing."""
    outcome = run.results["class"]
    if outcome == VIOLATION:
        raise BrokenClaim(told(run, plan, place, folder))
    if outcome != OK:
        pytest.skip(f"{outcome}: {run.results['reason']}")


def told(run: Made, plan: Plan, place: Place | None, folder: str) -> str:
    """What went wrong, and how to see it again: the plan is written to a file for that."""
    core = run.results["core"] or {}
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"{plan.name}-{plan.seed}-", suffix=".toml", delete=False
    ) as file:
        file.write(dump_plan(plan))
    broken, ways = ", ".join(map(str, targets(run))), Ways(file.name, plan.nodes, place, folder)
    commands = {"again:": ways.again, "smaller:": ways.smaller, "left:": ways.evidence}
    return "\n".join(
        [
            f"{broken}: {core.get('sentence') or run.results['reason']}",
            core.get("drawing", ""),
            *(f"{what:8} {command}" for what, command in commands.items() if command),
        ]
    )


def changed_plan(plan: str | Path | Plan, changes: Mapping[str, Any]) -> Plan:
    """A plan, or that of a file, changed as `--set` does."""
    made = plan if isinstance(plan, Plan) else load_plan(plan)
    return changed(made, [f"{key}={write_value(value)}" for key, value in changes.items()], "the test")
