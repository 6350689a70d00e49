"""Registers that begin with a value of their own, for checks that know none but null.

    begins with 7:     write 1    read -> 7       read -> null
    judged as:         write 1    read -> null    read -> "nothing"

These checks look at nothing but which values are the same, so one may stand for another all along.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from msgspec.structs import replace as replaced

from checkers.history import History
from checkers.jsonl import encode_value
from checkers.op import MISSING, Op
from checkers.verdict import Result

NOTHING: Final = "nothing"
REGISTER: Final = ("read", "write", "cas")
_NULL: Final = re.compile(r"\b(None|null)\b")


def beginning_with(history: History, first: Any) -> History:
    """The history with null for the first value, and another value for null. Records keep their indices."""
    if first is None or first is MISSING:
        return history
    return History.from_ops(_exchanged(history, encode_value(first), _unused(history)))


def _unused(history: History) -> str:
    """A text that is no value of the history."""
    used = {encode_value(history.value(at)) for at in range(history.columns.sizes()[3])}
    name = NOTHING
    while encode_value(name) in used:
        name += "…"
    return name


def _exchanged(history: History, first: str, nothing: str) -> Iterator[Op]:
    def other(value: Any) -> Any:
        if value is None:
            return nothing
        return None if value is not MISSING and encode_value(value) == first else value

    for op in history:
        if op.f not in REGISTER or not isinstance(op.process, int):
            yield op
        elif op.f == "cas" and isinstance(op.value, list):
            yield replaced(op, value=[other(part) for part in op.value])
        else:
            yield replaced(op, value=other(op.value))


def told(result: Result, first: Any) -> Result:
    """The result, whose sentence says what null stands for."""
    if first is None or first is MISSING or _NULL.search(result.reason) is None:
        return result
    return replace(result, reason=f"{result.reason}; null and None are the first value here, {first!r}")
