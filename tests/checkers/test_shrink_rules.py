"""What each rule of the shrinker leaves out, one by one, and how it asks: halves first, in time, and never for a later proof."""

from itertools import count

import pytest

from checkers import MISSING, History, Op, Type
from checkers.shrink import (
    Core,
    Operation,
    Shrinker,
    _after,
    container_clusters,
    observes_in,
    register_clusters,
)


def one(index, f, value, word="ok", result=None, call=0, end=1):
    """An operation by itself. `word` is empty if it never came back."""
    return Operation(
        Op(index, call, index, Type.INVOKE, f, "x", value),
        Op(index + 1, end, index, Type[word.upper()], f, "x", result) if word else None,
    )


def known(*operations):
    return {operation.call.index: operation for operation in operations}


def write(index, value, call=0, end=1, word="ok"):
    return one(index, "write", value, word, value, call, end)


def read(index, value, call=0, end=1, word="ok"):
    return one(index, "read", MISSING, word, value, call, end)


def cas(index, old, new, call=0, end=1, word="ok"):
    return one(index, "cas", [old, new], word, [old, new], call, end)


@pytest.mark.parametrize(
    ("model", "failed_cas", "operation", "observes"),
    [
        ("register", False, read(0, 1), True), ("register", False, read(0, MISSING, word=""), True), ("register", False, write(0, 1), False),
        ("set", False, one(0, "contains", 1, result=[1, True]), True), ("kv", False, one(0, "get", MISSING, result="a"), True),
        ("cas-register", True, cas(0, 1, 2, word="fail"), True), ("cas-register", False, cas(0, 1, 2, word="fail"), False),
        ("cas-register", True, cas(0, 1, 2), False), ("cas-register", True, cas(0, 1, 2, word=""), False),
        ("cas-register", True, cas(0, 1, 2, word="info"), False),
        ("multi-register", False, one(0, "txn", [("read", 0, 1), ("read", 1, 1)]), True),
        ("multi-register", False, one(0, "txn", [("read", 0, 1), ("write", 1, 1)]), False),
        ("queue", False, one(0, "dequeue", MISSING), True), ("stack", False, one(0, "pop", MISSING), True),
        ("queue", False, one(0, "dequeue", MISSING, result=4), False), ("queue", False, one(0, "dequeue", MISSING, "info"), False),
        ("queue", False, one(0, "dequeue", MISSING, ""), False), ("queue", False, one(0, "enqueue", 1), False),
        ("register", False, one(0, "dequeue", MISSING), False),
    ],
)  # fmt: skip
def test_what_changes_nothing_is_an_observer(model, failed_cas, operation, observes):
    assert observes_in(model, failed_cas)(operation) is observes


def test_a_value_of_a_register_goes_with_all_that_touches_it_and_all_that_replaced_it():
    clusters = register_clusters(
        known(
            write(0, 1),
            read(2, 1),
            cas(4, 1, 2),
            cas(6, 2, 3),
            read(8, 3),
            write(10, 9),
            read(12, 9, word=""),
            cas(14, 7, 8),
        )
    )
    assert [sorted(cluster) for cluster in clusters] == [[0, 2, 4, 6, 8], [4, 6, 8], [6, 8], [10], [14]]
    turning = register_clusters(known(cas(0, 1, 2), cas(2, 2, 1)))
    assert turning == [frozenset({0, 2})], "a circle is one cluster, and told once"


def test_an_element_goes_with_all_that_added_took_or_showed_it():
    clusters = container_clusters(
        known(
            one(0, "enqueue", 1), one(2, "enqueue", 2), one(4, "dequeue", MISSING, result=1), one(6, "dequeue", MISSING),
            one(8, "dequeue", MISSING, "info", MISSING), one(10, "read", MISSING, result=[1, 2]), one(12, "read", MISSING, "", []),
            one(14, "pop", MISSING, result=2), one(16, "dequeue", MISSING, "info", 1),
        )
    )  # fmt: skip
    assert sorted(map(sorted, clusters)) == [[0, 4, 10], [2, 10, 14]]


START = write(20, 5, 100, 110)


