"""The validator rejects what proves nothing: orders that do not replay, and cores that can be explained."""

import pytest

from checkers import MISSING, History, Verdict, invoke
from checkers.register import check_linearizable
from checkers.special import check_special
from checkers.validate import CertificateError, validate_core, validate_object_core, validate_witness


def history(*rows):
    """Rows (f, value, call, end) of one key; end None means never."""
    events = []
    for process, (f, value, call, end) in enumerate(rows):
        op = invoke(process, f, "x", value, time_ns=call)
        events.append(op)
        if end is not None:
            events.append(invoke(process, f, "x", value, time_ns=end).ok())
    return History.from_ops(sorted(events, key=lambda op: op.time_ns))


WRITES = history(("write", 1, 0, 10), ("write", 2, 20, 30), ("read", 2, 40, 50))  # calls are #0, #2 and #4


def test_a_witness_holds():
    result = check_linearizable(WRITES)
    assert result.verdict is Verdict.VALID
    validate_witness(WRITES, result)
    validate_witness(WRITES, result.parts["'x'"])


@pytest.mark.parametrize(
    ("order", "fault"),
    [
        ([2, 0, 4], "returned before"),
        ([0, 4, 2], "saw 2"),
        ([0, 2], "leaves it out"),
        ([0, 2, 2, 4], "twice"),
        ([0, 1, 2, 4], "no call"),
    ],
)
def test_a_bad_witness_is_refused(order, fault):
    with pytest.raises(CertificateError, match=fault):
        validate_witness(WRITES, order)


def test_a_core_that_can_be_explained_is_refused():
    with pytest.raises(CertificateError, match="in this order: #0 #2 #4"):
        validate_core(WRITES, [0, 2, 4])


def test_an_impossible_core_holds():
    stale = history(("write", 1, 0, 10), ("write", 2, 20, 30), ("read", 1, 40, 50))
    validate_core(stale, check_linearizable(stale))
    with pytest.raises(CertificateError, match="possible"):
        validate_core(stale, [0, 4])


def test_zero_and_false_are_two_values():
    mixed = history(("write", 0, 0, 10), ("read", False, 20, 30))
    validate_core(mixed, check_linearizable(mixed))


def calls(*rows):
    """Rows (f, value, result, word, call, end) of one key."""
    events = []
    for process, (f, value, result, word, call, end) in enumerate(rows):
        end_op = invoke(process, f, "x", value, time_ns=end)
        done = (
            end_op.ok(result)
            if word == "ok"
            else end_op.fail("refused")
            if word == "fail"
            else end_op.info("no reply")
        )
        events += [invoke(process, f, "x", value, time_ns=call), done]
    return History.from_ops(sorted(events, key=lambda op: op.time_ns))


@pytest.mark.parametrize(
    ("model", "add", "take", "first"),
    [
        ("queue", "enqueue", "dequeue", 2),
        ("stack", "push", "pop", 1),
        ("priority-queue", "insert", "poll", 1),
    ],
)
def test_a_core_of_a_container_is_closed_under_its_values(model, add, take, first):
    adds = ((add, 1, 1, "ok", 0, 10), (add, 2, 2, "ok", 20, 30))
    bad = calls(*adds, (take, MISSING, first, "ok", 40, 50), (take, MISSING, 3 - first, "ok", 60, 70))
    result = check_special(bad, model)
    assert result.verdict is Verdict.INVALID
    validate_object_core(bad, model, result)
    good = calls(*adds, (take, MISSING, 3 - first, "ok", 40, 50), (take, MISSING, first, "ok", 60, 70))
    with pytest.raises(CertificateError, match="possible, in this order: #0 #2 #4 #6"):
        validate_object_core(good, model, [4, 6])
    with pytest.raises(CertificateError, match="possible"):
        validate_object_core(bad, model, [4])  # brings its add, and not the other value


def test_a_take_that_may_have_removed_the_value_is_no_proof_of_a_lie():
    maybe = calls(
        ("enqueue", 1, 1, "ok", 0, 10),
        ("dequeue", MISSING, MISSING, "info", 20, 30),
        ("dequeue", MISSING, None, "ok", 40, 50),
    )
    with pytest.raises(CertificateError, match="possible, in this order: #0 #2 #4"):
        validate_object_core(maybe, "queue", [0, 4])


def test_a_failed_cas_within_its_expected_value_is_impossible():
    held = calls(
        ("write", 1, 1, "ok", 0, 10),
        ("cas", [1, 2], MISSING, "fail", 20, 30),
        ("read", MISSING, 1, "ok", 40, 50),
    )
    result = check_special(held, "cas-register", failed_cas=True)
    assert result.verdict is Verdict.INVALID
    validate_object_core(held, "cas-register", result)
    with pytest.raises(CertificateError, match="possible"):
        validate_object_core(
            held, "cas-register", [0, 2]
        )  # a write that the core leaves out may have come between


def test_a_reader_alone_is_no_core_of_a_register_that_was_written():
    written = calls(("write", 1, 1, "ok", 0, 10), ("read", MISSING, 1, "ok", 20, 30))
    with pytest.raises(CertificateError, match="possible"):
        validate_object_core(written, "cas-register", [2])
    with pytest.raises(CertificateError, match="only queue"):
        validate_object_core(written, "mutex", [2])
