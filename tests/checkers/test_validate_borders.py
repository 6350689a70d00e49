"""The validator at its borders: equal times, the largest core, what failed, what is not known, and what a key leaves out."""

import math
from dataclasses import replace

import pytest

from checkers import MISSING, History, Op, Type
from checkers.register import check_linearizable
from checkers.validate import (
    CORE_MAX,
    CertificateError,
    validate_core,
    validate_object_core,
    validate_order,
    validate_sequential,
    validate_witness,
)
from checkers.verdict import Certificate, Result, Verdict


def recorded(*rows):
    """Rows `(f, value, word, result, call, end)`, with `key` and `process` where they matter. The calls are numbered as they come."""
    events = []
    for number, (f, value, word, result, call, end, *rest) in enumerate(rows):
        key, process = (*rest, *("x", number)[len(rest) :])
        events.append((call, 1, Op(-1, call, process, Type.INVOKE, f, key, value)))
        if word:
            events.append((end, 0, Op(-1, end, process, Type[word.upper()], f, key, result)))
    return History.from_ops([op for *_, op in sorted(events, key=lambda event: event[:2])])


def calls(history):
    """The numbers of the calls of a history, as they come."""
    return [op.index for op in history if op.type is Type.INVOKE]


def refused(why, validate, *args, **named):
    with pytest.raises(CertificateError, match=why):
        validate(*args, **named)


def write(value, call, end, *rest):
    return ("write", value, "ok", value, call, end, *rest)


def read(value, call, end, *rest):
    return ("read", MISSING, "ok", value, call, end, *rest)


def cas(old, new, word, call, end, *rest):
    return ("cas", [old, new], word, [old, new], call, end, *rest)


TWO_KEYS = recorded(write(1, 0, 1), write(2, 2, 3, "y"), read(1, 4, 5), read(2, 6, 7, "y"))


def merged(ops, parts):
    """A result merged from parts, with this for its witness."""
    witness = Certificate("witness", ops)
    return Result("linearizable", Verdict.VALID, "in this order", certificate=witness, parts=parts)


def test_a_part_is_about_its_key_and_the_whole_about_all_keys_that_were_read():
    parts = check_linearizable(TWO_KEYS).parts
    validate_witness(TWO_KEYS, check_linearizable(TWO_KEYS))
    validate_witness(TWO_KEYS, parts["'x'"])
    refused("#2 is ok, but", validate_witness, TWO_KEYS, merged([0, 4], parts))
    blind = recorded(write(1, 0, 1), read(1, 2, 3), write(2, 4, 5, "y"))
    x = {"'x'": parts["'x'"]}
    validate_witness(blind, merged([0, 2], x))
    refused("#4 is ok, but", validate_witness, blind, merged([0, 2], parts))  # it says that it has judged y
    refused(
        "#0 is ok, but",
        validate_witness,
        TWO_KEYS,
        replace(parts["'x'"], certificate=Certificate("witness", ())),
    )
    refused("#2 is ok, but", validate_order, TWO_KEYS, "register", merged([0, 4], x))


def test_what_is_no_call_of_a_client_proves_nothing():
    run = recorded(write(1, 0, 1), ("write", 2, "", None, 2, 0, "x", "nemesis"), read(1, 4, 5), read(2, 6, 7))
    for index in (2, 99, -1):
        for validate, *model in ((validate_witness,), (validate_order, "register"), (validate_sequential,), (validate_core,), (validate_object_core, "cas-register")):  # fmt: skip
            refused(f"#{index}", validate, run, *model, [index])
    validate_core(run, [5])
    refused("there is no object 'bank'", validate_order, run, "bank", [0])


def test_a_core_brings_the_writers_of_what_it_saw():
    run = recorded(
        write(1, 0, 1), cas(1, 2, "ok", 2, 3), read(2, 4, 5), write(3, 6, 7), read(2, 8, 9), write(2, 10, 11)
    )
    refused("possible, in this order: #0 #2 #4", validate_core, run, [4])
    refused("possible, in this order: #0 #2 #4 #8", validate_core, run, [4, 8])
    validate_core(run, [6, 8])  # and not who was called when nobody looked any more


