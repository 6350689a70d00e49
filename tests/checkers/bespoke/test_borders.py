"""Histories at the border of a condition, each made for one clause of a checker: equal instants, odd shapes, what is in doubt."""

from __future__ import annotations

import json

import pytest
from histories import NONE, one_by_one, rows
from msgspec.structs import replace

from checkers import MISSING, History, Op, Verdict, check, invoke
from checkers.bespoke.bank import check_bank
from checkers.bespoke.calls import calls_of, shown
from checkers.bespoke.crdt_counter import BITS_MAX
from checkers.explain import explain
from checkers.levels import judge

VALID, INVALID, UNKNOWN = Verdict.VALID, Verdict.INVALID, Verdict.UNKNOWN


def test_one_read_is_enough_where_the_total_is_known():
    assert check_bank(one_by_one(("read", None, {"a": 4, "b": 6})), 10).verdict is VALID
    assert check_bank(one_by_one(("read", None, {"a": 4, "b": 6}))).verdict is UNKNOWN


def test_where_the_total_is_known_a_wrong_read_is_its_own_core():
    history = one_by_one(("read", None, {"a": 10}), ("read", None, {"a": 9}))
    assert len(check_bank(history, 10).certificate.ops) == 1
    assert len(check_bank(history).certificate.ops) == 2


def test_what_the_nemesis_does_is_no_call():
    ops = [*one_by_one(("generate", None, 1), ("generate", None, 2))]
    kill = invoke("nemesis", "kill", value="n1", time_ns=100)
    history = History.from_ops([*ops, kill, kill.info("done")])
    assert check(history, "unique-ids").verdict is VALID
    assert len(calls_of(history)) == 2


def test_a_call_that_is_not_ok_has_no_result():
    history = rows([("add", 1, 1, "fail", 0, 5), ("add", 2, 2, "info", 0, 5)])
    assert [(call.result, call.ret) for call in calls_of(history)] == [(MISSING, float("inf"))] * 2


def test_sixty_characters_are_shown_whole():
    assert shown("x" * 58) == repr("x" * 58)
    assert shown("x" * 59) == repr("x" * 59)[:57] + "…"


@pytest.mark.parametrize("view", [{"delivered": [1]}, {"digest": "a", "delivered": 5}])
def test_a_view_of_another_shape_is_named(view):
    result = check(one_by_one(("digest", None, {"n1": view, "n2": view})), "convergence")
    assert result.verdict is UNKNOWN
    assert "has no digest of node n1" in result.reason


def test_an_update_without_a_value_is_in_no_list_of_updates():
    view = {"digest": "a", "delivered": []}
    assert check(one_by_one(("touch", NONE, NONE), ("digest", None, {"n1": view, "n2": view})), "convergence").verdict is VALID  # fmt: skip


def test_a_subtraction_at_the_instant_of_the_answer_belongs_to_the_core():
    """5 was acknowledged, 3 less was asked for when the read ended: 2 at least. The core would say 5 without it."""
    history = rows([("add", 5, 5, "ok", 0, 5), ("read", None, 1, "ok", 10, 20), ("add", -3, -3, "ok", 20, 30)])  # fmt: skip
    result = check(history, "counter")
    assert result.verdict is INVALID
    assert [history.op(at).value for at in result.certificate.ops] == [5, None, -3]


def test_a_sum_of_the_greatest_width_is_tried():
    history = rows([("add", BITS_MAX, None, "info", 0, 1), ("final-read", None, BITS_MAX, "ok", 5, 6), ("final-read", None, 1, "ok", 5, 6)])  # fmt: skip
    assert check(history, "pn-counter").anomaly == "wrong-sum"
    too_wide = rows([("add", BITS_MAX + 1, None, "info", 0, 1), ("final-read", None, 0, "ok", 5, 6)])
    assert check(too_wide, "pn-counter").verdict is UNKNOWN


