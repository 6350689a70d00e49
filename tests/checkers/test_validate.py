"""The validator rejects what proves nothing: orders that do not replay, and cores that can be explained."""

import pytest

from checkers import History, Verdict, invoke
from checkers.register import check_linearizable
from checkers.validate import CertificateError, validate_core, validate_witness


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
