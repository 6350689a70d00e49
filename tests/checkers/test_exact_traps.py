"""Stores that are broken in one named way, for objects whose results force an order; and what looks broken and is not.

An operation is `(f, value, result, status, call, return)`, each by a process of its own.
"""

import pytest

from checkers import Verdict, check
from checkers.op import MISSING
from tests.checkers.test_fuzz_search import recorded

R = MISSING


def ok(f, value, result, call, ret):
    return f, value, result, "ok", call, ret


def info(f, value, call):
    return f, value, value, "info", call, call + 1


BROKEN = [
    ("append-list", "stale-read", [ok("append", 1, 1, 0, 1), ok("read", R, [], 2, 3)]),
    ("append-list", "new-old-inversion", [info("append", 1, 0), ok("read", R, [1], 1, 2), ok("read", R, [], 3, 4)]),
    ("append-list", "future-read", [ok("read", R, [1], 0, 1), ok("append", 1, 1, 2, 3)]),
    ("append-list", "out-of-order", [ok("append", 1, 1, 0, 1), ok("append", 2, 2, 2, 3), ok("read", R, [2, 1], 0, 9)]),
    ("append-list", "incompatible-order", [ok("append", 1, 1, 0, 9), ok("append", 2, 2, 0, 9), ok("read", R, [1], 0, 9), ok("read", R, [2, 1], 0, 9)]),
    # as text the one list begins with the other
    ("append-list", "incompatible-order", [ok("append", 1, 1, 0, 9), ok("append", 12, 12, 0, 9), ok("read", R, [1], 0, 9), ok("read", R, [12], 0, 9)]),
    ("append-list", "duplicate-element", [ok("append", 1, 1, 0, 9), ok("read", R, [1, 1], 0, 9)]),
    ("append-list", "thin-air", [ok("append", 1, 1, 0, 9), ok("read", R, [1, 7], 0, 9)]),
    ("append-list", "aborted-read", [("append", 1, 1, "fail", 0, 1), ok("read", R, [1], 2, 3)]),
    ("grow-set", "stale-read", [ok("add", 1, 1, 0, 1), ok("read", R, [], 2, 3)]),
    ("grow-set", "incompatible-order", [info("add", 1, 0), info("add", 2, 0), ok("read", R, [1], 1, 9), ok("read", R, [2], 1, 9)]),
    ("grow-set", "out-of-order", [ok("add", 1, 1, 0, 1), ok("add", 2, 2, 2, 3), ok("read", R, [2], 0, 9), ok("read", R, [2, 1], 0, 9)]),
    ("linearizable-set", "lost", [ok("add", 1, 1, 0, 1), ok("contains", 1, [1, False], 2, 3)]),
    ("linearizable-set", "lost", [ok("remove", 1, 1, 0, 5), ok("contains", 1, [1, True], 5, 20), ok("add", 1, 1, 10, 15), ok("contains", 1, [1, False], 30, 31)]),
    ("linearizable-set", "resurrected", [ok("add", 1, 1, 0, 1), ok("remove", 1, 1, 2, 3), ok("contains", 1, [1, True], 4, 5)]),
    ("linearizable-set", "future-read", [ok("contains", 1, [1, True], 0, 1), ok("add", 1, 1, 2, 3)]),
    ("linearizable-set", "thin-air", [ok("add", 2, 2, 0, 1), ok("contains", 1, [1, True], 0, 1)]),
    ("linearizable-counter", "went-back", [info("add", 1, 0), ok("read", R, 1, 1, 2), ok("read", R, 0, 3, 4)]),
    ("linearizable-counter", "below-lower-bound", [ok("add", 1, 1, 0, 1), ok("read", R, 0, 2, 3)]),
    ("linearizable-counter", "above-upper-bound", [ok("read", R, 1, 0, 1), ok("add", 1, 1, 2, 3)]),
    # both adds end before the first read begins, and one of them is too early for the read that must come between
    ("linearizable-counter", "count-mismatch", [info("add", 1, 0), ok("read", R, 1, 1, 2), ok("add", 1, 1, 3, 4), ok("add", 1, 1, 3, 4), ok("read", R, 2, 5, 6)]),
    ("fetch-and-add", "duplicate-id", [ok("fetch-add", 1, 0, 0, 9), ok("fetch-add", 1, 0, 0, 9)]),
    ("fetch-and-add", "went-back", [ok("fetch-add", 1, 1, 0, 1), ok("fetch-add", 1, 0, 2, 3)]),
    ("fetch-and-add", "count-mismatch", [ok("fetch-add", 1, 0, 0, 1), ok("fetch-add", 1, 2, 2, 3), ok("fetch-add", 1, 3, 4, 5), info("fetch-add", 1, 4)]),
    ("revisions", "stale-read", [ok("write", "a", 1, 0, 1), ok("read", R, [0, None], 2, 3)]),
    ("revisions", "duplicate-revision", [ok("write", "a", 1, 0, 9), ok("write", "b", 1, 0, 9)]),
    ("revisions", "two-values-of-a-revision", [ok("write", "a", 1, 0, 9), ok("write", "b", 2, 0, 9), ok("read", R, [1, "b"], 0, 9)]),
    ("revisions", "out-of-order", [ok("write", "a", 2, 0, 1), ok("write", "b", 1, 2, 3)]),
    ("revisions", "written-twice", [info("write", "a", 0), ok("read", R, [1, "a"], 0, 9), ok("read", R, [2, "a"], 0, 9)]),
]  # fmt: skip