def test_a_difference_of_sums_too_wide_to_try_is_not_explained():
    """The second final-read lacks the 1 that the first shows; each alone is a sum that is narrow enough to be tried."""
    large = BITS_MAX - 4
    history = rows([
        ("add", 1, None, "info", 0, 1), ("add", large, None, "ok", 2, 12), ("final-read", None, 1, "ok", 10, 11),
        ("add", large, None, "ok", 13, 24), ("final-read", None, large, "ok", 20, 22),
    ])  # fmt: skip
    result = check(history, "pn-counter")
    assert result.verdict is UNKNOWN
    assert "too large to try every sum" in result.reason


@pytest.mark.parametrize(
    ("core", "calls"),
    [
        (["append", "append", "poll"], [("append", 1, [5, 1]), ("append", 2, NONE, "info"), ("poll", None, [[4, 2]])]),
        (["poll", "append"], [("append", 1, NONE, "info"), ("poll", None, [[5, 1]]), ("append", 2, [4, 2])]),
    ],
    ids=["in doubt, and read later", "known by a reader alone"],
)  # fmt: skip
def test_an_offset_that_somebody_read_is_in_the_order_of_appends_too(core, calls):
    history = one_by_one(*calls)
    result = check(history, "append-log")
    assert (result.verdict, result.anomaly) == (INVALID, "nonmonotonic-append")
    assert [history.op(at).f for at in result.certificate.ops] == core


def test_an_append_in_doubt_that_was_called_first_may_have_the_smaller_offset():
    history = one_by_one(("append", 2, NONE, "info"), ("append", 1, [5, 1]), ("poll", None, [[4, 2]]))
    assert check(history, "append-log").verdict is VALID


@pytest.mark.parametrize("written", [[7], [1, 2, 3], 7])
def test_a_write_without_its_token_is_named(written):
    result = check(one_by_one(("acquire", None, 1), ("acquire", None, 2), ("write", written)), "mutex-fencing")  # fmt: skip
    assert result.verdict is UNKNOWN
    assert "lacks its token" in result.reason


def test_an_acquire_that_failed_does_not_end_the_hold():
    history = rows([
        ("acquire", None, 1, "ok", 0, 5, 1), ("acquire", None, None, "fail", 10, 15, 1), ("acquire", None, 2, "ok", 20, 25, 2),
        ("write", [1, "v"], [1, "v"], "ok", 16, 17, 1), ("write", [2, "w"], [2, "w"], "ok", 26, 27, 2),
        ("release", None, None, "ok", 30, 35, 1), ("release", None, None, "ok", 40, 45, 2),
    ])  # fmt: skip
    result = check(history, "mutex-fencing")
    assert result.verdict is VALID
    assert result.stats["double-held-count"] == 1


@pytest.mark.parametrize("value", [["abc"], [["r", "x"]], [["r", "x", 1, 2]], "abc"])
def test_what_is_no_micro_operation_is_named(value):
    result = check(one_by_one(("read", value, value)), "long-fork")
    assert result.verdict is UNKNOWN
    assert "is no list of" in result.reason


@pytest.mark.parametrize("result", [None, {"version": [1]}, {"version": [1, "a", 2]}, {"version": 7}])
def test_a_write_without_a_version_is_named(result):
    judged = check(one_by_one(("write", 1, result)), "lww")
    assert judged.verdict is UNKNOWN
    assert "expected" in judged.reason


def test_the_worst_loss_is_the_greatest():
    """1 wins though 2 and 3 were written after it had been acknowledged, 3 by 30 ms."""
    ms = 1_000_000
    history = rows([
        ("write", 1, {"version": [9, "n"]}, "ok", 0, 10 * ms), ("write", 2, {"version": [1, "n"]}, "ok", 15 * ms, 20 * ms),
        ("write", 3, {"version": [2, "n"]}, "ok", 40 * ms, 50 * ms), ("final-read", None, {"value": 1, "version": [9, "n"]}, "ok", 60 * ms, 61 * ms),
    ])  # fmt: skip
    result = check(history, "lww")
    assert result.verdict is VALID
    assert (result.stats["skew-loss-count"], result.stats["worst-skew-loss-ms"]) == (2, 30.0)


