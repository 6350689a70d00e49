"""`quorate shrink` and `quorate replay`: what is printed, and what is left in the folder."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import runs
from harness.cli.console import STYLES, emit, out, say, stoppable, waiting
from harness.plan import Plan, PlanError, dump_plan
from harness.plan_options import TIME_MAX_S
from harness.plan_toml import nearest
from harness.search import simpler
from harness.search.finding import Target, targets
from harness.search.lamport import draw
from harness.search.replay import Recorded, promised, recorded, replayed
from harness.search.shrink import Shrunk, Size, shrink
from harness.search.story import story, test_file
from harness.search.trace import traced
from harness.search.twin import Twin, with_changes
from harness.simulate import simulate_run

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
UNKNOWN = 2


def seconds(text: str) -> float:
    """`90s`, `10m`, `1.5h`, `250ms` or a bare number of seconds. Raises PlanError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|)", text.strip())
    if not found:
        raise PlanError(f"{text!r} is no length of time; write 90s, 10m or 1h")
    length_s = float(found[1]) * UNITS[found[2]]
    if length_s > TIME_MAX_S:
        raise PlanError(
            f"{text.strip()[:20]} is longer than anything may take; give {TIME_MAX_S / 3600:,.0f}h at most"
        )
    return length_s


def budgeted(text: str) -> float:
    """A budget: a length of time in which something can be done. Raises PlanError."""
    limit_s = seconds(text)
    if not limit_s:
        raise PlanError(f"a budget of {text} leaves no time for anything; give 90s, 10m or 1h")
    return limit_s


def refuse_claim(claim: str | None, results: Mapping[str, Any]) -> None:
    """Raises PlanError if the run with these results was not judged by the claim that is asked for."""
    if claim is not None and claim not in (judged := results["claims"]):
        raise PlanError(f"--claim {claim}: the plan does not claim it{nearest(claim, tuple(judged))}")


def shrink_run(
    where: Path, claim: str | None, unless: Sequence[str], budget: str, folder: Path | None, *, json: bool
) -> int:
    """Shrink, write, print. Ctrl-C and SIGTERM end it as the budget does: the smallest so far is kept."""
    limit_s, plan = budgeted(budget), recorded(where).plan
    target = _target(plan, claim)
    if target is None:
        which = "breaks no claim" if claim is None else f"does not break the claim {claim!r}"
        return _nothing(
            f"{plan.name} with seed {plan.seed} {which} in the simulator; there is nothing to shrink",
            json=json,
        )
    twin = with_changes(plan, unless) if unless else None
    if twin is not None and not twin.keeps(plan, target):
        return _nothing(
            f"{plan.name} with seed {plan.seed} breaks {target.claim} with {twin.words} as well, or cannot be run so: that is not the cause",
            json=json,
        )
    folder = folder or (where.parent if where.is_file() else runs.find(where)) / "shrunk"
    with runs.alone(folder):
        found = _smallest(plan, target, twin, limit_s, quiet=json)
        trace = traced(found.plan)
        text = story(found, target, trace)
        files = {
            "plan.toml": dump_plan(found.plan),
            "story.md": text,
            f"test_{_word(plan)}.py": test_file(found.plan, target),
        }
        for name, content in files.items():
            runs.write_text(folder / name, content)
    if json:
        size = Size.of(found.plan)
        emit(
            {
                "claim": target.claim, "anomaly": target.anomaly, "nodes": size.nodes, "clients": size.clients,
                "ops": size.ops, "faults": size.faults, "runs": found.runs, "done": found.done, "unless": found.twin and found.twin.words, "folder": str(folder),
                "sentence": trace.run.results["claims"][target.claim]["reason"],
            }
        )  # fmt: skip
    else:
        out().print(text, markup=False, soft_wrap=True)
        say(f"folder: {folder}")
    return 1


def _smallest(plan: Plan, target: Target, twin: Twin | None, limit_s: float, *, quiet: bool) -> Shrunk:
    """What there is when the time is over, or somebody ends it."""
    end_s = time.monotonic() + limit_s
    with stoppable(patient=True) as stopping, waiting(f"shrinking {target}", quiet=quiet) as tick:

        def progress(size: Size, count: int) -> None:
            tick(1 - (end_s - time.monotonic()) / limit_s, f"{size}; {count:,} runs")

        def over() -> bool:
            return stopping.asked or time.monotonic() > end_s

        return shrink(plan, target, unless=twin, out_of_time=over, progress=progress)