@pytest.mark.parametrize(
    ("others", "left"),
    [
        ([write(0, 1, 0, 99)], set()), ([write(0, 1, 0, 100)], {0}), ([write(0, 1, 0, 1, "info")], {0}), ([write(0, 1, 0, 0, "")], {0}),
        ([read(0, 1, 0, 99)], set()), ([read(22, 1, 105, 106)], set()), ([read(22, 1, 110, 120)], set()),
        ([read(22, 5, 111, 120)], {22}), ([write(22, 6, 105, 106)], {22}), ([write(22, 6, 111, 112)], {22}),
        ([cas(22, 5, 6, 105, 106)], None), ([cas(22, 5, 6, 110, 120)], None), ([cas(22, 5, 6, 111, 120)], {22}),
        ([cas(0, 5, 6, 90, 120)], None), ([cas(22, 5, 6, 105, 0, "")], {22}), ([cas(22, 5, 6, 105, 106, "fail")], {22}),
        ([write(0, 1, 0, 1), read(22, 1, 111, 112)], {0, 22}), ([write(0, 1, 0, 1), write(2, 1, 2, 3), read(22, 1, 111, 112)], {2, 22}),
        ([read(22, 1, 111, 112)], None), ([read(22, None, 111, 112)], {22}),
        ([write(0, 1, 0, 1), cas(2, 2, 1, 2, 3), read(22, 1, 111, 112)], None),
        ([cas(2, 2, 1, 2, 3), write(4, 1, 4, 5), read(22, 1, 111, 112)], {4, 22}),
        ([write(0, 1, 0, 1), cas(22, 1, 7, 111, 112), read(24, 7, 113, 114)], {0, 22, 24}),
        ([write(0, 1, 0, 1), write(22, 1, 113, 114), read(24, 1, 115, 116)], {22, 24}),
        ([read(22, 1, 111, 0, "")], {22}),
    ],
)  # fmt: skip
def test_a_late_start_forgets_what_had_returned_but_no_write_of_what_is_still_read(others, left):
    found = _after(START, [*others, START])
    assert found == (left if left is None else left | {20})


def history(*operations):
    events = []
    for call, end in operations:
        events += [call] if end is None else [call, end]
    return History.from_ops(
        [
            Op(-1, at, *(getattr(op, name) for name in ("process", "type", "f", "key", "value")))
            for at, op in enumerate(events)
        ]
    )


def invalid_if(bad):
    """Asks that say INVALID of a history whose calls are bad, blocked at its last answer; they keep what they were asked."""
    asked = []

    def ask(smaller, ms):
        calls = [op for op in smaller if op.type is Type.INVOKE]
        asked.append(
            (tuple(op.value if op.f == "write" else smaller.completion(op.index).value for op in calls), ms)
        )
        ended = [op.index for op in calls if smaller.completion(op.index) is not None]
        if not bad(asked[-1][0]):
            return None
        return {
            "minimal": True,
            "ops": [op.index for op in calls],
            "stuck": [(0, [ended[0]])],
            "blocking": ended[-1],
        }

    return ask, asked


def shrinker(run, ask, model="register", clock=lambda: 0.0, failed_cas=False, deadline_s=1.0):
    return Shrinker(run, model, observes_in(model, failed_cas), failed_cas, ask, clock, deadline_s)


def whole(run):
    calls = [op.index for op in run if op.type is Type.INVOKE]
    return {"minimal": True, "ops": calls, "stuck": [], "blocking": calls[-1]}


READS = history(*(read(2 * at, at) for at in range(16)))


def test_observers_are_left_out_by_halves_and_at_last_one_by_one():
    ask, asked = invalid_if(lambda values: {3, 11} <= set(values))
    core = shrinker(READS, ask, "counter").core(whole(READS))
    assert core.ops == (6, 22)
    assert core.minimal
    assert core.answer["stuck"] == [(0, [6])]
    assert core.answer["blocking"] == 22
    assert core.until_ns == READS.completion(22).time_ns
    assert [len(values) for values, _ in asked] == [8, 8, 12, 12, 8, 8, 6, 4, 4, 2, 3, 2, 2, 1, 1, 1, 1, 1]
    assert core.tests == len(asked)


def test_a_proof_that_comes_later_is_none():
    """What is left is bad too, but only at a later answer than before: then it says nothing of the prefix."""
    run = history(*(read(2 * at, at) for at in range(4)))
    early = {"minimal": True, "ops": [0, 2, 4, 6], "stuck": [], "blocking": 4}
    ask, _ = invalid_if(lambda values: 3 in values)
    assert shrinker(run, ask, "counter").core(early).ops == (0, 2, 4, 6)
    same = {**early, "blocking": 6}
    assert shrinker(run, ask, "counter").core(same).ops == (6,)


def test_what_the_search_knows_of_the_future_is_begun_with_the_whole_key():
    other = Operation(read(8, 1).call, read(8, 1).end)
    named = Operation(
        Op(10, 0, "nemesis", Type.INVOKE, "kill", "x"), Op(11, 1, "nemesis", Type.INFO, "kill", "x")
    )
    elsewhere = Operation(*(Op(op.index, op.time_ns, 99, op.type, op.f, "y", op.value) for op in read(12, 1)))
    run = history(read(0, 0), read(2, 1), other, named, elsewhere)
    ask, _ = invalid_if(lambda values: False)
    core = shrinker(run, ask, "counter").core({"minimal": False, "ops": [0], "stuck": [], "blocking": 0})
    assert core.ops == (0, 2, 4)
    assert core.until_ns == max(op.time_ns for op in run)