def test_an_element_may_be_any_object():
    assert check(one_by_one(("add", {"x": 1}), ("final-read", None, [{"x": 1}])), "or-set").verdict is VALID
    assert check(one_by_one(("add", {"value": 1}), ("final-read", None, [1])), "or-set").verdict is VALID
    removed = one_by_one(("add", {"x": 1}), ("remove", {"x": 1}), ("final-read", None, []))
    assert check(removed, "or-set").verdict is VALID


def add(value, tag=None):
    return ("add", {"value": value} if tag is None else {"value": value, "tag": tag})


def remove(value, *seen):
    return ("remove", {"value": value, "seen": list(seen)})


@pytest.mark.parametrize(
    "history",
    [
        one_by_one(add(1), remove(1, "t9"), ("final-read", None, [])),  # who knows what the remove saw
        one_by_one(add(1, "a"), ("remove", {"value": 1}), ("final-read", None, [])),
        one_by_one(add(1, "a"), add(1), remove(1, "a"), ("final-read", None, [])),
    ],
)
def test_a_remove_may_have_seen_what_it_does_not_name(history):
    assert check(history, "or-set").verdict is VALID


def test_an_add_at_the_instant_of_the_answer_may_be_what_it_shows():
    history = rows([
        ("add", {"value": 1, "tag": "a"}, None, "ok", 0, 5), ("remove", {"value": 1, "seen": ["a"]}, None, "ok", 10, 15),
        ("final-read", None, [1], "ok", 20, 30), ("add", {"value": 1, "tag": "b"}, None, "ok", 30, 35),
    ])  # fmt: skip
    assert check(history, "or-set").verdict is VALID


def test_another_remove_does_not_excuse_a_resurrection():
    history = one_by_one(add(1, "a"), remove(1, "a"), ("remove", {"value": 1}), ("final-read", None, [1]))
    assert check(history, "or-set").anomaly == "resurrected"


NULLS = [
    (model, "enqueue", "dequeue")
    for model in ("queue", "total-queue", "total-queue-at-least-once", "fifo-queue")
]


@pytest.mark.parametrize(("model", "put", "take"), [*NULLS, ("stack", "push", "pop")])  # fmt: skip
def test_null_put_in_is_no_element(model, put, take):
    """What comes out as null is an empty queue, or that element: nobody can tell. Of these histories a queue that keeps null explains the first."""
    history = one_by_one((put, None), (put, 1), (take, NONE, None), (take, NONE, 1))
    result = check(history, model)
    assert result.verdict is UNKNOWN
    assert f"{put} #0 has null, which" in result.reason
    open_one = one_by_one((put, 1), (take, NONE, 1), (put, None, NONE, "info"), (take, NONE, None))
    assert check(open_one, model).verdict is UNKNOWN
    refused = one_by_one((put, 1), (take, NONE, 1), (put, None, NONE, "fail"), (take, NONE, None))
    assert check(refused, model).verdict is VALID


def test_a_drain_without_an_end_may_hold_any_number():
    history = one_by_one(
        ("enqueue", 1), ("enqueue", 2), ("drain", None, None, "info"), ("dequeue", None, None)
    )
    result = check(history, "total-queue")
    assert result.verdict is UNKNOWN
    assert "2 elements are missing" in result.reason


def test_an_enqueue_that_returned_nothing_has_not_seen_the_queue_empty():
    history = one_by_one(("enqueue", 1), ("enqueue", 2, None), ("enqueue", 3), ("dequeue", None, 3))
    result = check(history, "total-queue")
    assert result.verdict is UNKNOWN
    assert "nothing found the queue empty" in result.reason


