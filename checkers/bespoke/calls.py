"""What the bespoke checkers look at: calls with their ends, in order of call, and values that can stand in sets.

    call a  |------|  a.ret                a is before b exactly if a.ret < b.call; at one instant they are concurrent
    call b             |- - - - -          info, or never completed: b.ret is infinite

A Jepsen history is judged after the fact, so nothing here is incremental.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from checkers.history import History
from checkers.jsonl import decode_value, encode_value
from checkers.op import MISSING, Type

# Records for `convergence` alone: they change nothing and every other checker passes them over.
OBSERVERS: Final = frozenset(("digest", "snapshot"))


class Unfit(ValueError):
    """The operations do not have the shape that the checker needs: one sentence."""


@dataclass(frozen=True, slots=True)
class Call:
    """One operation of a client: its call and what became of it. `ret` is infinite unless `ok`."""

    index: int
    process: int
    f: str
    key: Any
    value: Any
    type: Type
    result: Any
    call: int
    ret: float

    @property
    def ok(self) -> bool:
        """Did it surely take effect?"""
        return self.type is Type.OK

    @property
    def possible(self) -> bool:
        """May it have taken effect?"""
        return self.type is not Type.FAIL

    def before(self, other: Call) -> bool:
        """Had it surely returned before the other was called?"""
        return self.ret < other.call


def calls_of(history: History) -> list[Call]:
    """Every call of a client, in order of call."""
    found = []
    for op in history:
        if op.type is not Type.INVOKE or not isinstance(op.process, int):
            continue
        end = history.completion(op.index)
        kind = Type.INFO if end is None else end.type
        result, ret = (MISSING, math.inf) if end is None or kind is not Type.OK else (end.value, end.time_ns)
        found.append(Call(op.index, op.process, op.f, op.key, op.value, kind, result, op.time_ns, ret))
    return found


def token(value: Any) -> Hashable:
    """A stand-in for the value in sets and maps. Values of different types stay different: 0, False and "0" are three."""
    return value if type(value) is int or type(value) is str else (type(value).__name__, encode_value(value))


def plain(stand_in: Hashable) -> Any:
    """The value that a token stands for."""
    return decode_value(stand_in[1]) if isinstance(stand_in, tuple) else stand_in


def argument(call: Call) -> Hashable:
    """The token of what the call was given. Raises Unfit."""
    if call.value is MISSING:
        raise Unfit(f"{call.f} #{call.index} has no value; give it the element")
    return token(call.value)


def items(call: Call) -> list[Any]:
    """The list that an ok call returned. Raises Unfit."""
    if not isinstance(call.result, list):
        raise Unfit(f"{call.f} #{call.index} returned {shown(call.result)}; a list expected")
    return call.result


def integer(value: Any, call: Call) -> int:
    """The value as a number. Raises Unfit."""
    if type(value) is not int:
        raise Unfit(f"{call.f} #{call.index} has {shown(value)}; an integer expected")
    return value


def shown(value: Any) -> str:
    """The value in a sentence, cut if it is long."""
    text = "no value" if value is MISSING else repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def order(tokens: Iterable[Hashable]) -> list[Hashable]:
    """Tokens in an order of their own: numbers, then the rest by their text."""
    return sorted(tokens, key=lambda one: (0, one, "") if type(one) is int else (1, 0, str(one)))


def intervals(tokens: Iterable[Hashable]) -> str:
    """Jepsen's short form of a set: `#{0..2 5}`."""
    words: list[str] = []
    first = last = None
    for one in [*order(tokens), None]:
        if type(one) is int and last is not None and one == last + 1:
            last = one
            continue
        if first is not None:
            words.append(str(first) if first == last else f"{first}..{last}")
            first = last = None
        if type(one) is int:
            first = last = one
        elif one is not None:
            words.append(repr(plain(one)))
    return "#{" + " ".join(words) + "}"


def named(calls: Sequence[Call], *functions: str) -> list[Call]:
    """The calls of these functions."""
    return [call for call in calls if call.f in functions]
