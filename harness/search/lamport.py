"""The story of a small run, drawn after Lamport: a column a node, time downwards, messages as arrows.

        ms  n1                  n2                  n3
      20.3  |                   * write 0 212       |                    process 2 calls
      20.4  <-----Store---------o                   |                    cut at 21.4
      20.4  |                   o-------Store------->                    arrives at 21.9
      22.9  |                   * ok                |

Only messages that belong to a client's request are drawn, and only so many.
Lamport, "Time, clocks, and the ordering of events in a distributed system", 1978.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from checkers.op import MISSING, Op, Type
from harness.plan import Plan
from harness.search.trace import Message, Trace

WIDTH: Final = 20  # columns of a node
ROWS_MAX: Final = 120


@dataclass(frozen=True, slots=True)
class _Row:
    at_s: float
    order: int
    lanes: str
    remark: str


def draw(plan: Plan, trace: Trace) -> str:
    """The drawing of a run from its beginning; says so if rows were left out."""
    head, rows = _rows(plan, trace.run.history, trace.messages)
    left = len(rows) - ROWS_MAX
    return "\n".join([head, *rows[:ROWS_MAX], *([f"… and {left} more"] if left > 0 else [])])


def draw_last(plan: Plan, history: Iterable[Op], messages: Sequence[Message]) -> str:
    """The drawing of what came last in a run that stands still; says so if rows were left out."""
    head, rows = _rows(plan, history, messages)
    left = len(rows) - ROWS_MAX
    return "\n".join([head, *([f"… {left} before"] if left > 0 else []), *rows[-ROWS_MAX:]])


def _rows(plan: Plan, history: Iterable[Op], messages: Sequence[Message]) -> tuple[str, list[str]]:
    """The head, and a line for each thing that happened."""
    nodes = plan.node_names
    rows = [*_calls(plan, history, nodes), *_messages(messages, nodes)]
    rows.sort(key=lambda row: (row.at_s, row.order))
    head = "      ms  " + "".join(name.ljust(WIDTH) for name in nodes)
    return head.rstrip(), [f"{row.at_s * 1000:8.1f}  {row.lanes}  {row.remark}".rstrip() for row in rows]


def _lanes(nodes: Sequence[str]) -> list[str]:
    return list("".join("|".ljust(WIDTH) for _ in nodes))


def _calls(plan: Plan, history: Iterable[Op], nodes: Sequence[str]) -> Iterator[_Row]:
    """What clients call and are told, at the node they are connected to; and the faults, beside."""
    for op in history:
        if not isinstance(op.process, int):
            yield _Row(op.time_ns / 1e9, 1, "".join(_lanes(nodes)), f"nemesis: {op.f} {op.type.word}")
            continue
        place = op.process % plan.concurrency % len(nodes)
        lanes, words = _lanes(nodes), f"* {_words(op)}"
        at = place * WIDTH
        lanes[at : at + len(words)] = words
        remark = f"process {op.process}" + (" calls" if op.type is Type.INVOKE else "")
        yield _Row(
            op.time_ns / 1e9, 0 if op.type is Type.INVOKE else 3, "".join(lanes)[: WIDTH * len(nodes)], remark
        )


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
        end = {"arrived": "", "cut": "cut ", "lost": "lost", "sent": "never arrives"}[message.fate]
        remark = f"{message.words}, {end}" + (
            "" if message.end_s is None else f"at {message.end_s * 1000:.1f}"
        )
        yield _Row(message.sent_s, 2, _arrow(src, dst, message.fate == "arrived", nodes), remark)


def _arrow(src: int, dst: int, arrives: bool, nodes: Sequence[str]) -> str:
    """From lane to lane; one that does not arrive ends in x."""
    lanes = _lanes(nodes)
    left, right = sorted((src, dst))
    for column in range(left * WIDTH + 1, right * WIDTH):
        lanes[column] = "-"
    lanes[src * WIDTH] = "o"
    lanes[dst * WIDTH] = "x" if not arrives else ">" if dst > src else "<"
    return "".join(lanes)