def sibling(value, *seen):
    return ("write", {"value": value, "seen": list(seen)})


def test_a_sibling_that_was_replaced_is_shown_with_both_writes():
    history = one_by_one(sibling(1), sibling(2, 1), ("final-read", None, [1, 2]))
    result = check(history, "mv-register")
    assert result.anomaly == "obsolete-sibling"
    assert len(result.certificate.ops) == 3


def test_a_sibling_that_nobody_wrote_is_named_even_where_a_write_saw_it():
    result = check(one_by_one(sibling(2, "ghost"), ("final-read", None, ["ghost", 2])), "mv-register")
    assert result.anomaly == "unexpected"
    assert result.stats["anomalies"] == {"unexpected": 1, "obsolete-sibling": 1}


def test_ids_without_an_order_have_no_range():
    result = check(one_by_one(("generate", None, {"a": 1}), ("generate", None, {"a": 2})), "unique-ids")
    assert result.verdict is VALID
    assert "range" not in result.stats


def versioned(value, time, node):
    return {"value": value, "version": [time, node]}


def test_of_two_nodes_with_numbers_the_greater_number_wins():
    """As text 10 is less than 9."""
    won, lost = versioned(2, 5, 10), versioned(1, 5, 9)
    writes = ("write", 1, lost), ("write", 2, won)
    assert check(one_by_one(*writes, ("final-read", None, won)), "lww").verdict is VALID
    assert check(one_by_one(*writes, ("final-read", None, lost)), "lww").anomaly == "lost-write"


@pytest.mark.parametrize("node", [1.5, None, True, ["n", 1]])
def test_a_node_without_an_order_is_named(node):
    result = check(one_by_one(("write", 1, versioned(1, 5, node))), "lww")
    assert (result.verdict, "a number or text expected" in result.reason) == (UNKNOWN, True)
    mixed = one_by_one(("write", 1, versioned(1, 5, "n")), ("write", 2, versioned(2, 5, 1)))
    assert "have no order" in check(mixed, "lww").reason


@pytest.mark.parametrize("engine", ["auto", "polynomial", "search"])
def test_null_put_into_one_key_says_nothing_of_the_others(engine):
    null = one_by_one(("enqueue", None), ("dequeue", NONE, None))
    good = one_by_one(("enqueue", 1), ("dequeue", NONE, 1))
    bad = one_by_one(("enqueue", 1), ("dequeue", NONE, 2))
    empty = one_by_one(("dequeue", NONE, 3))
    convicted = check(of_keys(a=null, b=good, c=bad), "fifo-queue", engine=engine)
    assert (convicted.verdict, convicted.anomaly, convicted.key) == (INVALID, "thin-air" if engine != "search" else "not-linearizable", "c")  # fmt: skip
    verdicts = {name: part.verdict for name, part in convicted.parts.items()}
    assert verdicts == {"'a'": UNKNOWN, "'b'": VALID, "'c'": INVALID}
    core = convicted.certificate.ops
    assert {convicted.key} == {of_keys(a=null, b=good, c=bad).op(at).key for at in core}
    assert (convicted.stats["keys"], convicted.stats["keys_unknown"], convicted.stats["keys_bad"]) == (3, 1, 1)  # fmt: skip
    unsure = check(of_keys(a=null, b=good), "fifo-queue", engine=engine)
    assert (unsure.verdict, unsure.key, unsure.parts["'b'"].verdict) == (UNKNOWN, "a", VALID)
    assert "enqueue #0 has null" in unsure.reason
    assert check(of_keys(a=null, b=null), "fifo-queue", engine=engine).parts.keys() == {"'a'", "'b'"}
    assert check(of_keys(a=null, b=empty), "fifo-queue", engine=engine).key == "b"


def of_keys(**histories: History) -> History:
    """The histories one after the other, each of a key of its own."""
    return History.from_ops(
        Op(-1, 1000 * n + op.time_ns, 100 * n + op.process, op.type, op.f, key, op.value)
        for n, (key, history) in enumerate(histories.items())
        for op in history
    )


