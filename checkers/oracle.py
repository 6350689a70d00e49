"""The slow, obvious judge: try every order. Shares no code with the checkers; for at most about ten operations.

An operation is `(f, new, old, status, call, ret)`: f is read, write or cas; status ok, fail or info; None is the value before any write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from checkers.op import MISSING, Type
from checkers.search import INCONSISTENT, Call, Model
from checkers.shrink import OBSERVERS, Operation
from checkers.specs import SPECS, Step, mark

Event = tuple[str, Any, Any, str, int, int]
Simple = tuple[str, Any, Any, str, int, int]


def linearizable(ops: Sequence[Simple]) -> bool:
    """Is there an order of the ok ones, and any of the info ones, that respects real time and the register?"""
    ops = [op for op in ops if op[3] == "ok" or (op[3] == "info" and op[0] != "read")]
    must = {n for n, op in enumerate(ops) if op[3] == "ok"}
    dead: set[tuple[frozenset[int], Any]] = set()

    def search(done: frozenset[int], value: Any) -> bool:
        if must <= done:
            return True
        if (done, value) in dead:
            return False
        for n, (f, new, old, _, call, _) in enumerate(ops):
            if n in done or any(m not in done and ops[m][5] < call for m in must):
                continue
            if (f == "read" and new != value) or (f == "cas" and old != value):
                continue
            if search(done | {n}, value if f == "read" else new):
                return True
        dead.add((done, value))
        return False

    return search(frozenset(), None)


def explainable(model: str, ops: Sequence[Event], start: Any = MISSING) -> bool:
    """The same for any built-in model. An operation is `(f, value, result, status, call, ret)`; open is info with a known result."""
    usual, step = SPECS[model]
    return possible(usual if start is MISSING else start, step, ops)


def possible(start: Any, step: Step, ops: Sequence[Event]) -> bool:
    """The same for any sequential object."""
    ops = [op for op in ops if op[3] != "fail"]
    must = {n for n, op in enumerate(ops) if op[3] == "ok"}
    dead: set[tuple[frozenset[int], Any]] = set()

    def search(done: frozenset[int], state: Any) -> bool:
        if must <= done:
            return True
        if (done, state) in dead:
            return False
        for n, (f, value, result, status, call, _) in enumerate(ops):
            if n in done or any(m not in done and ops[m][5] < call for m in must):
                continue
            after = step(state, f, value, MISSING if status == "info" else result)
            if after is not INCONSISTENT and search(done | {n}, after):
                return True
        dead.add((done, state))
        return False

    return search(frozenset(), start)


class _Late(Exception):
    """The time for brute force is up."""


def impossible(
    model: str | Model,
    known: Sequence[Operation],
    until_ns: int,
    initial: Any,
    clock: Callable[[], float],
    deadline_s: float,
) -> bool | None:
    """Is there no order of these at that instant? None: time was up, or the object's first value is one that only the core can read.

    A failed operation is left out. What had not returned may be left out; if it returned later, it fits only with its result.
    """
    if isinstance(model, str):
        start, plain = SPECS[model]
    else:
        start, own = model.init(), model.step

        def plain(state: Any, f: str, value: Any, result: Any) -> Any:
            return own(state, Call(f, value, result))

    if initial is not MISSING and model not in ("register", "cas-register", "kv"):
        return None

    def step(state: Any, f: str, value: Any, result: Any) -> Any:
        if clock() > deadline_s:
            raise _Late
        return plain(state, f, value, result)

    events = [
        (
            one.call.f,
            one.call.value,
            one.result,
            _status(one, until_ns),
            one.call.time_ns,
            one.end.time_ns if one.end is not None and one.ok else 0,
        )
        for one in known
        if one.ok or one.call.f not in OBSERVERS
    ]
    try:
        return not possible(start if initial is MISSING else mark(initial), step, events)
    except _Late:
        return None


def _status(one: Operation, until_ns: int) -> str:
    if one.end is None or one.end.type is Type.INFO:
        return "info"
    if one.end.type is Type.FAIL:
        return "fail"
    return "ok" if one.end.time_ns <= until_ns else "open"