def test_identities_and_revisions_are_replayed():
    run = recorded(
        ("fetch-add", 1, "ok", 0, 0, 1), ("fetch-add", 1, "info", None, 2, 3), ("fetch-add", 1, "ok", 2, 4, 5)
    )
    validate_order(run, "fetch-and-add", [0, 2, 4])
    refused("#4 cannot happen", validate_order, run, "fetch-and-add", [0, 4, 2])
    numbers = recorded(
        ("read", MISSING, "ok", [0, None], 0, 1), ("write", "a", "ok", 3, 2, 3), ("write", "b", "info", None, 4, 5),
        ("read", MISSING, "ok", [7, "b"], 6, 7), ("write", "c", "ok", 8, 8, 9), ("read", MISSING, "ok", [8, "c"], 10, 11),
    )  # fmt: skip
    validate_order(numbers, "revisions", [0, 2, 4, 6, 8, 10])
    refused("#6 cannot happen", validate_order, numbers, "revisions", [0, 2, 6, 8, 10])
    refused("#2 cannot happen", validate_order, numbers, "revisions", [0, 8, 2])


def test_a_result_with_another_certificate_or_none_is_no_witness():
    bad = recorded(write(1, 0, 1), read(2, 2, 3))
    refused("carries no witness", validate_witness, bad, check_linearizable(bad))
    refused("carries no core", validate_core, bad, Result("linearizable", Verdict.UNKNOWN, "no time"))


def test_what_a_named_process_did_is_no_part_of_a_witness():
    run = recorded(write(1, 0, 1), write(7, 2, 3, "x", "nemesis"), read(1, 4, 5))
    validate_witness(run, [0, 4])
    validate_order(run, "register", [0, 4])


def test_operations_that_meet_at_one_instant_may_come_in_either_order():
    meet = recorded(read(1, 0, 10), write(1, 10, 20))
    first, second = calls(meet)
    validate_witness(meet, [second, first])
    validate_order(meet, "register", [second, first])
    refused("possible, in this order", validate_core, meet, [first, second])
    refused("possible, in this order", validate_object_core, meet, "cas-register", [first, second])
    apart = recorded(read(1, 0, 10), write(1, 11, 20))
    first, second = calls(apart)
    refused("returned before", validate_witness, apart, [second, first])
    refused("returned before", validate_order, apart, "register", [second, first])
    validate_core(apart, [first, second])
    validate_object_core(apart, "cas-register", [first, second])


def test_one_key_does_not_hold_back_another():
    run = recorded(write(1, 0, 1), write(2, 2, 3, "y"))
    validate_witness(run, [2, 0])
    validate_order(run, "register", [2, 0])


def test_the_latest_call_counts_and_not_the_last_one():
    run = recorded(write(1, 0, 50), write(2, 20, 40), write(3, 5, 10))
    first, third, second = calls(run)
    refused("returned before", validate_witness, run, [second, first, third])
    refused("returned before", validate_order, run, "register", [second, first, third])
    validate_witness(run, [first, third, second])


def test_an_operation_of_unknown_outcome_may_take_effect_at_any_later_time():
    run = recorded(
        ("write", 1, "info", MISSING, 0, 5),
        read(None, 10, 11),
        read(1, 20, 21),
        ("write", 2, "", None, 30, 0),
    )
    maybe, before, after, never = calls(run)
    for validate, *model in ((validate_witness,), (validate_order, "register")):
        validate(run, *model, [before, maybe, after])
        validate(run, *model, [before, maybe, after, never])
    refused("possible", validate_core, run, [maybe, before, after])
    refused("possible", validate_object_core, run, "cas-register", [maybe, before, after])
    refused("possible", validate_core, run, [before, after])
    validate_core(recorded(("write", 1, "", None, 0, 0), read(2, 1, 2)), [0, 1])


