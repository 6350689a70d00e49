"""Change points: a step is found on its night, a series that only scatters has none, and one bad night is none."""

from __future__ import annotations

import random

import pytest

from harness.campaign.ledger import Record
from harness.campaign.trends import changes, trends


def scattered(seed: int, *parts: tuple[float, int], spread: float = 0.1) -> list[float]:
    """So many nights around each level."""
    rng = random.Random(seed)
    return [rng.gauss(level, spread * level) for level, nights in parts for _ in range(nights)]


@pytest.mark.parametrize(("before", "after"), [(4.0, 6.0), (6.0, 4.0), (100.0, 160.0)])
def test_a_step_is_found_on_its_night(before: float, after: float) -> None:
    ((place, was, became, p),) = changes(scattered(1, (before, 8), (after, 7), spread=0.05))
    assert (place, was, became) == (8, pytest.approx(before, rel=0.1), pytest.approx(after, rel=0.1))
    assert p <= 0.01


def test_there_and_back_are_two_changes() -> None:
    found = changes(scattered(2, (5.0, 12), (9.0, 12), (5.0, 12), spread=0.03))
    assert [place for place, *_ in found] == [12, 24]
    assert [round(after) for _, _, after, _ in found] == [9, 5]


def test_what_only_scatters_has_seldom_changed() -> None:
    """Series of 14 nights that never change, half of them with heavy tails: about one of a hundred is told wrongly."""
    rng = random.Random(3)
    quiet = [scattered(seed, (5.0, 14)) for seed in range(50)]
    wild = [[5.0 * rng.paretovariate(2.0) for _ in range(14)] for _ in range(50)]
    assert sum(bool(changes(series)) for series in [*quiet, *wild]) <= 4


def test_one_bad_night_is_no_change() -> None:
    assert changes([5.0, 5.1, 4.9, 5.0, 5.2, 4.8, 5.1, 40.0, 5.0, 4.9, 5.1, 5.0]) == []


@pytest.mark.parametrize("nights", range(9))
def test_of_few_nights_nothing_can_be_said(nights: int) -> None:
    assert changes([1.0, 1.1, 1.0, 1.2, 9.0, 9.1, 9.0, 9.3][:nights]) == []


def test_the_same_values_say_the_same() -> None:
    series = scattered(4, (5.0, 10), (6.0, 10))
    assert changes(series) == changes(list(series))
    assert changes([3.0] * 30) == []


def test_a_slower_store_is_told_by_item_and_night() -> None:
    """The item's median of each night counts, and nights without a value are passed over."""
    runs = [
        Record(night, "item", run, run, "ok", "", ops=1000, virtual_s=10.0, p99_ms=(4.0 if night < 14 else 7.0) + run / 10)
        for night in range(2, 30, 2) for run in range(5)
    ]  # fmt: skip
    runs.insert(0, Record(0, "item", 0, 0, "infrastructure", "no world"))
    (found,) = trends(runs)
    assert (found.what, found.night, found.before, found.after) == ("p99 (ms)", 14, 4.2, 7.2)
    assert str(found) == "p99 (ms) rose from 4.2 to 7.2 with night 14"


def test_a_change_of_long_ago_is_not_told() -> None:
    assert changes(scattered(5, (2.0, 20), (5.0, 70), spread=0.02)) == []
