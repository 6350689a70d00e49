"""A partition gets new replicas while clients read and write: clean with every rule, violated without any one of them.

Random schedules (see `rings`).
QUORATE_SEEDS (set by `make nightly`) multiplies the schedules of the sound one. What is rarer than this has its known seed. That a source
has to adopt the epoch first is rarer still, 3 of 500,000 schedules: `tests/kvstore/test_sources.py` has one of them written out.
"""

from __future__ import annotations

import os

import pytest

from tests.explorers.rings import Run

SOUND_SEEDS = 10 * int(os.environ.get("QUORATE_SEEDS", "60"))
BROKEN = {  # rule left out: a seed whose schedule shows it
    "join.no_dual_write": 1,
    "join.no_barrier": 87,
    "join.no_epoch_reject": 62,
    "no_streaming": 101,
    "join.stream_from_one": 5123,
}


@pytest.mark.slow
def test_with_every_rule_no_schedule_is_a_violation() -> None:
    assert [seed for seed in range(SOUND_SEEDS) if not Run(seed).play()] == []


@pytest.mark.slow
def test_the_schedules_are_not_idle() -> None:
    """The walk comes to its end, and clients get answers before, within and behind it."""
    ended = answered = 0
    for seed in range(100):
        run = Run(seed)
        run.play()
        ended += run.at == 3
        answered += run.begun - len(run.monitor.running)
    assert ended > 60
    assert answered > 300


@pytest.mark.parametrize("rule", BROKEN)
def test_without_a_rule_there_is_a_violation(rule: str) -> None:
    seed = BROKEN[rule]
    assert Run(seed).play()
    assert not Run(seed, frozenset([rule])).play()
