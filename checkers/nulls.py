"""Null in a queue or a stack: as an answer it says that nothing was there, so of a key into which it was put nothing can be told.

    key a   enqueue null    dequeue -> null     an empty queue, or that element?      UNKNOWN
    key b   enqueue 1       dequeue -> 2                                              INVALID all the same

Keys are independent (locality, Herlihy and Wing 1990, theorem 1): the others are judged without it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from msgspec.structs import replace as replaced

from checkers.history import History
from checkers.op import MISSING, Op, Type
from checkers.verdict import Result, Verdict, merge

PUTS: Final[Mapping[str, str]] = {"queue": "enqueue", "stack": "push"}


def judged_around(history: History, model: str, judge: Callable[[History], Result]) -> Result:
    """What `judge` says of the keys into which no null can have been put; the others are UNKNOWN."""
    nulls = null_puts(history, model)
    if not nulls:
        return judge(history)
    unknown = {}
    for put in nulls.values():
        told = f"{put.f} #{put.index} has null, which as an answer says that nothing was there; record another value"
        name = str(put.key) if isinstance(put.key, int) else repr(put.key)
        unknown[name] = Result("linearizable", Verdict.UNKNOWN, f"key {put.key!r}: {told}", key=put.key)
    return _joined(judge(_without(history, nulls)), unknown)


def null_puts(history: History, model: str) -> dict[int, Op]:
    """By number of the key, the first call that may have put null into it."""
    columns = history.columns
    _, functions, _, values, *_ = columns.sizes()
    put = {at for at in range(functions) if history.function(at) == PUTS.get(model)}
    null = {at for at in range(values) if columns.text("value", at) == b"null"} if put else set()
    if not null:
        return {}
    kinds, ops, given, keys = columns.column("type"), _numbers(history, "f"), _numbers(history, "value"), _numbers(history, "key")  # fmt: skip
    found: dict[int, Op] = {}
    for index, (kind, f, value) in enumerate(zip(kinds, ops, given, strict=True)):
        if kind == Type.INVOKE and value in null and f in put and keys[index] not in found:
            op, end = history.op(index), history.completion(index)
            if isinstance(op.process, int) and (end is None or end.type is not Type.FAIL):
                found[keys[index]] = op
    return found


def _numbers(history: History, name: str) -> array[int]:
    numbers = array("I")
    numbers.frombytes(history.columns.column(name))
    return numbers


def _without(history: History, nulls: Mapping[int, Op]) -> History:
    """The history in which no client touches these keys. Records keep their indices."""
    keys = _numbers(history, "key")
    return History.from_ops(
        replaced(op, process="nemesis", type=Type.INFO, value=MISSING) if keys[op.index] in nulls else op
        for op in history
    )


def _joined(others: Result, unknown: Mapping[str, Result]) -> Result:
    """The other keys' result, and these keys, of which nothing can be told."""
    first = next(iter(unknown.values()))
    if not others.parts:
        return replace(first, parts=dict(unknown) if len(unknown) > 1 else {})
    parts = {**others.parts, **unknown}
    stats = {
        **others.stats,
        "keys": others.stats.get("keys", len(others.parts)) + len(unknown),
        "keys_unknown": others.stats.get("keys_unknown", 0) + len(unknown),
    }
    if merge((others.verdict, Verdict.UNKNOWN)) is others.verdict:
        return replace(others, stats=stats, parts=parts)
    return Result("linearizable", Verdict.UNKNOWN, first.reason, key=first.key, stats=stats, parts=parts)
