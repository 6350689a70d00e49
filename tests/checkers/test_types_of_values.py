"""Values that Python takes for one, and values that it cannot put into a set, are judged by brute force as by the search."""

from __future__ import annotations

from typing import Any

import pytest

from checkers import MISSING, History, Op, Type, Verdict, check
from checkers.specs import mark

PAIRS: tuple[tuple[Any, Any], ...] = (
    (1, True),
    (1, 1.0),
    (0, False),
    ([1], [True]),
    ({"a": 1}, {"a": 1.0}),
    (None, 0),
    ("1", 1),
)


def one_after_another(*calls: tuple[str, Any, Any]) -> History:
    records = []
    for process, (f, value, result) in enumerate(calls):
        records += [
            Op(-1, 10 * process, process, Type.INVOKE, f, "x", value),
            Op(-1, 10 * process + 5, process, Type.OK, f, "x", result),
        ]
    return History.from_ops(records)


@pytest.mark.parametrize(("written", "read"), PAIRS, ids=str)
@pytest.mark.parametrize(
    ("model", "shape"),
    [
        ("register", lambda a, b: [("write", a, a), ("write", 7, 7), ("write", a, a), ("read", MISSING, b)]),
        ("cas-register", lambda a, b: [("write", a, a), ("cas", [b, 5], [b, 5])]),
        ("multi-register", lambda a, b: [("txn", [["write", "y", a]], [["write", "y", a]]), ("txn", [["read", "y", None]], [["read", "y", b]])]),
        ("linearizable-set", lambda a, b: [("add", a, a), ("contains", b, [b, True])]),
        ("append-list", lambda a, b: [("append", a, a), ("read", MISSING, [b])]),
        ("fifo-queue", lambda a, b: [("enqueue", a, a), ("enqueue", a, a), ("dequeue", MISSING, b), ("dequeue", MISSING, b)]),
        ("stack", lambda a, b: [("push", a, a), ("push", a, a), ("pop", MISSING, b), ("pop", MISSING, b)]),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_another_value(model: str, shape: Any, written: Any, read: Any) -> None:
    if None in (written, read) and model in ("fifo-queue", "stack"):
        pytest.skip("null is an empty queue")
    result = check(one_after_another(*shape(written, read)), model, engine="search")
    assert result.verdict is Verdict.INVALID, result.reason
    (part,) = result.parts.values()
    assert part.stats["core_confirmed"]
    assert check(one_after_another(*shape(read, read)), model, engine="search").verdict is Verdict.VALID


@pytest.mark.parametrize(("first", "read"), PAIRS, ids=str)
def test_so_is_a_first_value(first: Any, read: Any) -> None:
    history = one_after_another(("read", MISSING, read))
    assert check(history, "register", initial=read).verdict is Verdict.VALID
    refused = check(history, "register", initial=first)
    assert refused.verdict is Verdict.INVALID
    assert "end in null" not in refused.reason or first is None


def test_a_mark_is_shown_as_its_value() -> None:
    assert [repr(mark(value)) for value in (1, "1", None, True, 1.0, [1, {"a": 2}])] == ["1", "'1'", "None", "True", "1.0", "[1, {'a': 2}]"]  # fmt: skip
