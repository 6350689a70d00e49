"""Intervals: their coverage is summed up exactly, not sampled; quantiles of t are held against a printed table."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.intervals import clean_bound, middle, ratio, student, wilson


@pytest.mark.parametrize("runs", [20, 60, 200])
@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3, 0.5, 0.8])
def test_the_interval_of_a_rate_covers_it(rate: float, runs: int) -> None:
    covered = 0.0
    for hits in range(runs + 1):
        low, high = wilson(hits, runs)
        if low <= rate <= high:
            covered += comb(runs, hits) * rate**hits * (1 - rate) ** (runs - hits)
    assert 0.91 < covered < 0.995


@given(st.integers(1, 10_000))
def test_a_clean_cell_leaves_a_rate_that_would_have_shown_with_95_percent(runs: int) -> None:
    bound = clean_bound(runs)
    assert (1 - bound) ** runs == pytest.approx(0.05)
    assert wilson(0, runs) == (0.0, bound)


def test_the_rule_of_three() -> None:
    assert clean_bound(300) == pytest.approx(3 / 300, rel=0.01)
    assert clean_bound(0) == 1.0
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_estimate(counts: tuple[int, int]) -> None:
    hits, runs = counts
    low, high = wilson(hits, runs)
    assert 0 <= low <= hits / runs <= high <= 1


def test_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2 is no share"):
        wilson(3, 2)


@pytest.mark.parametrize(("degrees", "value"), [(1, 12.706), (10, 2.228), (11, 2.201), (20, 2.086), (60, 2.000)])  # fmt: skip
def test_student(degrees: int, value: float) -> None:
    assert student(degrees) == pytest.approx(value, abs=0.001)


def test_runs_that_differ_widen_the_interval_of_a_ratio() -> None:
    assert ratio([]) is None
    assert ratio([(0, 0)]) is None
    assert ratio([(3, 10)]) == (0.3, 0.0, 1.0)
    alike = ratio([(5, 100)] * 4)
    assert alike == (0.05, 0.05, 0.05)
    unlike = ratio([(0, 100), (0, 100), (0, 100), (20, 100)])
    assert unlike is not None
    share, low, high = unlike
    assert share == 0.05
    assert low == 0.0
    # by hand: residuals -5, -5, -5, 15: sqrt(300 * 4/3) / 400 = 0.05, t(3) = 3.182
    assert high == pytest.approx(0.05 + 3.182 * 0.05)


def test_the_middle_is_one_of_the_values() -> None:
    assert middle([]) is None
    assert middle([3.0, 1.0, 2.0, 9.0]) == 2.0
