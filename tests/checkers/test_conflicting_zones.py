"""A core of a register tells why it is impossible: the two zones that are in each other's way, and none where there are none."""

from __future__ import annotations

import random

import pytest
from test_fuzz_zones import random_history, records

from checkers import Verdict
from checkers.bespoke.calls import calls_of
from checkers.history import History
from checkers.notation import parse_drawing
from checkers.register import check_linearizable
from checkers.zones import conflict

MS = 1_000_000


def told(rows: str) -> list[tuple[tuple[object, ...], float, float, bool]] | None:
    """Of the drawn history: values, f and s in columns, forward."""
    found = conflict(calls_of(parse_drawing(rows)))
    return found and [(zone.values, zone.f_ns / MS, zone.s_ns / MS, zone.forward) for zone in found]


def test_a_write_inside_the_time_of_another_value() -> None:
    rows = "A: |--w 1--|                 |--r 1--|\nB:             |--w 2--|\n"
    assert told(rows) == [((1,), 11, 29, True), ((2,), 23, 15, False)]


def test_two_values_at_the_same_time() -> None:
    rows = "A: |--w 1--|      |--r 1--|\nB:   |--w 2--|                 |--r 2--|\n"
    assert told(rows) == [((1,), 11, 18, True), ((2,), 13, 31, True)]


def test_the_value_before_any_write_was_there_for_ever() -> None:
    rows = "A: |--w 1--|    |--r nil--|\n"
    assert told(rows) == [((None,), float("-inf"), 16, True), ((1,), 11, 3, False)]


def test_values_that_replace_each_other_are_one_chain() -> None:
    rows = "A: |--w 1--|             |--cas 1 2--|\nB:             |--w 3--|\n"
    [chain, other] = told(rows) or []
    assert (chain[0], chain[3], other[0]) == ((1, 2), True, (3,))


@pytest.mark.parametrize(
    "rows",
    [
        "A: |--w 1--|   |--r 1--|\nB:             |--w 2--|\n",  # it may come after the read
        "A: |--w 1--x   |--r 1--|\n",  # no zone of a write that failed
        "A: |--w 1--|   |--w x 1--|   |--r 1--|\n",  # values are not unique
        "A: |--w x 1--|   |--r y 1--|\n",  # two registers
        "A: |--w 1- - -\nB:            |--w 2--|\n",
        "",
    ],
)
def test_no_zones_are_in_the_way(rows: str) -> None:
    assert told(rows) is None


def test_zones_are_found_of_each_core_that_needs_them() -> None:
    """Whatever the zone checker refutes and is not impossible in itself (thin air, the future) has a pair; what is legal has none."""
    rng, pairs = random.Random(7), 0
    plain = ("thin-air", "aborted-read", "future-read", "thin-air-cas", "double-cas", "cas-cycle")
    for _ in range(800):
        history = History.from_ops(records([random_history(rng)])[0])
        result, calls = check_linearizable(history), {call.index: call for call in calls_of(history)}
        if result.verdict is Verdict.VALID:
            assert conflict(list(calls.values())) is None
        elif result.anomaly and result.anomaly not in plain and result.certificate:
            core = [calls[index] for index in result.certificate.ops]
            inside = any(call.f == "cas" for call in core)  # the order within a chain may be what is broken
            found = conflict(core)
            assert found is not None or inside, core
            pairs += found is not None
    assert pairs > 15
