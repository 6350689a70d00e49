"""Quantiles of what comes by runs: by hand, against plain counting, and how often the interval holds the true one."""

from __future__ import annotations

import random
from math import comb, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clustered import POINTS_MAX, Pooled, Quantile, Values, median_of, points_of
from harness.intervals import error_between, quantile_of, ratio, student

LISTS = st.lists(st.lists(st.integers(0, 20).map(float), max_size=12), min_size=1, max_size=8)


def values(*points: float) -> Values:
    return Values(len(points), sorted(points))


@given(LISTS, st.sampled_from([0.01, 0.5, 0.9, 0.99]))
def test_the_value_is_the_nearest_rank_of_all_and_lies_in_its_interval(
    runs: list[list[float]], share: float
) -> None:
    found = Pooled([values(*run) for run in runs]).quantile(share)
    every = sorted(x for run in runs for x in run)
    if not every:
        assert found is None
        return
    assert found is not None
    assert found.value == min(x for x in every if sum(y <= x for y in every) >= share * len(every) - 1e-9)
    assert found.low is None or found.low <= found.value
    assert found.high is None or found.value <= found.high


def test_by_hand() -> None:
    """The drawing of the module. F(9) is 3/4 and 2/3, together 5/7: residuals 3 - 4·5/7 = 1/7 and -1/7; error sqrt(2/49 · 2) / 7."""
    found = Pooled([values(4, 9, 9, 12), values(), values(2, 2, 30)]).quantile(0.5)
    between = 12.706 * sqrt(4 / 49) / 7  # t(1): 0.5187 of 7 values are more than 3.5 to both sides
    assert between == pytest.approx(student(1) * error_between([(3, 4), (2, 3)]))
    assert 7 * (0.5 - between) < 1
    assert found == Quantile(9.0, None, None)


def test_by_hand_with_ends() -> None:
    """Five runs alike, 1 to 20: all of them agree that half lies at or below 10, so the error is that of 100 draws, 1.96 · 5 ranks: 40 and 61."""
    found = Pooled([values(*range(1, 21))] * 5).quantile(0.5)
    assert found == Quantile(10, 8, 13)  # the 40th of 100 is 8, the 61st 13


def test_runs_that_differ_make_it_wider_and_one_run_leaves_it_open() -> None:
    """100 values each time: ranks 50 ± 9.8 if runs agree. Each run one value of its own: F(50) is 1 in half of them and 0 in the others."""
    alike = Pooled([values(*range(10)) for _ in range(10)]).quantile(0.5)
    apart = Pooled([values(*([run] * 10)) for run in range(10)]).quantile(0.5)
    assert (alike, apart) == (
        Quantile(4, 3, 6),
        Quantile(4, 1, 8),
    )  # ± t(9) · sqrt(10 · 25 · 10/9) / 100 = 0.377
    assert Pooled([values(*range(100))]).quantile(0.5) == Quantile(49, None, None)


def test_a_share_that_few_values_show_has_no_upper_end() -> None:
    found = Pooled([values(*range(10)), values(*range(10)), values(*range(10))]).quantile(0.99)
    assert found is not None
    assert (found.value, found.high) == (9, None)


def test_many_values_are_kept_as_equal_parts_and_count_as_many() -> None:
    kept = points_of(range(100_000))
    assert (len(kept), kept[0], kept[-1]) == (POINTS_MAX, 100, 99_900)
    assert points_of([3, 4]) == [3, 4]
    few = [values(1.0, 1.0, 1.0), Values(100_000, [float(x) for x in kept])]
    found = Pooled(few).quantile(0.5)
    assert found is not None
    assert abs(found.value - 50_000) <= 200


@pytest.mark.parametrize(("runs", "ranks"), [(1, None), (5, None), (6, (1, 6)), (8, (1, 8)), (9, (2, 8)), (20, (6, 15)), (100, (40, 61))])  # fmt: skip
def test_the_interval_of_a_median_of_runs_is_that_of_printed_tables(
    runs: int, ranks: tuple[int, int] | None
) -> None:
    found = median_of(range(runs, 0, -1))
    assert found is not None
    assert found.value == (runs + 1) // 2
    assert found[1:] == (ranks or (None, None))
    if ranks:
        missed = 2 * sum(comb(runs, heads) for heads in range(ranks[0])) / 2**runs
        assert missed <= 0.05 < missed + 2 * comb(runs, ranks[0]) / 2**runs


def test_the_median_of_nothing() -> None:
    assert median_of([]) is None
    assert Pooled([]).quantile(0.5) is None


@pytest.mark.parametrize("share", [0.5, 0.99])
@pytest.mark.parametrize("runs", [6, 20])
def test_it_holds_the_true_quantile_where_that_of_independent_reads_does_not(runs: int, share: float) -> None:
    """Each run has a scale and a number of stale reads of its own, as a partition has. 300 cells, always the same ones."""
    rng = random.Random(f"{runs} {share}")

    def run() -> Values:
        scale, size = rng.lognormvariate(0, 0.5), 1 + int(30 * rng.lognormvariate(0, 0.5))
        return values(*(scale * rng.expovariate(1) for _ in range(size)))

    truth = sorted(x for _ in range(3_000) for x in run().points)
    true = truth[int(share * len(truth))]
    held = naive = 0
    for _ in range(300):
        cell = [run() for _ in range(runs)]
        found = Pooled(cell).quantile(share)
        assert found is not None
        held += (found.low is None or found.low <= true) and (found.high is None or true <= found.high)
        blind = quantile_of(sorted(x for each in cell for x in each.points), share)
        naive += blind.low <= true <= blind.high
    assert held >= 0.9 * 300
    assert naive < held - 0.05 * 300


def test_shares_of_none_and_of_all_leave_room() -> None:
    """Three clean runs: in how many runs something is, is at most 1 - 0.05^(1/3) = 0.632, and so is the share of reads, if those of a run stand or fall together."""
    assert ratio([(0, 100), (0, 50), (0, 10)]) == pytest.approx((0.0, 0.0, 0.6316), abs=1e-4)
    assert ratio([(100, 100), (50, 50), (10, 10)]) == pytest.approx((1.0, 0.3684, 1.0), abs=1e-4)
