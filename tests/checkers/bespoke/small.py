"""Small random histories of two to four processes: calls that end ok, fail or info, or not at all; a process is another one after info.

A time is a small number, so equal instants are common.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from checkers import MISSING, History, Op, Type

Act = Callable[[st.DrawFn], tuple[str, Any, Any]]
KINDS = ("ok", "ok", "ok", "ok", "info", "open", "fail")


@dataclass(frozen=True)
class Did:
    """A call: `ret` is infinite if nobody knows that it ended well; `may`: may it have taken effect?"""

    number: int
    process: int
    f: str
    value: Any
    result: Any
    kind: str
    call: int
    end: int

    @property
    def ok(self) -> bool:
        return self.kind == "ok"

    @property
    def may(self) -> bool:
        return self.kind != "fail"

    @property
    def ret(self) -> float:
        return self.end if self.ok else math.inf

    def before(self, other: Did) -> bool:
        return self.ret < other.call


@st.composite
def small(draw: st.DrawFn, act: Act, most: int = 8) -> list[Did]:
    """`act` draws a function, its argument and its result. Reads that are not ok show nothing, so most reads are."""
    threads = [[process, draw(st.integers(0, 4))] for process in range(draw(st.integers(2, 4)))]
    found = []
    for number in range(draw(st.integers(1, most))):
        thread = draw(st.sampled_from(threads))
        f, value, result = act(draw)
        kind = draw(st.sampled_from(KINDS))
        call = thread[1] + draw(st.integers(0, 4))
        end = call + draw(st.integers(0, 6))
        found.append(Did(number, thread[0], f, value, result, kind, call, end))
        thread[1] = end
        if kind in ("info", "open"):
            thread[0] += 10
    return found


def seen_at(draw: st.DrawFn, read: Did, updates: Sequence[Did]) -> list[Did]:
    """Updates that a store may have made by an instant of the read: all that were over, and some of the others."""
    instant = draw(st.integers(read.call, read.end))
    sure = [one for one in updates if one.ret < instant]
    maybe = [one for one in updates if one.may and one.call <= instant <= one.ret]
    return [*sure, *(one for one in maybe if draw(st.booleans()))]


def history_of(calls: Sequence[Did], key: Any = None) -> History:
    """As a recorder would write it: at one instant a process ends what it does before it begins anew."""
    events = []
    for one in calls:
        call = Op(-1, one.call, one.process, Type.INVOKE, one.f, key, one.value)
        events.append((one.call, 2 * one.number, call))
        if one.kind != "open":
            kind = {"ok": Type.OK, "info": Type.INFO, "fail": Type.FAIL}[one.kind]
            given = one.result if one.ok else one.value
            events.append(
                (one.end, 2 * one.number + 1, Op(-1, one.end, one.process, kind, one.f, key, given))
            )
    return History.from_ops(op for *_, op in sorted(events, key=lambda event: event[:2]))


def in_order(calls: Sequence[Did]) -> list[Did]:
    """In the order in which they stand in the history."""
    return sorted(calls, key=lambda one: (one.call, one.number))


def oks(calls: Sequence[Did], *functions: str) -> list[Did]:
    """The calls of these functions that ended ok, in order of call."""
    return [one for one in in_order(calls) if one.ok and one.f in functions]


def exactly(one: Any, other: Any) -> bool:
    """Equal and of one type: 1, 1.0 and True are three."""
    return type(one) is type(other) and one == other


def subsets(some: Sequence[Any]) -> Iterator[list[Any]]:
    """All of them."""
    for bits in range(1 << len(some)):
        yield [one for place, one in enumerate(some) if bits >> place & 1]


def one_of(*values: Any) -> st.SearchStrategy[Any]:
    """One of these; Hypothesis would take 1 and True for one, so by place."""
    return st.integers(0, len(values) - 1).map(lambda at: values[at])


NONE = MISSING