def _word(plan: Plan) -> str:
    return re.sub(r"\W+", "_", plan.name).lower()


def _target(plan: Plan, claim: str | None) -> Target | None:
    """The violation that is meant, if the plan shows it."""
    run = simulate_run(plan)
    refuse_claim(claim, run.results)
    return next((target for target in targets(run) if claim in (None, target.claim)), None)


def _nothing(reason: str, *, json: bool) -> int:
    """Say why there is nothing to shrink."""
    emit({"error": reason, "status": UNKNOWN}) if json else say(reason)
    return UNKNOWN


def replay_run(
    where: Path,
    trace: bool,
    until: str | None,
    before: int | None,
    world: str,
    times: int,
    settle: str,
    cluster: str | None,
    folder: Path,
    *,
    json: bool,
) -> int:
    """Replay and print."""
    if world not in ("sim", "hosts"):
        raise PlanError(f"there is no world {world!r}; use --world sim or --world hosts")
    settle_s = seconds(settle)
    if world == "hosts":
        plan = recorded(where).plan if where.is_file() else recorded_plan(where)
        return _on_hosts(slower(plan, settle_s), times, cluster, folder, json=json)
    if times != 1 or cluster is not None:
        raise PlanError(
            "--times and --cluster go with --world hosts; in the simulator every time is the same"
        )
    run = recorded(where)
    if settle_s:
        run = Recorded(slower(run.plan, settle_s), None, {})
    if until is not None or before is not None:
        from harness.cli.paused import show_paused

        until_s = None if until is None else seconds(until)
        return show_paused(run, until_s, before, trace=trace, json=json)
    found = replayed(run)
    verdict, same = found.run.verdict, run.history is not None
    if json:
        broken = [{"claim": target.claim, "anomaly": target.anomaly} for target in targets(found.run)]
        emit(
            {
                "outcome": verdict.value,
                "same": same,
                "from_tape": run.tape is not None,
                "digest": found.digest,
                "messages": len(found.messages),
                "broken": broken,
            }
        )
    else:
        console = out()
        console.print(verdict.value.upper(), style=STYLES[verdict.value], end=" ")
        console.print(
            "the same bytes as recorded" if same else f"seed {run.plan.seed}",
            *(["played from the tape"] if run.tape is not None else []),
            f"trace {found.digest[:16]}",
        )
        for target in targets(found.run):
            console.print(f"  {target}", markup=False)
        if trace:
            console.print(draw(run.plan, found), markup=False, soft_wrap=True)
    return verdict.exit_status


def _on_hosts(plan: Plan, times: int, cluster: str | None, folder: Path, *, json: bool) -> int:
    """Run the plan on hosts and count how often it breaks a claim, and as it does in the simulator."""
    from harness.nemesis.possible import refuse_impossible
    from harness.provision import find_inventory
    from harness.runner import run as run_once

    refuse_impossible(plan, "hosts")
    inventory = find_inventory(cluster)
    outcomes: list[dict[str, Any]] = []
    for number in range(1, times + 1):
        with waiting(f"{plan.name} on hosts, {number} of {times}", quiet=json):
            done = run_once(plan, world="hosts", out=folder, inventory=inventory)
        broken = [name for name, claim in done.results["claims"].items() if claim["verdict"] == "invalid"]
        outcomes.append({"outcome": done.verdict.value, "broken": broken, "folder": str(done.folder)})
    bad = sum(bool(each["broken"]) for each in outcomes)
    if json:
        emit({"times": times, "broke_a_claim": bad, "runs": outcomes})
    else:
        out().print(f"{bad} of {times} runs on hosts broke a claim", markup=False)
    return (
        1
        if bad
        else max(({"valid": 0, "unknown": UNKNOWN}[each["outcome"]] for each in outcomes), default=UNKNOWN)
    )


def slower(plan: Plan, settle_s: float) -> Plan:
    """The plan with time for its faults. Raises PlanError if it has no script."""
    if settle_s and not plan.script:
        raise PlanError(
            "--settle is for scripts, such as `quorate shrink` writes; change [[faults]] of other plans"
        )
    return simpler.settled(plan, settle_s) if settle_s else plan


def recorded_plan(where: Path) -> Plan:
    """The plan of a run folder, of whichever world."""
    return promised(runs.find(where) / "plan.toml")
