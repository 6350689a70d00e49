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
from shlex import quote

from harness import runs
from harness.plan import Plan, PlanError, dump_plan, load_plan
from harness.plan_claims import beside, promising
from harness.plan_text import decoded, no_json, unread
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
        return Recorded(promised(where), None, {})
    folder = runs.find(where)
    try:
        environment = json.loads(decoded((folder / "environment.json").read_bytes()))
        history = (folder / "history.jsonl").read_bytes()
    except OSError as error:
        raise ReplayError(
            f"{folder} is not a whole run: {Path(error.filename).name}: {unread(error)}{_instead(folder)}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ReplayError(f"{folder} is not a whole run: environment.json: {no_json(error)}") from None
    if not isinstance(environment, dict) or not isinstance(environment.get("versions", {}), dict):
        raise ReplayError(f"{folder} is not a whole run: environment.json is no table of a run, with the versions that made it")  # fmt: skip
    if environment.get("world") != "sim":
        raise ReplayError(
            f"{folder} was run in the world {environment.get('world')!r}, which does not repeat itself; "
            f"give its plan.toml with --world hosts and --times"
        )
    path, tape = folder / "plan.toml", folder / TAPE
    drawn = read_tape(tape, dump_plan(load_plan(path))) if tape.exists() else None
    return Recorded(promised(path), history, environment.get("versions", {}), environment.get("trace"), drawn)


def promised(path: Path) -> Plan:
    """The plan, which claims what a `claims.toml` beside it promises too: its run was judged by that."""
    return promising(load_plan(path), beside(path))


def _instead(folder: Path) -> str:
    """Of a folder with a plan and no run, as `quorate shrink` leaves it: what may be meant."""
    plan = folder / "plan.toml"
    return f". What its plan does is shown by: quorate replay {quote(str(plan))}" if plan.exists() else ""


def replayed(run: Recorded) -> Trace:
    """Run it again in the simulator, from its tape if there is one. Raises ReplayError or TapeError if what happens is not what was recorded."""
    trace = _traced(run)
    if run.history is not None and trace.run.lines != run.history:
        raise ReplayError(_difference(run, trace.run.lines))
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


def refuse_another(run: Recorded, lines: bytes) -> None:
    """Raises ReplayError if a run with these records is not the one that was recorded, as far as that goes: it may have been stopped."""
    if run.history is not None and not lines.startswith(run.history):
        raise ReplayError(_difference(run, lines))


def _difference(run: Recorded, lines: bytes) -> str:
    """The first record that differs, and the version that was used then and now, if it is another."""
    assert run.history is not None
    pairs = zip_longest(
        run.history.splitlines(keepends=True), lines.splitlines(keepends=True), fillvalue=b"nothing"
    )
    place, old, new = next((number, old, new) for number, (old, new) in enumerate(pairs, 1) if old != new)
    was, now = (line[:160].decode(errors="replace").rstrip("\n") for line in (old, new))
    if was == now:
        return (
            f"the run does not repeat itself: record {place} goes on, or ends, in another way; {_reason(run)}"
        )
    return f"the run does not repeat itself: record {place} was {was} and is {now}; {_reason(run)}"


def _reason(run: Recorded) -> str:
    then, now = run.versions.get("quorate"), runs.environment()["versions"]["quorate"]
    if then != now:
        return f"it was recorded by quorate {then}, this is {now}"
    return "the plan or the history was changed since, or the code"
