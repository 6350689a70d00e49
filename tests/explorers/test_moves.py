"""Class cas while a partition gets new replicas: clean with every rule, violated without any one of them.

Random schedules (see `moves`). QUORATE_SEEDS (set by `make nightly`) makes it 20,000 schedules, and prints how many each rule that is left
out breaks. `join.no_barrier`, `join.no_epoch_reject` and `join.source_not_adopted` break none of 4,000 here: `test_rings` convicts the
first two.
"""

from __future__ import annotations

import os

import pytest

from tests.explorers.moves import Run
from tests.explorers.moves_node import RULES

LONG = "QUORATE_SEEDS" in os.environ
SEEDS = 20_000 if LONG else 600
BROKEN = {  # rule left out: a seed whose schedule shows it
    "no_streaming": 20,
    "no_promises_streamed": 214,
    "states_before_promises": 460,
    "copies_before_promises": 1363,
    "no_accept_anew": 76,
    "prepare_old_only": 54,
    "join.no_dual_write": 26,
    "join.stream_from_one": 82,
}


def violated(without: str = "") -> list[int]:
    return [seed for seed in range(SEEDS) if not Run(seed, without).play()]


@pytest.mark.slow
def test_with_every_rule_no_schedule_is_a_violation() -> None:
    assert violated() == []


@pytest.mark.slow
def test_the_schedules_are_not_idle() -> None:
    """The walk comes to its end, and clients get answers before, within and behind it."""
    ended = answered = 0
    for seed in range(60):
        run = Run(seed)
        run.play()
        ended += run.at == 3
        answered += run.begun - len(run.monitor.running)
    assert ended > 50
    assert answered > 240


@pytest.mark.parametrize("rule", BROKEN)
def test_without_a_rule_there_is_a_violation(rule: str) -> None:
    assert rule in RULES or rule.startswith("join.")
    assert Run(BROKEN[rule]).play()
    assert not Run(BROKEN[rule], rule).play()


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason="the long version: set QUORATE_SEEDS")
@pytest.mark.parametrize("rule", BROKEN)
def test_how_often(rule: str) -> None:
    found = violated(rule)
    print(f"\n{rule}: {len(found)} of {SEEDS:,} schedules are not linearizable")
    assert found