def test_what_failed_or_saw_nothing_is_no_part_of_a_witness():
    run = recorded(
        ("write", 1, "fail", MISSING, 0, 1),
        ("read", MISSING, "info", MISSING, 2, 3),
        ("read", MISSING, "", None, 4, 0),
    )
    for index in calls(run):
        refused("failed or is a read without", validate_witness, run, [index])
        refused("failed, is a read without", validate_sequential, run, [index])
    refused("failed", validate_order, run, "register", [0])
    validate_witness(run, [])
    refused("nothing need have happened", validate_core, run, calls(run))


def test_only_calls_of_a_register_are_in_a_witness():
    run = recorded(("enqueue", 1, "ok", 1, 0, 1))
    refused("'enqueue', which a register does not have", validate_witness, run, [0])
    refused("#1 is no call", validate_witness, run, [1])
    refused("#1 is no call", validate_order, run, "queue", [1])
    refused("twice", validate_order, run, "queue", [0, 0])
    lied = recorded(write(1, 0, 1), read(2, 2, 3))
    refused(
        "#2 cannot happen where the witness puts it: the state is 1", validate_order, lied, "register", [0, 2]
    )
    refused("#0 is ok, but", validate_order, recorded(write(1, 0, 1), write(2, 2, 3)), "register", [2])


def test_an_answer_of_unknown_outcome_is_no_result():
    run = recorded(("enqueue", 1, "ok", 1, 0, 1), ("dequeue", MISSING, "info", 7, 2, 3))
    validate_order(run, "queue", [0, 2])
    late = recorded(
        ("enqueue", 1, "ok", 1, 0, 1),
        ("dequeue", MISSING, "info", 7, 2, 3),
        ("dequeue", MISSING, "ok", None, 4, 5),
    )
    refused("possible, in this order: #0 #2 #4", validate_object_core, late, "queue", [0, 4])


def test_a_failed_cas_has_its_place_where_it_met_another_value():
    run = recorded(write(1, 0, 1), cas(5, 6, "fail", 2, 3), cas(1, 2, "ok", 4, 5), cas(1, 9, "fail", 6, 7))
    first, failed, done, later = calls(run)
    whole = [first, failed, done, later]
    validate_order(run, "cas-register", whole, failed_cas=True)
    validate_order(run, "cas-register", [first, done])
    refused("failed", validate_order, run, "cas-register", whole)
    refused(
        "cannot happen", validate_order, run, "cas-register", [first, later, done, failed], failed_cas=True
    )
    refused(
        "returned before", validate_order, run, "cas-register", [first, done, failed, later], failed_cas=True
    )
    wrote = recorded(("write", 1, "fail", MISSING, 0, 1))
    refused("failed", validate_order, wrote, "cas-register", [0], failed_cas=True)


def test_the_largest_core_is_tried_and_a_larger_one_is_not():
    def run(size):
        return recorded(*(write(at, 10 * at, 10 * at + 5) for at in range(size - 1)), read(-1, 1000, 1001))

    def turned(size, extra):
        half = size // 2
        adds = [("enqueue", at, "ok", at, 10 * at, 10 * at + 5) for at in range(half + extra)]
        return recorded(
            *adds,
            *(
                ("dequeue", MISSING, "ok", half - 1 - at, 1000 + 10 * at, 1005 + 10 * at)
                for at in range(half)
            ),
        )

    whole = run(CORE_MAX)
    validate_core(whole, calls(whole))
    validate_object_core(whole, "cas-register", calls(whole))
    more = run(CORE_MAX + 1)
    refused("more than 16", validate_core, more, calls(more))
    queue = turned(CORE_MAX, 0)
    validate_object_core(queue, "queue", calls(queue))
    queue = turned(CORE_MAX, 1)
    refused("more than 16", validate_object_core, queue, "queue", calls(queue))


def test_a_core_is_of_one_key():
    both = recorded(write(1, 0, 1), read(9, 2, 3, "y"))
    refused("several keys", validate_core, both, [0, 2])
    refused("one key, and has at least one", validate_object_core, both, "cas-register", [0, 2])
    refused("one key, and has at least one", validate_object_core, both, "cas-register", [])
    refused("nothing need have happened", validate_core, both, [])
    elsewhere = recorded(("enqueue", 1, "ok", 1, 0, 1, "y"), ("dequeue", MISSING, "ok", 1, 2, 3))
    validate_object_core(elsewhere, "queue", [2])


