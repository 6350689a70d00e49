"""Times of which some are only known to be longer: how a sweep that ended without a finding is counted.

    found after 2, 3, 3 and 7 s; two ended at 5 s with nothing            share not yet found
                                                                          1   ──┐
    at 2 s    6 were under way, 1 found: 5/6 go on                              └─┐ 5/6
    at 3 s    5,                2 found: 3/5 of these                             └──────┐ 1/2
    at 7 s    1 (two have ended),  found: none                                           └── 0

`survival` is the estimator of Kaplan and Meier, "Nonparametric estimation from incomplete observations", 1958; where nothing is censored it is the plain
share. `log_rank` asks whether two strategies find equally fast, bug by bug: at each time at which one of them finds something, how many of the
findings should have been the first's, if it were only a matter of how many of its sweeps were still under way? (Mantel 1966; stratified.) `sign_test` is a coin for each pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb, erfc, exp, inf, sqrt
from typing import Final

from harness.intervals import Z95

MEDIAN: Final = Fraction(1, 2)
P90: Final = Fraction(9, 10)
Time = tuple[float, bool]
"""(how long, whether it was found then); if not, it takes longer."""


def survival(times: Sequence[Time]) -> list[tuple[float, Fraction]]:
    """At each time at which something was found, the share that takes longer."""
    left, steps = Fraction(1), list[tuple[float, Fraction]]()
    for at, found, at_risk in _table(times):
        left *= Fraction(at_risk - found, at_risk)
        steps.append((at, left))
    return steps


def quantile(times: Sequence[Time], share: Fraction) -> float | None:
    """The time by which this share is found; None if they end before."""
    return next((at for at, left in survival(times) if left <= 1 - share), None)


def left_at(steps: Sequence[tuple[float, Fraction]], at: float) -> Fraction:
    """The share that takes longer than this."""
    return next((left for step, left in reversed(steps) if step <= at), Fraction(1))


def _table(times: Sequence[Time]) -> Iterator[tuple[float, int, int]]:
    """(time, how many were found then, how many took at least as long), in order."""
    for at in sorted({each for each, found in times if found}):
        yield at, sum(time == (at, True) for time in times), sum(each >= at for each, _ in times)


@dataclass(frozen=True, slots=True)
class LogRank:
    """Of all findings `observed` were the first group's, `expected` if the two are alike; the variance of that."""

    observed: int
    expected: float
    variance: float

    @property
    def rate_ratio(self) -> float:
        """How many times as often the first group finds in the same time (Peto's one-step estimate)."""
        return exp((self.observed - self.expected) / self.variance) if self.variance else 1.0

    @property
    def interval(self) -> tuple[float, float]:
        """Of the rate ratio, 95 %."""
        if not self.variance:
            return 0.0, inf
        half = Z95 / sqrt(self.variance)
        middle = (self.observed - self.expected) / self.variance
        return exp(middle - half), exp(middle + half)

    @property
    def p(self) -> float:
        """How likely a difference as large is by chance, to either side."""
        if not self.variance:
            return 1.0
        return erfc(abs(self.observed - self.expected) / sqrt(2 * self.variance))


def log_rank(strata: Iterable[tuple[Sequence[Time], Sequence[Time]]]) -> LogRank:
    """Compare the first group with the second, within each stratum, over all of them."""
    observed, expected, variance = 0, 0.0, 0.0
    for first, second in strata:
        for at, found, at_risk in _table([*first, *second]):
            share = sum(each >= at for each, _ in first) / at_risk
            observed += sum(time == (at, True) for time in first)
            expected += found * share
            if at_risk > 1:
                variance += found * share * (1 - share) * (at_risk - found) / (at_risk - 1)
    return LogRank(observed, expected, variance)


def sign_test(pairs: Iterable[tuple[Time, Time]]) -> tuple[int, int, float]:
    """In how many pairs the first was found sooner, in how many the second, and how likely a coin is that uneven, to either side.

    A pair in which neither was found, or the same time, or one ended before the other was found, tells nothing.
    """
    sooner = [order for first, second in pairs if (order := _order(first, second))]
    ahead, told = sooner.count(1), len(sooner)
    extreme = max(ahead, told - ahead)
    tail = sum(comb(told, k) for k in range(extreme, told + 1)) / 2**told
    return ahead, told - ahead, min(1.0, 2 * tail)


def _order(first: Time, second: Time) -> int:
    """1 if the first was surely found sooner, -1 if the second was, else 0."""
    if first[1] and (first[0] < second[0] or (not second[1] and first[0] == second[0])):
        return 1
    if second[1] and (second[0] < first[0] or (not first[1] and second[0] == first[0])):
        return -1
    return 0


def holm(chances: Mapping[str, float]) -> dict[str, float]:
    """The p of several tests made at once, each so much larger that the least of them may be believed (Holm 1979)."""
    corrected, least = dict[str, float](), 0.0
    for place, name in enumerate(sorted(chances, key=lambda each: chances[each])):
        least = max(least, min(1.0, chances[name] * (len(chances) - place)))
        corrected[name] = least
    return corrected
