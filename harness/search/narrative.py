"""A small run told in sentences, in the order of time: who asks for what and is told what, which faults there are, which messages do not arrive, or late.

    Fault: partition from 20 to 40 ms: n2 hears nothing from n1. #2: at 20.3 ms process 0 asks n1 for `write 212` of key 0, and is told at 21.1 ms that
    it is done. The message "Store register-0 = 212" from n1 to n2, sent at 20.4 ms, is cut off. …

What arrives in time is left to the drawing (`harness.search.lamport`). A run with too much to tell is told without its messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import Any, Final

from checkers.op import MISSING, Op, Type
from harness.nemesis.grudges import CLIENTS
from harness.plan import Plan
from harness.plan_options import DRIFT, POINT, STRENGTHS, STROBE
from harness.plan_script import NS, Stroke
from harness.report.text import cut, one_line
from harness.search.trace import Message, Trace

SENTENCES_MAX: Final = 24
ERROR_MAX: Final = 160
TIME_OUT: Final = "time-out after "
FATES: Final = {
    "cut": "is cut off",
    "lost": "is lost",
    "sent": "is under way to the end",
    "arrived": "arrives only",
}
HEARD: Final = {
    "partition": "nothing",
    "flapping": "nothing, again and again,",
    "loss": "not all",
    "reset": "that connections are reset",
    "rate": "slowly",
    "delay": "late",
    "duplicate": "some twice",
    "reorder": "some out of order",
    "corrupt": "some damaged",
}
"""What nodes hear over the links that a fault is of."""
Sentence = tuple[float, int, str]
"""When, which of several at one time, what."""


def narrative(plan: Plan, trace: Trace) -> str:
    """The paragraph."""
    faults = [(stroke.start_ns / NS, 0, f"Fault: {words(stroke)}.") for stroke in plan.strokes]
    ops = [op for op in trace.run.history if isinstance(op.process, int)]
    calls, end_s = list(_calls(plan, ops)), max((op.time_ns / NS for op in ops), default=0.0)
    sentences = [*faults, *calls, *_late(trace.messages, [at_s for at_s, _, _ in calls], end_s)]
    if len(sentences) > SENTENCES_MAX:
        sentences = [*faults, *calls]
    return " ".join(one_line(said) for _, _, said in sorted(sentences, key=lambda each: each[:2]))


def _calls(plan: Plan, ops: Sequence[Op]) -> Iterator[Sentence]:
    """An operation a sentence, at the time it is called."""
    ends: dict[int, Op] = {}
    called: dict[Any, Op] = {}
    for op in ops:
        if op.type is Type.INVOKE:
            called[op.process] = op
        elif op.process in called:
            ends[called.pop(op.process).index] = op
    for op in ops:
        if op.type is Type.INVOKE and isinstance(op.process, int):
            node = plan.node_names[op.process % plan.concurrency % plan.nodes]
            what = op.f if op.value is MISSING else f"{op.f} {op.value}"
            key = "" if op.key is None else f" of key {op.key}"
            at_s = op.time_ns / NS
            asks = f"#{op.index}: at {at_s * 1000:.1f} ms process {op.process} asks {node} for `{what}`{key}"
            yield at_s, 1, f"{asks}, and {_answer(op, ends.get(op.index))}."


def _answer(op: Op, end: Op | None) -> str:
    at = "" if end is None else f"at {end.time_ns / NS * 1000:.1f} ms"
    if end is None or (end.type is Type.INFO and str(end.error).startswith(TIME_OUT)):
        return "gets no answer in time: it may have an effect, or none"
    if end.type is Type.INFO:
        return f"does not know {at} whether it has an effect{_because(end)}"
    if end.type is Type.FAIL:
        return f"fails {at}, without an effect{_because(end)}"
    told = f"is told {at}"
    if end.value is None:
        return f"{told} that {'there is no value' if op.value is MISSING else 'it is done'}"
    return (
        f"{told} that it is done" if end.value is MISSING or end.value == op.value else f"{told}: {end.value}"
    )


def _because(end: Op) -> str:
    return f" ({cut(str(end.error), ERROR_MAX)})" if end.error else ""


def _late(messages: Sequence[Message], called_s: Sequence[float], end_s: float) -> Iterator[Sentence]:
    """The messages of requests that do not arrive before all has been answered, or only after something else was asked for."""
    for message in messages:
        ends_s = inf if message.end_s is None else message.end_s
        overtaken = any(message.sent_s < at_s < ends_s for at_s in called_s)
        gone = message.fate in ("cut", "lost") and message.sent_s <= end_s
        if message.about is not None and message.src != message.dst and (gone or overtaken):
            link = f"from {message.src} to {message.dst}, sent at {message.sent_s * 1000:.1f} ms"
            fate = FATES[message.fate] + (f" at {ends_s * 1000:.1f} ms" if message.fate == "arrived" else "")
            yield message.sent_s, 2, f'The message "{message.words}" {link}, {fate}.'


def words(stroke: Stroke) -> str:
    """A fault in one line."""
    times = f"from {stroke.start_ns / NS * 1000:.0f} to {stroke.end_ns / NS * 1000:.0f} ms"
    detail: dict[str, Any] = dict(stroke.detail)
    if POINT in detail:
        times += f", once a node comes to the point {detail[POINT]}"
    if "grudge" in detail:
        told = ", ".join(f"{name} {detail[name]:g}" for name in STRENGTHS.get(stroke.kind, ()) if name in detail)  # fmt: skip
        strength = f" ({told})" if told else ""
        cuts = "; ".join(
            f"{dst} {'hear' if dst == CLIENTS else 'hears'} {HEARD[stroke.kind]}{strength} from {', '.join(src)}"
            for dst, src in detail["grudge"].items()
        )
        return f"{stroke.kind} {times}: {cuts}"
    if "offsets_ms" in detail:
        shifts = ", ".join(
            f"{node} is {abs(ms):g} ms {'behind' if ms < 0 else 'ahead'}"
            for node, ms in detail["offsets_ms"].items()
        )
        drift = f", little by little in {detail[DRIFT]:g} s" if DRIFT in detail else ""
        strobe = f", there and back every {detail[STROBE]:g} ms" if STROBE in detail else ""
        return f"{stroke.kind} {times}: {shifts}{drift}{strobe}"
    return f"{stroke.kind} {times}" + (f" of {', '.join(stroke.nodes)}" if stroke.nodes else "")
