"""CASPaxos by random schedules: none is wrong with every rule in force, some are for each rule that is taken away.

`pytest -s tests/explorers` prints the table. QUORATE_SEEDS (set by `make nightly`) makes it 30,000 schedules a row.
"""

from __future__ import annotations

import os

import pytest

from tests.explorers.paxos import Schedule, violations

SEEDS = 30_000 if "QUORATE_SEEDS" in os.environ else 3_000
RULES = (
    "cas.read_no_accept",
    "cas.fail_no_accept",
    "cas.retry_reports_second_outcome",
    "cas.promise_not_persisted",
    "cas.next_not_promised",
)


@pytest.mark.slow
def test_every_schedule_is_linearizable() -> None:
    found = violations(range(SEEDS), frozenset())
    print(f"\ncorrect: {len(found)} of {SEEDS:,} schedules are not linearizable")
    assert found == []


@pytest.mark.slow
def test_two_clients_that_often_hold_a_promise_too() -> None:
    found = [seed for seed in range(SEEDS) if Schedule(seed, frozenset(), clients=2).violated]
    print(f"\ntwo clients: {len(found)} of {SEEDS:,} schedules are not linearizable")
    assert found == []


@pytest.mark.slow
@pytest.mark.parametrize("bug", RULES)
def test_without_the_rule_some_are_not(bug: str) -> None:
    found = violations(range(SEEDS), frozenset([bug]))
    print(f"\n{bug}: {len(found)} of {SEEDS:,} schedules are not linearizable, the first is {found[:1]}")
    assert violations(found[:1], frozenset([bug])) == found[:1], "a schedule is its seed"
    assert violations(found[:1], frozenset()) == []