def test_what_is_not_bad_by_itself_is_no_smaller_proof():
    def ask(smaller, ms):
        return {**whole(smaller), "minimal": False}

    assert shrinker(READS, ask, "counter").core(whole(READS)).ops == tuple(range(0, 32, 2))


@pytest.mark.parametrize(("model", "failed_cas"), [(None, False), ("cas-register", True)])
def test_nothing_but_a_register_begins_late(model, failed_cas):
    """Of an object of one's own a write may mean anything; where failed compare-and-sets count, an earlier value may be seen."""
    run = history(write(0, 1), read(2, 1), write(4, 2), cas(6, 2, 3, word="fail"), read(8, 2))
    ask, asked = invalid_if(lambda values: model is None or [2, 3] in values)
    core = Shrinker(run, model, observes_in("register", failed_cas), failed_cas, ask, lambda: 0.0, 1.0).core(
        whole(run)
    )
    assert {0, 4} <= set(core.ops), "no rule leaves out a write"
    assert all(1 in values and 2 in values for values, _ in asked)


def test_the_time_that_is_left_is_told_and_when_it_is_up_what_is_known_is_said():
    ask, asked = invalid_if(lambda values: {3, 11} <= set(values))
    ticks = count(0, 1)
    core = shrinker(READS, ask, "counter", lambda: next(ticks) / 32).core(whole(READS))
    assert not core.minimal
    assert {6, 22} <= set(core.ops) < set(range(0, 32, 2))
    assert all(1 <= ms <= 1000 for _, ms in asked)
    assert [ms for _, ms in asked] == sorted((ms for _, ms in asked), reverse=True)
    assert core.tests == len(asked)
    ask, asked = invalid_if(lambda values: {3, 11} <= set(values))
    assert shrinker(READS, ask, "counter", lambda: 0.9999).core(whole(READS)).minimal
    assert {ms for _, ms in asked} == {1}
    assert shrinker(READS, ask, "counter", lambda: 1.0).core(whole(READS)).ops == tuple(range(0, 32, 2))


def test_a_register_begins_late_and_drops_values_nobody_sees():
    run = history(write(0, 1), read(2, 1), write(4, 2), write(6, 3), read(8, 3), read(10, 2))
    ask, asked = invalid_if(lambda values: {2, 3} <= set(values))
    core = shrinker(run, ask).core(whole(run))
    assert core.ops == (4, 6)
    begun, *_ = [values for values, _ in asked]
    assert begun == (2, 3, 3, 2), "from the last write on, with the earlier write of what is still read"
    assert [values for values, _ in asked[1:]] == [(3, 3), (2, 2), (2, 3, 2), (2, 3), (3,), (2,), (3,), (2,)]


def test_a_unit_of_which_nothing_is_left_is_not_asked_about_again():
    """The small cluster cannot go by itself; when the large one goes, it is gone with it."""
    run = history(cas(0, 2, 3), cas(2, 1, 2), write(4, 1), write(6, 9, word="info"), read(8, 9))
    ask, asked = invalid_if(lambda values: 9 in values and (1 not in values or [2, 3] in values))
    core = shrinker(run, ask, "cas-register").core(whole(run))
    assert core.ops == (6,)
    assert core.minimal
    left = [len(values) for values, _ in asked]
    assert left == [3, 3, 0, 4, 3, 2, 0, 1, 0, 0]


def core_of(*operations):
    return Core(tuple(sorted(known(*operations))), 100, {}, False, 0)


def test_writes_that_nobody_sees_are_units_of_a_register_only():
    run = history(write(0, 1), write(2, 2), read(4, 2), cas(6, 3, 4), write(8, 3))
    units = core_of(*(read(at, 0) for at in (0, 2, 4, 6, 8)))
    assert shrinker(run, None)._unseen(units) == [frozenset({0})]
    assert shrinker(run, None, "cas-register")._unseen(units) == [frozenset({0})]
    assert shrinker(run, None, "cas-register", failed_cas=True)._unseen(units) == []
    assert shrinker(run, None, "queue")._unseen(units) == []


def test_no_cluster_where_a_failed_cas_is_an_observation():
    run = history(write(0, 1), read(2, 1), cas(4, 1, 2))
    units = core_of(*(read(at, 0) for at in (0, 2, 4)))
    assert shrinker(run, None, "cas-register")._clusters(units) == [frozenset({0, 2, 4}), frozenset({4})]
    assert shrinker(run, None, "cas-register", failed_cas=True)._clusters(units) == []
    plain = core_of(read(0, 0), read(2, 0))
    assert shrinker(run, None, "cas-register", failed_cas=True)._clusters(plain) == [frozenset({0, 2})]
    assert shrinker(run, None, "mutex")._clusters(plain) == []
    queue = history(one(0, "enqueue", 1), one(2, "dequeue", MISSING, result=1))
    assert shrinker(queue, None, "queue")._clusters(plain) == [frozenset({0, 2})]
