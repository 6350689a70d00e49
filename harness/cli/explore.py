"""`quorate explore`: how far it is, and what was found."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness.cli.console import BROKEN, Stopping, emit, out, readable, say, stoppable, waiting
from harness.cli.search import UNKNOWN, budgeted
from harness.cli.workers import workers
from harness.plan import PlanError, load_plan
from harness.plan_changes import changed
from harness.plan_claims import beside, promising
from harness.runner import Story
from harness.runs import alone
from harness.search.explore import Exploration, Record


def explore_plan(
    path: Path, runs: int, budget: str, jobs: int, ray: str | None, strategy: str, stop: bool, changes: Sequence[str], folder: Path, *, json: bool
) -> int:  # fmt: skip
    """Explore, and print what came of it. Ctrl-C and SIGTERM end it, whenever they come: what was done is kept, and of the rest nothing is known."""
    if runs < 1:
        raise PlanError("--runs is 1 or more")
    limit_s = budgeted(budget)
    with stoppable(patient=True) as stopping:
        summary, past_s = explored(path, runs, limit_s, jobs, ray, strategy, stop, changes, folder, stopping, quiet=json)  # fmt: skip
        emit({**summary, "folder": str(folder)}) if json else show(summary, past_s, folder)
    return status_of(summary, stopped=stopping.asked and summary["runs"] < runs)


def explored(
    path: Path, runs: int, limit_s: float, jobs: int, ray: str | None, strategy: str, stop: bool, changes: Sequence[str], folder: Path,
    stopping: Stopping, *, quiet: bool,
) -> tuple[dict[str, Any], float]:  # fmt: skip
    """What is known when it ends, and how long that took."""
    plan = promising(changed(load_plan(readable(path)), changes, str(path)), beside(path))
    Story(plan, "sim")  # refuses once what every run would
    with ExitStack() as held:
        held.enter_context(alone(folder))
        pool = held.enter_context(workers(jobs, ray, [plan]))
        exploration = Exploration(plan, strategy, folder)
        tick = held.enter_context(waiting(f"exploring {path.name}, {strategy}", quiet=quiet))
        already, begin_s, found = len(exploration.records), time.monotonic(), list[Record]()

        def over() -> bool:
            return time.monotonic() - begin_s > limit_s or (stop and bool(found))

        def tell(record: Record) -> None:
            if record.broken or record.outcome == "crash":
                found.append(record)
            made, past_s = len(exploration.records) - already, time.monotonic() - begin_s
            share = max(len(exploration.records) / runs, past_s / limit_s)
            tick(share, f"{made:,} runs, {made / past_s:.1f}/s, {len(found)} findings")

        try:
            with stopping.at_once():
                exploration.go(runs, pool, over, tell)
        except KeyboardInterrupt:
            say(f"stopped; the same command goes on after run {len(exploration.records)}")
    return exploration.summary(), time.monotonic() - begin_s


def status_of(summary: dict[str, Any], *, stopped: bool = False) -> int:
    """A violation, else a crash, else what could not be judged or was not run, else all is well."""
    outcomes = summary["outcomes"]
    if outcomes.get("invalid"):
        return 1
    if outcomes.get("crash"):
        return BROKEN
    return UNKNOWN if stopped or outcomes.get("unknown") or not outcomes else 0


def show(summary: dict[str, Any], past_s: float, folder: Path) -> None:
    """For a person."""
    from rich.table import Table

    console = out()
    outcomes = ", ".join(f"{count:,} {name}" for name, count in sorted(summary["outcomes"].items()))
    console.print(
        f"{summary['runs']:,} runs ({outcomes}), {summary['ops']:,} operations, {summary['virtual_s']:,.0f} virtual seconds; "
        f"{summary['cpu_s']:,.0f} s of processor, {past_s:,.0f} s now", soft_wrap=True,
    )  # fmt: skip
    if summary.get("orders"):
        console.print(f"{summary['orders']:,} orders of messages at a node seen, each counted once")
    if summary.get("supports"):
        console.print(f"{summary['supports']:,} supports of answers written down, to aim faults at")
    if summary["findings"]:
        table = Table("finding", "runs", "first", "make it small")
        for each in summary["findings"]:
            table.add_row(
                each["what"][:80],
                f"{each['count']:,}",
                f"run {each['first']}",
                f"quorate shrink {each['plan']}",
            )
        console.print(table)
    say(f"folder: {folder}")
