"""A certificate that the validator takes proves what it says: an order in which the object can have done all this, or operations that no order explains.

Every order and every few operations are handed in, of small random histories; a judge that tries everything knows which of them prove something.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers import MISSING, History, Type, Verdict, check
from checkers.oracle import explainable
from checkers.validate import (
    CertificateError,
    validate_core,
    validate_object_core,
    validate_order,
    validate_witness,
)
from checkers.verdict import Certificate, Result
from tests.checkers.bespoke.small import Did, history_of, one_of, small

pytestmark = pytest.mark.slow
MANY = settings(max_examples=300, deadline=None)


def registering(draw: st.DrawFn) -> tuple[str, Any, Any]:
    value = draw(one_of(1, True, None, 0.0, -0.0))
    return draw(one_of(("write", value, value), ("read", MISSING, value), ("cas", [draw(one_of(1, None)), value], MISSING)))  # fmt: skip


def queueing(draw: st.DrawFn) -> tuple[str, Any, Any]:
    if draw(st.booleans()):
        value = draw(st.integers(1, 3))
        return "enqueue", value, value
    return "dequeue", MISSING, draw(one_of(1, 2, 3, None))


def events(calls: list[Did]) -> list[tuple[str, Any, Any, str, int, int]]:
    words = {"open": "info"}
    return [(one.f, one.value, one.result, words.get(one.kind, one.kind), one.call, one.end) for one in calls]


def numbered(calls: list[Did], history: History) -> dict[int, Did]:
    """The calls by their index in the history."""
    invoked = [op.index for op in history if op.type is Type.INVOKE]
    by_process: dict[Any, list[int]] = {}
    for index in invoked:
        by_process.setdefault(history.op(index).process, []).append(index)
    found = {}
    for process, indices in by_process.items():
        own = [one for one in sorted(calls, key=lambda one: one.number) if one.process == process]
        found.update(zip(indices, own, strict=True))
    return found


def accepts(validate: Any, *args: Any, **named: Any) -> bool:
    try:
        validate(*args, **named)
    except CertificateError:
        return False
    return True


@MANY
@given(small(registering, 6))
def test_a_core_that_is_taken_is_impossible_in_the_whole_history(calls):
    history = history_of(calls)
    possible = explainable("cas-register", [one for one in events(calls) if one[3] != "fail"])
    indices = sorted(numbered(calls, history))
    for size in range(1, len(indices) + 1):
        for core in combinations(indices, size):
            for validate, *model in ((validate_core,), (validate_object_core, "cas-register")):
                if "fail" in (calls_of := {numbered(calls, history)[at].kind for at in core}) and model:
                    continue  # a failed compare-and-set says more there
                assert not (accepts(validate, history, *model, core) and possible), (validate, core, calls_of)
    if not possible:
        assert accepts(validate_core, history, indices)


@MANY
@given(small(queueing, 6))
def test_a_core_of_a_queue_that_is_taken_is_impossible_in_the_whole_history(calls):
    history = history_of(calls)
    possible = explainable("queue", events(calls))
    indices = [op.index for op in history if op.type is Type.INVOKE]
    for size in range(1, len(indices) + 1):
        for core in combinations(indices, size):
            assert not (accepts(validate_object_core, history, "queue", core) and possible), core


@pytest.mark.parametrize(("act", "model"), [(registering, "cas-register"), (queueing, "queue")])
def test_a_witness_is_taken_exactly_if_it_is_one(act, model):
    @MANY
    @given(small(act, 6), st.data())
    def of(calls, data):
        history = history_of(calls)
        by_index = numbered(calls, history)
        usual = list(check(history, model if model != "queue" else "fifo-queue").certificate.ops) if data.draw(st.booleans()) and check(history, model if model != "queue" else "fifo-queue").verdict is Verdict.VALID else list(by_index)  # fmt: skip
        order = data.draw(st.permutations(usual)) if data.draw(st.booleans()) else usual
        for _ in range(data.draw(st.integers(0, 2))):
            at = data.draw(st.integers(0, len(order)))
            order = order[:at] + order[at + 1 :] if data.draw(st.booleans()) else [*order[:at], data.draw(st.sampled_from(list(by_index))), *order[at:]]  # fmt: skip
        right = is_witness([by_index[at] for at in order], calls, model)
        whole = Result(
            "linearizable", Verdict.VALID, "in this order", certificate=Certificate("witness", order)
        )
        assert accepts(validate_order, history, model, whole) is right
        if model != "queue":
            assert accepts(validate_witness, history, whole) is (right and all(one.ok or one.f != "read" for one in (by_index[at] for at in order)))  # fmt: skip

    of()


def is_witness(order: list[Did], calls: list[Did], model: str) -> bool:
    """One after the other as the brute force does it: at instants that never go back, each within its call."""
    now, numbers = -1, [one.number for one in order]
    for one in order:
        now = max(now, one.call)
        if not one.may or now > one.ret:
            return False
    if len(set(numbers)) < len(numbers) or any(one.ok and one.number not in numbers for one in calls):
        return False
    known = "info" if model == "queue" else "ok"
    timeless = [(one.f, one.value, one.result if one.ok else MISSING, "ok" if one.ok else known, n, n) for n, one in enumerate(order)]  # fmt: skip
    return replays(model, timeless)


def replays(model: str, ops: list[tuple[Any, ...]]) -> bool:
    """The object, once more."""
    held: list[Any] = [None] if model != "queue" else []
    for f, value, result, *_ in ops:
        if f == "enqueue":
            held.append(value)
        elif f == "dequeue":
            got = held.pop(0) if held else None
            if result is not MISSING and got != result:
                return False
        elif f == "read":
            if result is not MISSING and repr(held[0]) != repr(result):
                return False
        elif f == "cas" and repr(held[0]) != repr(value[0]):
            return False
        elif f in ("write", "cas"):
            held[0] = value if f == "write" else value[1]
    return True


@MANY
@given(small(registering, 8))
def test_every_core_of_a_register_is_a_proof(calls):
    history = history_of(calls)
    for engine in ("auto", "search"):
        result = check(history, "register", engine=engine)
        if result.verdict is Verdict.INVALID:
            validate_core(history, result)


def test_a_compare_and_set_is_not_its_own_source():
    """Without a write of 2 the core would say that nobody had written it."""
    rows = [("write", 2, 2), ("write", 1, 1), ("cas", [2, 2], [2, 2])]
    calls = [Did(n, n, f, value, result, "ok", 10 * n, 10 * n + 5) for n, (f, value, result) in enumerate(rows)]  # fmt: skip
    history = history_of(calls)
    result = check(history, "register", engine="search")
    validate_core(history, result)
    assert sorted(result.certificate.ops) == [0, 2, 4]
    waiting = [("write", 2, 2), ("write", 1, 1), ("cas", [2, 3], [2, 3]), ("cas", [3, 2], [3, 2])]
    calls = [Did(n, n, f, value, result, "ok", 10 * n, 10 * n + 5) for n, (f, value, result) in enumerate(waiting)]  # fmt: skip
    result = check(history_of(calls), "register", engine="search")
    validate_core(history_of(calls), result)
    assert 0 in result.certificate.ops