@pytest.mark.parametrize(
    ("what", "first", "later", "verdict"),
    [
        ("nothing any more", [1], [], INVALID),
        ("one of two", [1, 2], [1], INVALID),
        ("what was replaced, beside another", [3], [1, 4], INVALID),
        ("one that saw both", [1, 2], [5], VALID),
        ("the same and more", [2], [2, 3], VALID),
    ],
)
def test_a_session_keeps_what_it_has_read(what, first, later, verdict):
    writes = [sibling(1), sibling(2), sibling(3, 1), sibling(4), sibling(5, 1, 2)]
    calls = [(*write, NONE, "info") for write in writes]
    history = one_by_one(*calls, ("read", None, first, "ok", 50), ("read", None, later, "ok", 50), ("final-read", None, [5, 3, 4]))  # fmt: skip
    result = check(history, "mv-register-session")
    assert result.verdict is verdict, result.reason
    if verdict is INVALID:
        assert result.anomaly == "resurrection"
    assert check(history, "mv-register").verdict is VALID


def test_a_sibling_is_shown_once():
    result = check(one_by_one(sibling(1), ("read", None, [1, 1]), ("final-read", None, [1])), "mv-register")
    assert (result.verdict, result.anomaly) == (INVALID, "duplicate-sibling")


def test_a_write_has_the_version_that_it_was_acknowledged_with():
    """It may have come before its answer; but then with that version."""
    late = ("write", 1, versioned(1, 5, "n"), "ok", 0, 9)
    assert check(rows([late, ("final-read", None, versioned(1, 4, "n"), "ok", 5, 6)]), "lww").anomaly == "old-version"  # fmt: skip
    assert check(rows([late, ("final-read", None, versioned(1, 5, "n"), "ok", 5, 6)]), "lww").verdict is VALID  # fmt: skip


HUGE = 10**5000


@pytest.mark.parametrize(
    ("model", "calls"),
    [
        ("set", [("add", 1), ("read", None, [HUGE, 1])]),
        ("set-full", [("add", HUGE), ("read", None, [HUGE]), ("read", None, [])]),
        ("unique-ids", [("generate", None, HUGE), ("generate", None, HUGE)]),
        ("register", [("write", 1), ("read", None, HUGE)]),
        ("fifo-queue", [("enqueue", 1), ("dequeue", None, HUGE)]),
        ("append-log", [("append", 1, [0, 1]), ("poll", None, [[0, HUGE]])]),
    ],
)
@pytest.mark.parametrize("key", [None, HUGE, [HUGE]], ids=["no key", "huge", "huge in a list"])
def test_an_integer_too_large_for_decimals_is_told_in_hexadecimal(model, calls, key):
    history = History.from_ops(replace(op, key=key) for op in one_by_one(*calls))
    result = check(history, model)
    assert result.verdict is INVALID
    assert hex(HUGE)[:40] in result.reason
    assert result.key == key
    assert hex(HUGE)[:40] in "".join(explain(history, result))
    assert json.loads(json.dumps(result.as_json()))["verdict"] == "invalid"
    assert hex(HUGE)[:40] in str(judge(history).results["linearizable"].reason) or model != "register"


@pytest.mark.parametrize("nothing", [None, NONE])
def test_an_id_that_is_missing_hides_no_duplicate(nothing):
    twice = [("generate", None, 1), ("generate", None, 1)]
    gap = ("generate", NONE, nothing)
    result = check(one_by_one(gap, *twice), "unique-ids")
    assert (result.verdict, result.anomaly) == (INVALID, "duplicate-id")
    unsure = check(one_by_one(gap, ("generate", None, 1), ("generate", None, 2)), "unique-ids")
    assert (unsure.verdict, "record the id" in unsure.reason) == (UNKNOWN, True)
