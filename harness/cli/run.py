"""`quorate run`: a plan, its changes from the command line, a run, and what came of it."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from harness.cli.console import STYLES, emit, out, readable, say, waiting
from harness.nemesis.possible import refuse_impossible
from harness.plan import Plan, PlanError, load_plan
from harness.plan_changes import changed
from harness.plan_claims import beside
from harness.plan_faults import refuse_idle

WORLDS = ("sim", "hosts")


def run_plan(
    path: Path, world: str, seed: int | None, time_limit: float | None, inventory: Path | None, cluster: str | None,
    changes: Sequence[str], folder: Path, *, fail_fast: bool, tape: bool, json: bool,
) -> int:  # fmt: skip
    """Run it; the exit status is the verdict's."""
    if world not in WORLDS:
        raise PlanError(f"there is no world {world!r}; use --world sim or --world hosts")
    plan, documented = load_plan(readable(path)), beside(path)
    if seed is not None:
        changes = [*changes, f"seed={seed}"]
    if time_limit is not None:
        changes = [*changes, f"time_limit_s={time_limit}"]
    plan = changed(plan, changes, str(path))
    refuse_idle(plan, str(path))
    refuse_impossible(plan, world)
    hosts = inventory_of(world, inventory, cluster, plan)
    from harness.runner import run

    for polite in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(polite, end_politely)
    with waiting(f"{plan.name} in the world {world}, seed {plan.seed}", quiet=json) as tick:

        def progress(seconds: float, ops: int, active: Sequence[str]) -> None:
            under = f", under {', '.join(active)}" if active else ""
            tick(
                seconds / plan.time_limit_s,
                f"{seconds:.1f} s of {plan.time_limit_s:g} s, {ops:,} operations{under}",
            )

        outcome = run(plan, world=world, out=folder, progress=progress, inventory=hosts, fail_fast=fail_fast, documented=documented, tape=tape)  # fmt: skip
    if json:
        emit(
            {**outcome.results, "folder": str(outcome.folder), "report": str(outcome.folder / "report.html")}
        )
    else:
        show(outcome.results, outcome.folder)
    status: int = outcome.verdict.exit_status
    return status


def end_politely(_: int, frame: FrameType | None) -> None:
    """SIGTERM, and SIGHUP of a terminal that is closed, give what Ctrl-C gives: the hosts are left clean, and what was recorded is judged.

    A script that starts us with `&` has SIGINT ignored, and asyncio leaves it so; SIGTERM ends us there too.
    """
    handler = signal.getsignal(signal.SIGINT)
    (handler if callable(handler) else signal.default_int_handler)(signal.SIGINT, frame)


def inventory_of(world: str, inventory: Path | None, cluster: str | None, plan: Plan) -> Path | None:
    """The file that says which hosts; None in the simulator."""
    if world != "hosts":
        if inventory is not None or cluster is not None:
            raise PlanError("--inventory and --cluster go with --world hosts; add it, or leave them out")
        return None
    if inventory is None and cluster is None and "inventory" in plan.hosts:
        inventory = Path(str(plan.hosts["inventory"]))
    if inventory is not None:
        return readable(inventory, "inventory.toml")
    from harness.provision import find_inventory

    return find_inventory(cluster)


def show(results: Mapping[str, Any], folder: Path) -> None:
    """The outcome for a person."""
    from rich.text import Text

    from harness.report.endings import alarms
    from harness.report.folder import read_folder

    console = out()
    outcome = str(results["outcome"])
    console.print(
        Text(outcome.upper(), style=STYLES[outcome]),
        Text(f" {results['name']}, seed {results['seed']}"),
        sep="",
    )
    for name, result in results.get("claims", {}).items():
        line = (
            Text(f"  {name}: ")
            .append(result["verdict"], style=STYLES[result["verdict"]])
            .append(f" — {result['reason']}")
        )
        console.print(line, soft_wrap=True)
    for alarm in alarms(read_folder(folder)):
        console.print(Text(f"  {alarm}", style="bold red"), soft_wrap=True)
    for kind, counts in results.get("faults", {}).get("by_kind", {}).items():
        if counts["bit"] < counts["count"]:
            console.print(f"  {counts['bit']} of {counts['count']} faults of kind {kind} bit")
    if results.get("ended_early"):
        console.print(Text(f"  ended early: {results['ended_early']}"), soft_wrap=True)
    if outcome == "unknown":
        console.print(Text(f"  {results.get('reason')}"), soft_wrap=True)
    if results.get("core"):
        console.print(Text(str(results["core"]["drawing"])), soft_wrap=True)
    say(f"folder: {folder}\nreport: {folder / 'report.html'}\nrepeat: {results.get('command')}")
