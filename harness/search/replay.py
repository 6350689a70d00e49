"""Replay: the same run again. In the simulator it must be the same byte for byte; on hosts it is counted how often it fails.

run folder ──► plan.toml, history.jsonl ──► simulate ──► the same bytes, the same trace?
                                               └─ no: ReplayError names the first record that differs, and both versions
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from harness import runs
from harness.plan import Plan, PlanError, dump_plan, load_plan
from harness.search.trace import Trace, traced
from harness.worlds.sim.tape import Draw, PlayedStreams
from harness.worlds.sim.tape_file import NAME as TAPE
from harness.worlds.sim.tape_file import read_tape


class ReplayError(PlanError):
    """A run that does not repeat itself, or cannot be repeated; the message says where, and what may be the reason."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is to be replayed. `history` is None if only a plan was given, `tape` if the run has none."""

    plan: Plan
    history: bytes | None
    versions: dict[str, str]
    trace: str | None = None
    tape: Mapping[str, Sequence[Draw]] | None = None


def recorded(where: Path) -> Recorded:
    """From a run folder or a plan file. Raises PlanError."""
    if where.is_file():
        return Recorded(load_plan(where), None, {})
    folder = runs.find(where)
    try:
        environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
        history = (folder / "history.jsonl").read_bytes()
    except (OSError, ValueError) as error:
        raise ReplayError(f"{folder} is not a whole run: {error}") from None
    if environment.get("world") != "sim":
        raise ReplayError(
            f"{folder} was run in the world {environment.get('world')!r}, which does not repeat itself; "
            f"give its plan.toml with --world hosts and --times"
        )
    plan, tape = load_plan(folder / "plan.toml"), folder / TAPE
    drawn = read_tape(tape, dump_plan(plan)) if tape.exists() else None
    return Recorded(plan, history, environment.get("versions", {}), environment.get("trace"), drawn)


def replayed(run: Recorded) -> Trace:
    """Run it again in the simulator, from its tape if there is one. Raises ReplayError or TapeError if what happens is not what was recorded."""
    trace = _traced(run)
    if run.history is not None and trace.run.lines != run.history:
        raise ReplayError(_difference(run, trace))
    if run.trace not in (None, trace.run.results["trace"]):
        raise ReplayError(
            f"the history is the same, and not what happened beneath it: the trace was {run.trace} and is "
            f"{trace.run.results['trace']}; {_reason(run)}"
        )
    return trace


def _traced(run: Recorded) -> Trace:
    if run.tape is None:
        return traced(run.plan)
    played = PlayedStreams(run.tape)
    try:
        trace = traced(run.plan, played)
    except Exception:
        if played.problem is not None:
            raise played.problem from None
        raise
    played.finish()
    return trace


def _difference(run: Recorded, trace: Trace) -> str:
    """The first record that differs, and the version that was used then and now, if it is another."""
    assert run.history is not None
    pairs = zip_longest(run.history.splitlines(), trace.run.lines.splitlines(), fillvalue=b"nothing")
    place, old, new = next((number, old, new) for number, (old, new) in enumerate(pairs, 1) if old != new)
    return f"the run does not repeat itself: record {place} was {old.decode()[:160]} and is {new.decode()[:160]}; {_reason(run)}"


def _reason(run: Recorded) -> str:
    then, now = run.versions.get("quorate"), runs.environment()["versions"]["quorate"]
    if then != now:
        return f"it was recorded by quorate {then}, this is {now}"
    return "the plan or the history was changed since, or the code"
