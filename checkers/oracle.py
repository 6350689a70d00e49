"""The slow, obvious judge: try every order. Shares no code with the checkers; for at most about ten operations.

An operation is `(f, new, old, status, call, ret)`: f is read, write or cas; status ok, fail or info; None is the value before any write.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from checkers.op import MISSING
from checkers.search import INCONSISTENT
from checkers.specs import SPECS

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


def explainable(model: str, ops: Sequence[Event]) -> bool:
    """The same for any built-in model. An operation is `(f, value, result, status, call, ret)`; open is info with a known result."""
    start, step = SPECS[model]
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
