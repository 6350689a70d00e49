"""Budgets, counts and keys at their borders: what `quorate check` makes of its options before a checker is asked."""

from __future__ import annotations

import pytest

from checkers import MISSING, History, Type, check, invoke
from checkers.jsonl import HistoryError
from checkers.judged import Judged, budget_of, count_calls, line_of
from checkers.keys import keyed_by
from checkers.linearizable import EngineError
from checkers.op import Op
from checkers.search import Budget


def test_a_budget_is_what_was_given_and_the_usual_for_the_rest():
    assert budget_of(None, None) is None
    usual = Budget()
    assert budget_of(2.5, None) == Budget(deadline_ms=2500, memory_mb=usual.memory_mb)
    assert budget_of(None, 64.0) == Budget(deadline_ms=usual.deadline_ms, memory_mb=64.0)
    assert budget_of(1.0, 64.0) == Budget(deadline_ms=1000, memory_mb=64.0)


@pytest.mark.parametrize(("timeout_s", "memory_mb", "says"), [(0.0, None, "--timeout 0"), (-1.0, None, "--timeout -1"), (None, 0.0, "--memory 0")])  # fmt: skip
def test_a_budget_of_nothing_is_refused(timeout_s, memory_mb, says):
    with pytest.raises(EngineError, match=f"{says} leaves nothing to work with"):
        budget_of(timeout_s, memory_mb)


def written(*values: object) -> History:
    events = []
    for n, value in enumerate(values):
        call = invoke(n, "write", value=value, time_ns=10 * n)
        events += [call, Op(-1, 10 * n + 5, n, Type.OK, "write", None, value)]
    return History.from_ops(events)


def test_calls_of_clients_are_counted_once():
    ops = [*written(1, 2)]
    kill = invoke("nemesis", "kill", time_ns=100)
    assert count_calls(History.from_ops([*ops, kill, kill.info("done")])) == 2
    open_ = invoke(7, "write", value=3, time_ns=200)
    assert count_calls(History.from_ops([*ops, open_])) == 3


def test_a_line_explains_what_was_judged_and_says_why_where_nothing_was():
    ops = [invoke(0, "read", "x", time_ns=0), Op(-1, 5, 0, Type.OK, "read", "x", 7)]
    history = History.from_ops(ops)
    result = check(history, "register")
    line = line_of(Judged("a.jsonl", history, result, 0.1, 1), "register", explained=True)
    assert line["explanation"][0] == result.reason
    assert "read 7 #0" in line["drawing"]
    assert line["ops"] == 1
    bad = line_of(Judged("a.jsonl", None, result, 0.1, 254), "register", explained=True)
    assert (bad["explanation"], bad["drawing"], bad["ops"]) == ([result.reason], "", 0)


def keys(history: History, selector: str) -> list[tuple[object, object]]:
    return [(op.key, op.value) for op in keyed_by(history, selector)]


def test_keys_are_found_by_place_or_by_name():
    assert keys(written(["k", 1]), "0") == [("k", 1)] * 2
    assert keys(written(["k", 1, 2]), "0") == [("k", [1, 2])] * 2
    assert keys(written({"k": "a", "value": 1}), "k") == [("a", 1)] * 2
    assert keys(written({"k": "a", "n": 1, "m": 2}), "k") == [("a", {"n": 1, "m": 2})] * 2
    assert keys(written({"k": "a"}), "k") == [("a", MISSING)] * 2


@pytest.mark.parametrize(("value", "selector"), [(["k"], "1"), ("abc", "0"), (["k", 1], "k"), ({"k": 1}, "0"), ({"k": 1}, "j"), ("abc", "a"), (5, "0")])  # fmt: skip
def test_where_there_is_no_key_it_is_said(value, selector):
    with pytest.raises(HistoryError, match=r"the value of write #0 has no key at"):
        keyed_by(written(value), selector)


@pytest.mark.parametrize("selector", ["", "-1", "-k"])
def test_a_selector_that_is_no_place_is_refused(selector):
    with pytest.raises(HistoryError, match="is no place; give a position from 0"):
        keyed_by(written(["k", 1]), selector)


def test_a_key_may_be_known_from_the_answer_only_and_then_from_no_other():
    read = invoke(0, "read", time_ns=0)
    answered = History.from_ops([read, Op(-1, 5, 0, Type.OK, "read", None, ["k", 1])])
    assert keys(answered, "0") == [("k", MISSING), ("k", 1)]
    asked = invoke(0, "read", value=["a", None], time_ns=0)
    other = History.from_ops([asked, Op(-1, 5, 0, Type.OK, "read", None, ["b", 1])])
    assert keys(other, "0") == [("a", None), ("a", ["b", 1])]
    with pytest.raises(HistoryError, match="it is missing"):
        keyed_by(History.from_ops([read]), "0")
