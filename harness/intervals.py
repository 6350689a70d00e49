"""How sure a count is: intervals that need no library and no draw.

    k of n runs broke a claim          Wilson's score interval of the rate; for k = 0 the exact upper bound, about 3/n ("rule of three")
    stale reads of all reads, by run   ratio estimate with the variance *between runs*: the reads of a run are no independent draws
    quantile of few numbers            nearest rank; of numbers that come by runs: `harness.clustered`
    quantile of many numbers           order statistics: how many of n draws lie below it is binomial
    change from one number to another  MOVER: the distances from each to the ends of its interval, added as squares

References: Wilson 1927; Hanley & Lippman-Hand, JAMA 1983; Cochran, Sampling Techniques, 3rd ed., ch. 6; Newcombe, Stat. Med. 1998 (method 10) and Zou &
Donner, Stat. Med. 2008 for changes; Hahn & Meeker, Statistical Intervals, 1991, ch. 5 for quantiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, exp, floor, lgamma, sqrt
from typing import Final, NamedTuple

Z95: Final = 1.959963984540054
T95: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's t for a two-sided 95 %, with 1 to 10 degrees of freedom."""


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a rate of which `hits` of `trials` were seen; (0, 1) of nothing. Without a hit: the one-sided bound."""
    if not 0 <= hits <= trials:
        raise ValueError(f"{hits} of {trials} is no share")
    if trials == 0:
        return 0.0, 1.0
    if hits == 0:
        return 0.0, clean_bound(trials)
    share, z2 = hits / trials, Z95 * Z95
    middle = share + z2 / (2 * trials)
    half = Z95 * sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    scale = 1 + z2 / trials
    return max(0.0, (middle - half) / scale), 1.0 if hits == trials else min(1.0, (middle + half) / scale)


def clean_bound(runs: int) -> float:
    """The rate of violations that `runs` runs without one rule out, at 95 %: 1 - 0.05^(1/runs)."""
    return 1.0 if runs < 1 else float(1 - 0.05 ** (1 / runs))


def student(degrees: int) -> float:
    """The two-sided 95 % quantile of Student's t, from above 10 degrees on by its usual expansion in 1/degrees."""
    if degrees < 1:
        raise ValueError("one value has no spread")
    if degrees <= len(T95):
        return T95[degrees - 1]
    z = Z95
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


def ratio(parts: Sequence[tuple[int, int]]) -> tuple[float, float, float] | None:
    """(estimate, low, high) of sum(hits)/sum(trials) over runs of (hits, trials); None when there was no trial.

    With one run the interval is (0, 1): how runs differ is not known. If all trials of all runs came out alike, the other end is as far off as it
    could be if the trials of a run always do.
    """
    used = [(hits, trials) for hits, trials in parts if trials]
    total, hit = sum(trials for _, trials in used), sum(hits for hits, _ in used)
    if not total:
        return None
    share = hit / total
    if len(used) < 2:
        return share, 0.0, 1.0
    if hit in (0, total):
        bound = clean_bound(len(used))
        return (0.0, 0.0, bound) if hit == 0 else (1.0, 1.0 - bound, 1.0)
    half = student(len(used) - 1) * error_between(used)
    return share, max(0.0, share - half), min(1.0, share + half)


def error_between(parts: Sequence[tuple[float, float]]) -> float:
    """The standard error of sum(hits)/sum(trials), from how the runs differ; of two runs or more, each with a trial."""
    total = sum(trials for _, trials in parts)
    share = sum(hits for hits, _ in parts) / total
    squares = sum((hits - share * trials) ** 2 for hits, trials in parts)
    return sqrt(squares * len(parts) / (len(parts) - 1)) / total


class Estimate(NamedTuple):
    """A number, and its 95 % interval."""

    value: float
    low: float
    high: float


def share_of(hits: int, trials: int) -> Estimate:
    """A share as if each trial were an independent draw. `trials` is not 0."""
    return Estimate(hits / trials, *wilson(hits, trials))


def quantile_of(ordered: Sequence[float], share: float) -> Estimate:
    """The nearest-rank quantile of an ordered, non-empty sequence, as if each were an independent draw."""
    trials = len(ordered)
    half = Z95 * sqrt(trials * share * (1 - share))
    low, high = max(0, floor(trials * share - half) - 1), min(trials - 1, ceil(trials * share + half))
    return Estimate(ordered[max(0, ceil(trials * share) - 1)], ordered[low], ordered[high])


def change(old: Estimate, new: Estimate) -> Estimate:
    """How much more the new one is, if the two are independent."""
    by = new.value - old.value
    less = sqrt((new.value - new.low) ** 2 + (old.high - old.value) ** 2)
    more = sqrt((new.high - new.value) ** 2 + (old.value - old.low) ** 2)
    return Estimate(by, by - less, by + more)


def middle(values: Sequence[float]) -> float | None:
    """The median, by nearest rank from below; None of nothing."""
    return sorted(values)[(len(values) - 1) // 2] if values else None


def fisher_less(hits: int, trials: int, base_hits: int, base_trials: int) -> float:
    """How likely it is to see `hits` or fewer of `trials`, if the rate were the same as where `base_hits` of `base_trials` were seen.

    Fisher's exact test, one-sided: the tail of the hypergeometric distribution with all margins fixed.
    """
    total, marked = trials + base_trials, hits + base_hits
    whole = _log_comb(total, trials)
    fewest = max(0, marked - base_trials)
    ways = (_log_comb(marked, k) + _log_comb(total - marked, trials - k) for k in range(fewest, hits + 1))
    return min(1.0, sum(exp(way - whole) for way in ways))


def _log_comb(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
