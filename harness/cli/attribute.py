"""`quorate attribute`: which faults a violation needs, as a table and in one sentence; of a run folder, in its report too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import runs
from harness.cli.console import emit, out, say, waiting
from harness.plan import PlanError
from harness.report import write_report
from harness.search.ablation import Variant, attribute, sentence, variants
from harness.search.finding import targets
from harness.search.replay import recorded
from harness.simulate import simulate_run

UNKNOWN = 2
COLOURS = {"needed": "bold red", "helps": "yellow", "no matter": "dim", "undecided": "magenta", "": ""}


def attribute_run(where: Path, claim: str | None, seeds: int, jobs: int, *, json: bool) -> int:
    """Run the variants and print; the exit status is 1, as of any violation, or 2 if there is none."""
    if seeds < 1 or jobs < 0:
        raise PlanError("--seeds is 1 or more, --jobs 0 (one for each core) or more")
    plan = recorded(where).plan
    target = next((each for each in targets(simulate_run(plan)) if claim in (None, each.claim)), None)
    if target is None:
        what = "no claim" if claim is None else f"the claim {claim!r} not"
        reason = (
            f"{plan.name} with seed {plan.seed} breaks {what} in the simulator; there is nothing to explain"
        )
        emit({"error": reason}) if json else say(reason)
        return UNKNOWN
    found, count = list[Variant](), sum(1 for _ in variants(plan))
    with waiting(f"{target}: {count} variants, {seeds} runs each", quiet=json) as tick:
        for variant in attribute(plan, target, seeds, jobs or os.cpu_count() or 1):
            found.append(variant)
            tick(len(found) / count, f"{variant.without}: {variant.hits} of {variant.runs}")
    told = sentence(found, target)
    whole = {"claim": target.claim, "anomaly": target.anomaly, "sentence": told, "variants": [asdict(each) for each in found]}  # fmt: skip
    report = kept(where, whole)
    if json:
        emit(whole)
        return 1
    show(found)
    out().print(f"{told}.", markup=False, soft_wrap=True)
    if report is not None:
        out().print(f"It is in the report now: {report}", markup=False, soft_wrap=True)
    return 1


def kept(where: Path, found: Mapping[str, Any]) -> Path | None:
    """Put what was found into the folder of the run and into its report, and return the report; a plan has neither."""
    if where.is_file():
        return None
    folder = runs.find(where)
    runs.write_json(folder / "attribution.json", found)
    return write_report(folder)


def show(found: list[Variant]) -> None:
    """The table."""
    from rich.table import Table
    from rich.text import Text

    table = Table("the plan", "runs that show it", "chance", "")
    for each in found:
        name = each.without if not each.verdict else f"without {each.without}"
        table.add_row(
            name,
            f"{each.hits} of {each.runs}",
            f"{each.chance:.1g}" if each.verdict else "",
            Text(each.verdict, style=COLOURS[each.verdict]),
        )
    out().print(table)
