"""`quorate replay --until`, `--before`: what is printed of a run that stands still."""

from __future__ import annotations

from typing import Any, Final

from checkers import History
from checkers.jsonl import encode_op
from harness.cli.console import emit, out
from harness.plan import PlanError
from harness.search.lamport import draw_last
from harness.search.paused import Paused, stopped_at, stopped_before
from harness.search.replay import Recorded, refuse_another
from harness.search.trace import Message

WORDS_MAX: Final = 160  # of an attribute of a node
MESSAGES_MAX: Final = 40


def show_paused(run: Recorded, until_s: float | None, before: int | None, *, trace: bool, json: bool) -> int:
    """Stop, print, go on to the end."""
    if until_s is not None and before is not None:
        raise PlanError("--until and --before both say where to stop; leave one of them out")
    if before is not None:
        standing = stopped_before(run.plan, before, run.tape)
    else:
        assert until_s is not None
        standing = stopped_at(run.plan, until_s, run.tape)
    with standing:
        refuse_another(run, standing.whole)
        if json:
            emit(_document(standing, until_s, before))
        else:
            _print(standing, until_s, before, trace=trace)
    return 0


def _document(standing: Paused, until_s: float | None, before: int | None) -> dict[str, Any]:
    upcoming = standing.upcoming
    return {
        "until_s": until_s,
        "before": before,
        "ended_s": standing.ended_s,
        "failure": None if standing.failure is None else str(standing.failure),
        "records": standing.records,
        "upcoming": None if upcoming is None else encode_op(upcoming).decode().strip(),
        "nodes": standing.states(),
        "under_way": [_words(message) for message in standing.under_way],
    }


def _print(standing: Paused, until_s: float | None, before: int | None, *, trace: bool) -> None:
    console = out()

    def put(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    if trace:
        put(draw_last(standing.plan, History.parse(standing.history), standing.messages) + "\n")
    where = f"at {until_s:g} s" if until_s is not None else f"before record {before}"
    put(f"{where}, after {standing.records:,} records{_next(standing)}")
    for name, state in standing.states().items():
        pid = f", pid {state['pid']}" if state["pid"] is not None else ""
        held = f", {state['held']} events held" if state["held"] else ""
        put(f"{name}  {state['state']}{pid}, clock {state['clock_offset_ms']:+g} ms{held}")
        for attribute, value in state["node"].items():
            put(f"    {attribute}: {value if len(value) <= WORDS_MAX else value[:WORDS_MAX] + ' …'}")
        for line in state["log"]:
            put(f"    log {line.strip()}")
    messages = standing.under_way
    put(f"under way: {len(messages) or 'nothing'}")
    for message in messages[-MESSAGES_MAX:]:
        put(f"    {_words(message)}")


def _next(standing: Paused) -> str:
    upcoming, ended_s = standing.upcoming, standing.ended_s
    if standing.failure is not None:
        return f"; it broke off: {standing.failure}"
    if ended_s is not None:
        return f"; the run was over at {ended_s:.3f} s"
    return "" if upcoming is None else f"; next is {encode_op(upcoming).decode().strip()}"


def _words(message: Message) -> str:
    return f"{message.src}->{message.dst}, sent at {message.sent_s:.6f} s: {message.words}"
