r"""Did latency or throughput change over the nights, and on which night? No threshold is set by anybody: a change is what chance does not explain.

    p99 by night   4.1 4.3 4.0 4.2 4.1 │ 6.0 5.9 6.2 6.1        ──►   since night 5: 4.1 → 6.05
                                       └─ change point

E-divisive: the cut is where the nights before and after differ most by their energy distance,

    q(cut) = mn/(m+n) · (2 E|X-Y| - E|X-X'| - E|Y-Y'|)         X, Y: m nights before, n after

and it counts if few orders of the same nights have a cut as good: a permutation test, with orders drawn by a generator of fixed seed. A cut that counts
divides the nights, and both parts are asked again. Where none counts both halves are asked, for a bump hides in the whole: there are as many
nights of it on neither side. The test knows no distribution and takes outliers as they come. Of fewer than nine nights it can say nothing: no order of
them is rare enough.

As many series are looked at every night, each is tested at 1 %: of a hundred that never change about three are told wrongly, halves included.

References: Matteson & James, "A nonparametric approach for multiple change point analysis of multivariate data", JASA 2014; Daly et al., "The use of
change point detection to identify software performance regressions", ICPE 2020 (the same, for nightly benchmarks).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.campaign.ledger import Record

LEVEL: Final = 0.01
PERMUTATIONS: Final = 999
NIGHTS_MIN: Final = 9
NIGHTS_MAX: Final = 60  # that are looked at: what changed earlier is old
PART_MIN: Final = 2  # nights on either side of a cut: one alone is an outlier
SERIES: Final[dict[str, Callable[[Record], float | None]]] = {
    "p99 (ms)": lambda run: run.p99_ms,
    "ops/s": lambda run: run.ops / run.virtual_s if run.virtual_s else None,
}


@dataclass(frozen=True, slots=True)
class Trend:
    """From a night on the median of the nights is `after`; it was `before`."""

    what: str
    night: int
    before: float
    after: float
    p: float

    def __str__(self) -> str:
        turned = "rose" if self.after > self.before else "fell"
        return f"{self.what} {turned} from {self.before:,.1f} to {self.after:,.1f} with night {self.night}"


def trends(runs: Sequence[Record]) -> tuple[Trend, ...]:
    """What changed in the runs of one item."""
    found = []
    for what, value in SERIES.items():
        nights = by_night(runs, value)
        places = list(nights)
        found += [Trend(what, places[place], *rest) for place, *rest in changes(list(nights.values()))]
    return tuple(found)


def by_night(runs: Iterable[Record], value: Callable[[Record], float | None]) -> dict[int, float]:
    """The upper median of each night that has a value, in order."""
    values: dict[int, list[float]] = {}
    for run in runs:
        if (one := value(run)) is not None:
            values.setdefault(run.night, []).append(one)
    return {night: sorted(found)[len(found) // 2] for night, found in sorted(values.items())}


def changes(values: Sequence[float]) -> list[tuple[int, float, float, float]]:
    """(place, median before, median after, p) of each change point of a series of nights, in order."""
    begin = max(0, len(values) - NIGHTS_MAX)
    cuts = sorted(_cuts(values, begin, len(values), random.Random(len(values))))
    ends = [begin, *(place for place, _ in cuts), len(values)]
    return [
        (place, _median(values[ends[at] : place]), _median(values[place : ends[at + 2]]), p)
        for at, (place, p) in enumerate(cuts)
    ]


def _cuts(
    values: Sequence[float], begin: int, end: int, rng: random.Random, halves: bool = True
) -> Iterator[tuple[int, float]]:
    part = np.array(values[begin:end], dtype=float)
    if len(part) < NIGHTS_MIN or part.min() == part.max():
        return
    distances = np.abs(part[:, None] - part[None, :])
    place, best = _best(distances, range(len(part)))
    p = _chance(distances, best, rng)
    if p <= LEVEL:
        yield begin + place, p
    elif not halves:
        return
    middle = begin + place if p <= LEVEL else (begin + end) // 2
    yield from _cuts(values, begin, middle, rng, halves and p <= LEVEL)
    yield from _cuts(values, middle, end, rng, halves and p <= LEVEL)


def _chance(distances: np.ndarray, best: float, rng: random.Random) -> float:
    """How many of the orders of these nights have a cut as good, the one that was seen among them. No more are drawn than it takes to know that it is chance."""
    nights, as_good = list(range(len(distances))), 1
    for drawn in range(1, PERMUTATIONS + 1):
        rng.shuffle(nights)
        as_good += _best(distances, nights)[1] >= best - 1e-12
        if as_good > LEVEL * (PERMUTATIONS + 1):
            return as_good / (drawn + 1)
    return as_good / (PERMUTATIONS + 1)


def _best(distances: np.ndarray, order: Sequence[int]) -> tuple[int, float]:
    """The best cut of the nights in this order, and how good it is."""
    size = len(order)
    summed = distances[np.ix_(order, order)].cumsum(axis=0).cumsum(axis=1)
    m = np.arange(PART_MIN, size - PART_MIN + 1)
    n = size - m
    left, rows = summed[m - 1, m - 1], summed[m - 1, size - 1]
    across, right = rows - left, summed[-1, -1] - 2 * rows + left
    quality = m * n / size * (2 * across / (m * n) - left / (m * (m - 1)) - right / (n * (n - 1)))
    at = int(quality.argmax())
    return int(m[at]), float(quality[at])


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
