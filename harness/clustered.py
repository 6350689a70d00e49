"""How sure a quantile is, when what is measured comes by runs.

    run 1   4 9 9 12        reads of one run are no independent draws: one partition makes many of them stale, all by about as much
    run 2   –
    run 3   2 2 30          pooled  2 2 4 9 9 12 30        median 9: which share of all lies at or below it, 5 of 7, is a ratio
                                                           over runs (3 of 4, 2 of 3), with an error from how the runs differ

    share of values ≤ x │        ┌───        the ranks that lie so far on both sides of the one asked for
              p + error ├ ─ ┌────┤           are the ends of the interval
                      p ├ ┌─┤    ┆
              p - error ├─┤ ┆    ┆
                        └─low─q──high─ x

The error is never taken to be less than that of as many independent values. An end above or below all that was seen is None: it is further out
than these runs show. With values in one run only, both ends are. How often the interval holds the true quantile: `tests/harness/test_clustered.py`.

References: Woodruff, JASA 1952; Särndal, Swensson & Wretman, Model Assisted Survey Sampling, 1992, section 5.11; of a median: Hahn & Meeker,
Statistical Intervals, 1991, section 5.2.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import ceil, comb, floor, sqrt
from typing import Any, Final, NamedTuple

from harness.intervals import Z95, error_between, student

POINTS_MAX: Final = 500
TAIL: Final = 0.025
SLACK: Final = 1e-9  # sums of parts are not exact


class Quantile(NamedTuple):
    """A quantile and its 95 % interval; an end that is None is further out than anything that was seen."""

    value: float
    low: float | None
    high: float | None


class Values(NamedTuple):
    """Of one run: so many values, of which the ascending `points` are all, or some that stand for equal parts of them."""

    size: int
    points: Sequence[float]


def points_of(ordered: Sequence[Any]) -> list[Any]:
    """What a run keeps of an ascending sequence: all of it, or the middles of so many equal parts."""
    if len(ordered) <= POINTS_MAX:
        return list(ordered)
    return [ordered[(2 * part + 1) * len(ordered) // (2 * POINTS_MAX)] for part in range(POINTS_MAX)]


class Pooled:
    """The values of all runs together. A run without a value says nothing of how large values are."""

    def __init__(self, runs: Sequence[Values]) -> None:
        self._runs = [run for run in runs if run.points]
        weighed = sorted((point, run.size / len(run.points)) for run in self._runs for point in run.points)
        self._points = [point for point, _ in weighed]
        self._ranks = list(accumulate(weight for _, weight in weighed))
        self.count = sum(run.size for run in self._runs)

    def quantile(self, share: float) -> Quantile | None:
        """By nearest rank, with its interval; None of nothing."""
        value = self._at(self.count * share)
        if value is None:
            return None
        if len(self._runs) < 2:
            return Quantile(value, None, None)
        between = student(len(self._runs) - 1) * error_between(
            [self._below(run, value) for run in self._runs]
        )
        error = self.count * max(between, Z95 * sqrt(share * (1 - share) / self.count))
        middle = self.count * share
        return Quantile(value, self._at(floor(middle - error)), self._at(ceil(middle + error) + 1))

    def _at(self, rank: float) -> float | None:
        """The value at a rank from 1 on; None beyond the first and the last."""
        if not 0 < rank <= self.count:
            return None
        return self._points[min(bisect_left(self._ranks, rank * (1 - SLACK)), len(self._points) - 1)]

    @staticmethod
    def _below(run: Values, value: float) -> tuple[float, float]:
        """How many of the run's values are at most this one, of how many."""
        return bisect_right(run.points, value) * run.size / len(run.points), run.size


def median_of(values: Sequence[float]) -> Quantile | None:
    """The median, by nearest rank, of one value from each run: these are independent, so the interval is exact. Below 6 values it has no ends.

    The k-th value from below lies above the median only if fewer than k are below it: as likely as fewer than k heads of so many coins.
    """
    if not values:
        return None
    ordered, runs = sorted(values), len(values)
    at, fewer = 0, 1  # ways to have at most `at` heads
    while fewer <= TAIL * 2**runs:
        at += 1
        fewer += comb(runs, at)
    low, high = (ordered[at - 1], ordered[runs - at]) if at else (None, None)
    return Quantile(ordered[(runs - 1) // 2], low, high)
