"""Delta, Gamma and safety on random small histories: what the brute force finds by trying every shift."""

import math
import os
import random

import pytest
from test_fuzz_zones import never, random_history, records

from checkers import History, Verdict
from checkers.notation import parse_drawing
from checkers.oracle import linearizable
from checkers.regular import check_safe
from checkers.staleness import shifts

BATCH = 100


def least(ops, move):
    """The least whole shift after which the brute force finds an order; None if the largest that can matter does not help."""
    span = 2 + max(op[4] for op in ops) - min(op[4] for op in ops)
    return next((by for by in range(span + 60) if linearizable([move(op, by) for op in ops])), None)


def earlier_read(op, by):
    return (*op[:4], op[4] - by, op[5]) if op[0] == "read" else op


def wider(op, by):
    """Times are doubled, so that half a unit at both ends is a whole number."""
    return (*op[:4], 2 * op[4] - by, 2 * op[5] + by if op[3] == "ok" else op[5])


def scores(ops, lower):
    """Of each value in conflict: the least shift after which its zone overlaps no other's. Each pair of zones is tried, by definition.

    A zone is (least return, call of the write, greatest call of its reads); `lower` tells its greatest call after a shift.
    """
    zones = []
    for value in {op[1] for op in ops}:
        own = [op for op in ops if op[1] == value and op[3] == "ok"]
        if not own or (value is None and not any(op[0] == "read" for op in own)):
            continue
        first = -math.inf if value is None else min(op[5] for op in own)
        write = next((op[4] for op in ops if op[0] != "read" and op[1] == value), -math.inf)
        zones.append((first, write, max((op[4] for op in own if op[0] == "read"), default=-math.inf)))

    def conflict(one, other, by):
        return one[0] < lower(other, by) and other[0] < lower(one, by)

    found = []
    for zone in zones:
        others = [other for other in zones if other is not zone]
        gap = max(0, zone[1] - zone[0]) if zone[0] > -math.inf else 0
        by = gap
        while any(conflict(zone, other, by) for other in others):
            by += 1
        found += [by] if by else []
    return sorted(found)


def reads_earlier(zone, by):
    return max(zone[1], zone[2] - by)


def half_wider(zone, by):
    """Both ends by half: the sum is put on the call."""
    return max(zone[1], zone[2]) - by


def safe(ops):
    """Each read that no write touches returns the value of a write before it that no other write surely overwrote."""
    writes = [op for op in ops if op[0] != "read" and op[3] != "fail"]
    for _, seen, _, status, call, ret in (op for op in ops if op[0] == "read"):
        if status != "ok" or any(w[4] <= ret and w[5] >= call for w in writes):
            continue
        own = -math.inf if seen is None else next((w[5] for w in writes if w[1] == seen), math.inf)
        if own >= call or any(own < w[4] and w[5] < call for w in writes if w[3] == "ok"):
            return False
    return True


@pytest.mark.slow
def test_shifts_and_safety_are_what_their_definitions_say():
    rng = random.Random(3)
    moved = unbounded = unsafe = total = 0
    for _ in range(int(os.environ.get("QUORATE_FUZZ", "50000")) // (25 * BATCH) or 1):
        histories = [[never(op) for op in random_history(rng)] for _ in range(BATCH)]
        recorded = History.from_ops(records(histories)[0])
        found, skipped = shifts(recorded)
        verdicts = check_safe(recorded).parts
        assert skipped == 0
        for one in found:
            ops = histories[one.key]
            assert one.delta_ns == least(ops, earlier_read), ops
            assert one.gamma_ns == least(ops, wider), ops
            if not any(op[0] == "cas" for op in ops) and one.delta_ns is not None:
                assert max(one.deltas_ns, default=0) == one.delta_ns
                assert max(one.gammas_ns, default=0) == one.gamma_ns
                assert sorted(one.deltas_ns) == scores(ops, reads_earlier), ops
                assert sorted(one.gammas_ns) == scores(ops, half_wider), ops
            if str(one.key) in verdicts:
                assert (verdicts[str(one.key)].verdict is Verdict.VALID) == safe(ops), ops
                unsafe += not safe(ops)
            total, moved = total + 1, moved + bool(one.delta_ns)
            unbounded += one.delta_ns is None
    assert min(moved, unbounded, unsafe) > 0.03 * total


def test_every_value_in_conflict_has_a_score_also_the_one_that_was_read_last():
    history = parse_drawing(
        """A: |--w 1--|                             |--r 1--|
           B:   |--w 2--|          |--r 2--|""".replace("\n           ", "\n")
    )
    ((found,), _) = shifts(history)
    assert found.deltas_ns == found.gammas_ns == [found.delta_ns] * 2
    assert found.delta_ns == 13_000_000  # from the return of the write of 1 to the call of the read of 2
