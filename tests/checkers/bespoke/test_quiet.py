"""convergence: replicas that differ have diverged only if no update was under way; and a digest without a key is of all keys."""

from __future__ import annotations

import pytest
from histories import NONE, rows

from checkers import History, Op, Verdict, check

VALID, INVALID, UNKNOWN = Verdict.VALID, Verdict.INVALID, Verdict.UNKNOWN
EARLY = ("add", 1, NONE, "ok", 0, 5)
LOST = ("add", 2, NONE, "info", 1, 2)


def digest(call, ret, **nodes):
    return ("digest", NONE, nodes, "ok", call, ret)


@pytest.mark.parametrize(
    ("what", "verdict", "found"),
    [
        ("quiet", INVALID, [EARLY, digest(10, 20, a="x", b="y")]),
        ("one that failed", INVALID, [EARLY, ("add", 2, NONE, "fail", 1, 12), digest(10, 20, a="x", b="y")]),
        ("a read", INVALID, [EARLY, ("read", NONE, [1], "ok", 1, 12), digest(10, 20, a="x", b="y")]),
        ("under way when it began", UNKNOWN, [EARLY, ("add", 2, NONE, "ok", 6, 10), digest(10, 20, a="x", b="y")]),
        ("begun when it ended", UNKNOWN, [EARLY, ("add", 2, NONE, "ok", 20, 30), digest(10, 20, a="x", b="y")]),
        ("begun later", INVALID, [EARLY, ("add", 2, NONE, "ok", 21, 30), digest(10, 20, a="x", b="y")]),
        ("in doubt", UNKNOWN, [EARLY, LOST, digest(10, 20, a="x", b="y")]),
        ("in doubt, begun when it ended", UNKNOWN, [EARLY, ("add", 2, NONE, "info", 20, 30), digest(10, 20, a="x", b="y")]),
        ("in doubt, the same twice", INVALID, [EARLY, LOST, digest(10, 20, a="x", b="y"), digest(21, 25, a="x", b="y")]),
        ("in doubt, the same of two", INVALID, [EARLY, LOST, digest(10, 20, a="x", b="y", c="x"), digest(21, 25, a="x", b="y", c="z")]),
        ("in doubt, not of two", UNKNOWN, [EARLY, LOST, digest(10, 20, a="x", b="y"), digest(21, 25, a="x", b="z")]),
        ("in doubt, the other way", UNKNOWN, [EARLY, LOST, digest(10, 20, a="x", b="y"), digest(21, 25, a="y", b="x")]),
        ("in doubt, at one instant", UNKNOWN, [EARLY, LOST, digest(10, 20, a="x", b="y"), digest(20, 25, a="x", b="y")]),
        ("in doubt, long before the same", UNKNOWN, [EARLY, LOST, digest(6, 8, a="x", b="y"), digest(10, 20, a="x", b="x"), digest(21, 25, a="x", b="y")]),
        ("in doubt, called later", INVALID, [EARLY, ("add", 2, NONE, "info", 21, 30), digest(10, 20, a="x", b="y")]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_what_was_under_way(what, verdict, found):
    history = rows(found)
    result = check(history, "convergence")
    assert result.verdict is verdict, result.reason
    if verdict is INVALID:
        assert result.anomaly == "diverged"
        assert [history.op(at).f for at in result.certificate.ops] == ["digest"] * (
            2 if "same" in what else 1
        )
    else:
        assert "the nodes differ, but add #" in result.reason


def keyed(history: History, **keys: str) -> History:
    """The history with a key for each function named."""
    return History.from_ops(
        Op(-1, op.time_ns, op.process, op.type, op.f, keys.get(op.f), op.value) for op in history
    )


def test_a_digest_without_a_key_is_of_all_keys():
    same, other = (rows([EARLY, digest(10, 20, a="x", b=b)]) for b in "xy")
    assert check(keyed(same, add="k"), "convergence").verdict is VALID
    assert check(keyed(other, add="k"), "convergence").verdict is INVALID
    busy = rows([EARLY, ("add", 2, NONE, "ok", 6, 12), digest(10, 20, a="x", b="y")])
    assert check(keyed(busy, add="k"), "convergence").verdict is UNKNOWN
    assert check(keyed(busy, add="k", digest="other"), "convergence").verdict is INVALID
    assert check(keyed(same, add="k", digest="k"), "convergence").verdict is VALID


@pytest.mark.parametrize("look", ["read", "final-read", "get", "contains", "poll"])
def test_who_only_looks_is_not_waited_for(look):
    """It is in no list of updates, it excuses nothing, and it is nothing that was tested."""
    view = {"digest": "x", "delivered": [1]}
    asked = (look, 5, [5, False], "ok", 6, 9)
    assert check(rows([EARLY, asked, digest(10, 20, a=view, b=view)]), "convergence").verdict is VALID
    during = (look, 5, [5, False], "ok", 11, 12)
    assert check(rows([EARLY, during, digest(10, 20, a="x", b="y")]), "convergence").verdict is INVALID
    assert check(rows([asked, digest(10, 20, a="x", b="x")]), "convergence").verdict is UNKNOWN
