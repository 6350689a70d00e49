"""The story of a small run, drawn after Lamport: a column a node, time downwards, messages as arrows.

        ms  n1                  n2                  n3
      20.0  !                   |                   |                    partition begins, at !
      20.3  |                   * write 0 212       |                    process 2 calls, #2
      20.4  x-------------------o                   |                    Store, cut at 21.4
      20.4  |                   o------------------->                    Store, arrives at 21.9
      22.9  |                   * ok                |                    process 2 is told, #2

An arrow stands where the message is sent. The number after # is the operation's, as checkers have it. Only messages that belong to a client's request are drawn, and only so many.
Lamport, "Time, clocks, and the ordering of events in a distributed system", 1978.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from checkers.op import MISSING, Op, Type
from harness.plan import Plan
from harness.report.text import one_line
from harness.search.trace import Message, Trace

WIDTH: Final = 20  # columns of a node
ROOM: Final = 60  # that few nodes share, so that their operations can be read
ROWS_MAX: Final = 120


@dataclass(frozen=True, slots=True)
class _Row:
    at_s: float
    order: int
    lanes: str
    remark: str


def draw(plan: Plan, trace: Trace, until_s: float = 0.0) -> str:
    """The drawing of a run from its beginning, or of what came last until a time if that is more than there is room for; says so if rows were left out."""
    head, rows = _rows(plan, trace.run.history, trace.messages)
    at = max(0, sum(row.at_s <= until_s for row in rows) - ROWS_MAX)
    left = len(rows) - at - ROWS_MAX
    before, after = [f"… {at} before"] if at else [], [f"… and {left} more"] if left > 0 else []
    return "\n".join([head, *before, *map(_line, rows[at : at + ROWS_MAX]), *after])


def draw_last(plan: Plan, history: Iterable[Op], messages: Sequence[Message]) -> str:
    """The drawing of what came last in a run that stands still; says so if rows were left out."""
    head, rows = _rows(plan, history, messages)
    left = len(rows) - ROWS_MAX
    return "\n".join([head, *([f"… {left} before"] if left > 0 else []), *map(_line, rows[-ROWS_MAX:])])


def _rows(plan: Plan, history: Iterable[Op], messages: Sequence[Message]) -> tuple[str, list[_Row]]:
    """The head, and a row for each thing that happened."""
    nodes = plan.node_names
    rows = [*_calls(plan, history, nodes), *_messages(messages, nodes)]
    rows.sort(key=lambda row: (row.at_s, row.order))
    head = "      ms  " + "".join(name.ljust(_width(nodes)) for name in nodes)
    return head.rstrip(), rows


def _line(row: _Row) -> str:
    return f"{row.at_s * 1000:8.1f}  {row.lanes}  {row.remark}".rstrip()


def _width(nodes: Sequence[str]) -> int:
    return max(WIDTH, ROOM // len(nodes))


def _lanes(nodes: Sequence[str]) -> list[str]:
    return list("".join("|".ljust(_width(nodes)) for _ in nodes))


def _calls(plan: Plan, history: Iterable[Op], nodes: Sequence[str]) -> Iterator[_Row]:
    """What clients call and are told, at the node they are connected to; and the faults, beside."""
    ops, called, width = list(history), dict[int, int](), _width(nodes)
    yield from _faults([op for op in ops if not isinstance(op.process, int)], nodes)
    for op in ops:
        if not isinstance(op.process, int):
            continue
        if op.type is Type.INVOKE:
            called[op.process] = op.index
        place = op.process % plan.concurrency % len(nodes)
        lanes, words = _lanes(nodes), one_line(f"* {_words(op)}")
        at, room = place * width, (len(nodes) - place) * width - 2
        words = words if len(words) <= room else f"{words[: room - 1]}…"
        lanes[at : at + len(words)] = words
        what = "calls" if op.type is Type.INVOKE else "is told"
        remark = f"process {op.process} {what}, #{called.get(op.process, op.index)}"
        yield _Row(
            op.time_ns / 1e9, 0 if op.type is Type.INVOKE else 3, "".join(lanes)[: width * len(nodes)], remark
        )


def _faults(ops: Sequence[Op], nodes: Sequence[str]) -> Iterator[_Row]:
    """Each in one row, with a mark on the nodes that it strikes, or in two if it takes a while to come or to go."""
    struck: dict[Any, Sequence[str]] = {}
    for place, op in enumerate(ops):
        value = op.value if isinstance(op.value, Mapping) else {}
        if value.get("nodes"):
            struck[value.get("id")] = value["nodes"]
        kind, _, what = op.f.rpartition("-")
        now, after = {"start": ("begins", "has begun"), "stop": ("ends", "has ended")}.get(what, ("", ""))
        first = op.type is Type.INVOKE
        if op.type is Type.OK and place and round(ops[place - 1].time_ns / 1e5) == round(op.time_ns / 1e5):
            continue  # told already
        told = f"{kind} {now if first else after}" if now else f"{op.f}{' begins' if first else ' has ended'}"
        told += f": {op.error}" if op.type is Type.FAIL else ""
        hit = [node for node in nodes if node in struck.get(value.get("id"), ())]
        lanes = "".join(("!" if node in hit else "|").ljust(_width(nodes)) for node in nodes)
        yield _Row(op.time_ns / 1e9, 1, lanes, told + (", at !" if hit else ""))


def _words(op: Op) -> str:
    """An operation, short."""
    value = "" if op.value is MISSING else f" {op.value}"
    return f"{op.f} {op.key}{value}" if op.type is Type.INVOKE else f"{op.type.word}{value}"


def _messages(messages: Sequence[Message], nodes: Sequence[str]) -> Iterator[_Row]:
    """Those that belong to a request, each as an arrow from sender to receiver."""
    for message in messages:
        if message.about is None or message.src == message.dst:
            continue
        src, dst = nodes.index(message.src), nodes.index(message.dst)
        end = {"arrived": "arrives ", "cut": "cut ", "lost": "lost", "sent": "still under way"}[message.fate]
        remark = f"{message.words}, {end}" + (
            "" if message.end_s is None else f"at {message.end_s * 1000:.1f}"
        )
        yield _Row(message.sent_s, 2, _arrow(src, dst, message.fate, nodes), remark)


def _arrow(src: int, dst: int, fate: str, nodes: Sequence[str]) -> str:
    """From lane to lane; one that will not arrive ends in x, one that may yet has no end."""
    lanes, width = _lanes(nodes), _width(nodes)
    left, right = sorted((src, dst))
    for column in range(left * width + 1, right * width):
        lanes[column] = "-"
    lanes[src * width] = "o"
    lanes[dst * width] = {"arrived": ">" if dst > src else "<", "sent": "|"}.get(fate, "x")
    return "".join(lanes)
