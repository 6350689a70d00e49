"""At which rate a finding shows now: nights are pooled back to where the rate changed."""

from __future__ import annotations

import random

import pytest

from harness.campaign.regime import Regime, regime


@pytest.mark.parametrize(
    ("nights", "now", "earlier", "rarer"),
    [
        ([(3, 10)], (3, 10), (0, 0), False),
        ([(0, 20), (10, 20), (8, 20)], (18, 40), (0, 20), False),  # it came: what was before is no rate of it
        ([(0, 20), (10, 20), (8, 20), (1, 40)], (1, 40), (18, 60), True),
        ([(10, 20), (8, 20), (1, 40), (0, 40), (2, 40)], (3, 120), (18, 40), True),  # a night without it is pooled
        ([(1, 50), (0, 50), (1, 50)], (2, 150), (0, 0), False),
        ([(1, 40), (20, 40)], (20, 40), (1, 40), False),  # more often is not rarer
        ([(1, 2), (0, 0), (1, 2)], (2, 4), (0, 0), False),
    ],
)  # fmt: skip
def test_nights_are_pooled_until_the_rate_changed(
    nights: list[tuple[int, int]], now: tuple[int, int], earlier: tuple[int, int], rarer: bool
) -> None:
    found = regime(nights)
    assert found == Regime(now, earlier)
    assert found.rarer is rarer


def test_the_same_rate_is_seldom_said_to_have_become_rarer() -> None:
    """200 bugs that show in one run of four, over ten nights of twenty runs: a false word about few of them."""
    rng = random.Random(4)
    rarer = 0
    for _ in range(200):
        nights = [(sum(rng.random() < 0.25 for _ in range(20)), 20) for _ in range(10)]
        rarer += regime(nights).rarer
    assert rarer <= 200 * 0.05


def test_a_year_of_long_nights_is_pooled_at_once() -> None:
    assert regime([(500, 2000)] * 365).now == (500 * 365, 2000 * 365)
