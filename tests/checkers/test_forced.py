"""A core of sequential consistency as a circle: each edge is forced, and where no circle is forced none is shown."""

import random
from itertools import pairwise

import pytest
from test_sequential import orderable, random_run, recorded

from checkers import History, Op, Type, Verdict, invoke
from checkers.forced import circle
from checkers.order import told
from checkers.sequential import check_sequential


def history(*calls):
    """Calls `(process, f, key, value)`, one after the other, all ok."""
    ops = []
    for n, (process, f, key, value) in enumerate(calls):
        call = invoke(process, f, key, *([] if f == "read" else [value]), time_ns=2 * n)
        ops += [call, Op(-1, 2 * n + 1, process, Type.OK, f, key, value)]
    return History.from_ops(ops)


STORE_BUFFER = history((0, "write", "x", 1), (1, "write", "y", 2), (0, "read", "y", None), (1, "read", "x", None))  # fmt: skip


def test_two_writes_that_neither_sees_are_a_circle():
    found = check_sequential(STORE_BUFFER)
    assert (found.verdict, found.anomaly) == (Verdict.INVALID, "not-sequential")
    edges = found.certificate.edges
    assert [(edge.before, edge.after, edge.name) for edge in edges] == [
        (0, 4, "session order"), (4, 2, "read before replaced"), (2, 6, "session order"), (6, 0, "read before replaced"),
    ]  # fmt: skip
    assert told(STORE_BUFFER, edges[1]) == "read 'y' the initial value (#4) saw the value before any write, so it came before write 'y' 2 (#2)"  # fmt: skip


def test_a_write_order_is_forced_by_a_read_between():
    """Two readers see two writes of a key in opposite orders."""
    ops = history(
        (0, "write", "x", 1), (1, "write", "x", 2),
        (2, "read", "x", 1), (2, "read", "x", 2), (3, "read", "x", 2), (3, "read", "x", 1),
    )  # fmt: skip
    edges = circle(ops, [0, 2, 4, 6, 8, 10])
    assert edges
    assert {edge.name for edge in edges} <= {
        "session order",
        "reads-from",
        "write order",
        "read before replaced",
    }
    assert edges[-1].after == edges[0].before
    assert all(one.after == other.before for one, other in pairwise(edges))
    sentences = [told(ops, edge) for edge in edges]
    assert any("came before" in sentence for sentence in sentences)


def test_what_is_not_known_forces_nothing():
    twice = history((0, "write", "x", 1), (1, "write", "x", 1), (2, "read", "x", 1), (2, "read", "x", None))
    assert circle(twice, [0, 2, 4, 6]) == ()
    assert circle(history((0, "write", "x", 1), (1, "read", "x", 1)), [2]) == (), (
        "its write is not in the core"
    )
    unread = History.from_ops(
        [invoke(0, "write", "x", 1, time_ns=0), invoke(1, "read", "x", time_ns=1), Op(-1, 2, 1, Type.OK, "read", "x", None), Op(-1, 3, 0, Type.INFO, "write", "x", 1)]
    )  # fmt: skip
    assert circle(unread, [0, 1]) == ()


@pytest.mark.parametrize("seed", range(4))
def test_a_circle_proves_that_there_is_no_order(seed):
    """Of any history, not of cores alone: where brute force finds an order there is no circle; and most small cores have one."""
    rng, cores, drawn = random.Random(seed), 0, 0
    for _ in range(500):
        run, order = random_run(rng)
        ops = recorded(run, order)
        if circle(ops, [op.index for op in ops if op.type is Type.INVOKE]):
            assert not orderable(run), run
        found = check_sequential(ops, "search")
        core = found.certificate.ops if found.verdict is Verdict.INVALID else ()
        if core and {ops.op(call).f for call in core} <= {"read", "write"}:
            cores, drawn = cores + 1, drawn + bool(found.certificate.edges)
    assert drawn > cores / 2 > 5


def test_null_that_was_written_is_not_the_value_before_any_write():
    """The read of null may be of that write, and then nothing is forced."""
    ops = history((0, "write", "x", None), (0, "write", "y", 1), (1, "read", "y", 1), (1, "read", "x", None))
    assert circle(ops, (0, 2, 4, 6)) == ()
    blind = history((0, "write", "x", 2), (0, "write", "y", 1), (1, "read", "y", 1), (1, "read", "x", None))
    assert circle(blind, (0, 2, 4, 6))