SOUND = [
    ("append-list", [ok("append", 1, 1, 0, 2), ok("read", R, [], 2, 3)]),  # they touch: concurrent
    ("append-list", [info("append", 1, 0), ok("read", R, [], 5, 6)]),  # may never have happened
    ("append-list", [info("append", 1, 0), ok("append", 2, 2, 5, 6), ok("read", R, [2, 1], 7, 8)]),  # or late
    ("append-list", [ok("append", "a,b", "a,b", 0, 1), ok("append", "a", "a", 2, 3), ok("read", R, ["a,b", "a"], 4, 5), ok("read", R, ["a,b"], 0, 5)]),
    ("append-list", [ok("append", 1, 1, 0, 9), ok("append", 12, 12, 0, 9), ok("read", R, [12], 0, 9), ok("read", R, [12, 1], 0, 9)]),
    ("grow-set", [ok("add", 1, 1, 0, 9), ok("add", 2, 2, 0, 9), ok("read", R, [2, 1], 0, 9), ok("read", R, [1, 2], 0, 9)]),
    ("linearizable-set", [ok("remove", 1, 1, 0, 1), ok("add", 1, 1, 2, 3), ok("contains", 1, [1, True], 4, 5)]),  # removed nothing
    ("linearizable-set", [ok("add", 1, 1, 0, 5), ok("remove", 1, 1, 0, 5), ok("contains", 1, [1, False], 2, 3)]),
    ("linearizable-counter", [info("add", 1, 0), info("add", 1, 0), ok("read", R, 1, 5, 6), ok("read", R, 2, 7, 8)]),
    ("fetch-and-add", [info("fetch-add", 1, 0), ok("fetch-add", 1, 0, 5, 6), ok("fetch-add", 1, 2, 7, 8)]),
    ("revisions", [ok("write", "a", 3, 0, 1), info("write", "b", 0), ok("read", R, [7, "b"], 5, 6)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "anomaly", "ops"), BROKEN, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_broken_store_is_convicted_by_name(model, anomaly, ops):
    result = check(recorded([ops]), model)
    part = result.parts["0"]
    assert (part.verdict, part.anomaly, part.stats["path"]) == (Verdict.INVALID, anomaly, "polynomial")
    assert part.certificate.kind == "core"


@pytest.mark.parametrize(("model", "ops"), SOUND)
def test_what_may_happen_is_not_convicted(model, ops):
    part = check(recorded([ops]), model).parts["0"]
    assert (part.verdict, part.stats["path"]) == (Verdict.VALID, "polynomial")


def test_what_the_method_cannot_judge_says_why():
    twice = [ok("append", 1, 1, 0, 1), ok("append", 1, 1, 2, 3), ok("read", R, [1, 1], 4, 5)]
    result = check(recorded([twice]), "append-list")
    assert (result.verdict, result.parts["0"].stats["path"]) == (Verdict.VALID, "search")
    unknown = [info("write", "a", 0), info("write", "a", 1), ok("read", R, [1, "a"], 2, 3)]
    result = check(recorded([unknown]), "revisions")
    assert result.verdict is Verdict.UNKNOWN
    assert "write the same value" in result.reason


@pytest.mark.parametrize(
    ("model", "ops", "why"),
    [
        ("linearizable-set", [ok("add", 1, 1, 0, 1), ok("contains", R, R, 2, 3)], "has no value, or none of the right shape"),
        ("linearizable-set", [ok("add", 1, 1, 0, 1), ok("dance", R, R, 2, 3)], "is no operation that this method has"),
        ("revisions", [ok("write", "a", 0, 0, 1), ok("read", R, [0, None], 2, 3)], "has no value, or none of the right shape"),
    ],
)  # fmt: skip
def test_what_is_not_of_the_right_shape_is_named(model, ops, why):
    result = check(recorded([ops]), model, engine="polynomial")
    assert result.verdict is Verdict.UNKNOWN
    assert why in result.reason


def test_increments_that_ended_before_are_no_part_of_the_core():
    """The first add was counted by the read of 1; that no other comes before the read of 2 is the whole proof."""
    ops = [ok("add", 1, 1, 0, 1), ok("read", R, 1, 2, 3), ok("read", R, 2, 10, 11), info("add", 1, 20)]
    history = recorded([ops])
    part = check(history, "linearizable-counter").parts["0"]
    assert part.anomaly == "count-mismatch"
    assert [history.op(at).f for at in part.certificate.ops] == ["read", "read"]