def test_a_core_of_a_register_is_closed_under_the_writers_of_what_is_seen():
    chain = recorded(write(1, 0, 1), cas(1, 2, "ok", 2, 3), read(2, 4, 5), read(9, 6, 7))
    refused("possible, in this order: #0 #2 #4", validate_object_core, chain, "cas-register", [4])
    validate_object_core(chain, "cas-register", [6])
    refused("possible, in this order: #0", validate_object_core, chain, "cas-register", [0])


def test_no_more_is_brought_to_a_core_than_touched_its_values():
    run = recorded(write(2, 0, 1), write(9, 2, 3), read(2, 4, 5))
    refused("possible, in this order: #0 #4", validate_object_core, run, "cas-register", [4])
    nothing = ("dequeue", MISSING, "ok", None)
    run = recorded((*nothing, 0, 1), ("enqueue", 1, "ok", 1, 2, 3), (*nothing, 4, 5))
    refused("possible, in this order: #0 #2", validate_object_core, run, "queue", [0, 2])
    validate_object_core(run, "queue", [2, 4])


def test_what_failed_writes_nothing_and_is_no_witness_against_a_core_it_is_not_in():
    run = recorded(("write", 1, "fail", MISSING, 0, 1), read(1, 2, 3))
    for core in ([2], [0, 2]):
        validate_object_core(run, "cas-register", core)
        validate_core(run, core)
    blind = recorded(write(3, 0, 1), write(1, 2, 3), cas(1, 2, "fail", 4, 5), read(3, 6, 7))
    refused("possible, in this order: #0 #4 #6", validate_object_core, blind, "cas-register", [4, 6])
    refused_add = recorded(("enqueue", 1, "fail", MISSING, 0, 1), ("dequeue", MISSING, "ok", 1, 2, 3))
    validate_object_core(refused_add, "queue", [2])
    held = recorded(write(1, 0, 1), cas(1, 1, "fail", 2, 3), read(1, 4, 5))
    refused("possible, in this order: #0 #4", validate_object_core, held, "cas-register", [4])
    refused("possible", validate_object_core, held, "cas-register", [2])


def test_the_order_of_a_process_is_kept_and_no_other_need_be():
    run = recorded(write(1, 0, 1, "x", 1), write(2, 2, 3, "x", 1), read(1, 4, 5, "x", 2))
    validate_sequential(run, [0, 4, 2])
    refused("process 1 did later", validate_sequential, run, [2, 0, 4])
    refused("#4 saw 1, but .* holds 2", validate_sequential, run, [0, 2, 4])
    refused("twice", validate_sequential, run, [0, 0, 4, 2])
    refused("#4 is ok, but", validate_sequential, run, [0, 2])


def test_keys_are_told_apart_in_a_sequential_order():
    validate_sequential(TWO_KEYS, calls(TWO_KEYS))
    other = recorded(write(1, 0, 1, "x", 1), read(None, 2, 3, "y", 1))
    validate_sequential(other, [0, 2])


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ([1, 2], [1, 2], True), ([1, 2], [1], False), ([1], [1, 2], False), ([1, 2], [1, 3], False), ([0], [False], False),
        ({"a": 1}, {"a": 1}, True), ({"a": 1}, {"b": 1}, False), ({"a": 1, "b": 2}, {"a": 1, "b": 3}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 0}, {"a": False}, False), (math.nan, math.nan, True), (math.nan, 1.0, False), (1.0, math.nan, False), (0.0, 0, False),
    ],
)  # fmt: skip
def test_what_was_read_is_what_was_written_all_the_way_down(a, b, same):
    run = recorded(write(a, 0, 1), read(b, 2, 3))
    if same:
        validate_witness(run, [0, 2])
        refused("possible", validate_core, run, [0, 2])
    else:
        refused("#2 saw", validate_witness, run, [0, 2])
        validate_core(run, [0, 2])
