r"""Probabilistically bounded staleness: how soon after a write do reads see it? A prediction, by Monte Carlo over four delays.

    write   W ─► replica    A ◄─ its acknowledgement      committed when the w-th W + A is there
    read    R ─► replica    S ◄─ its answer               done when the r-th R + S is there, t after the commit

    replica j answers with the write if its R arrives after its W: commit + t + R >= W, so if t >= W - R - commit =: s(j)
    a read is stale at t exactly if t < min s(j) over its first r answers =: the trial's threshold

so that one sorted array of thresholds answers for every t. The model has no read repair, no hints, no sloppy quorum, and writes of a key that
do not overlap; a store that has these is fresher (or, sloppy, staler) than predicted.

References: Bailis et al., Probabilistically Bounded Staleness, VLDB 2012 (WARS, section 5.1); k-staleness: section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.plan import PlanError

TRIALS: Final = 1_000_000
DELAY_MAX_MS: Final = 60_000  # as in `[sim]`
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quorums:
    """What is predicted. `nodes`: any of so many coordinates, and is one of the n replicas itself with probability n/nodes (then its
    own messages take no time); None: never, as in the paper.
    """

    n: int
    r: int
    w: int
    nodes: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.n <= 100 or not 1 <= self.r <= self.n or not 1 <= self.w <= self.n:
            raise PlanError(
                f"n = {self.n}, r = {self.r}, w = {self.w}: choose n from 1 to 100, and r and w from 1 to n"
            )
        if self.nodes is not None and self.nodes < self.n:
            raise PlanError(f"{self.nodes} nodes cannot hold {self.n} replicas; give n or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """One-way delays between nodes, as in [sim] of a plan, in ms; and the time a replica needs to make a write durable, uniform."""

    latency: str = "exponential"
    latency_ms: float = 1.0
    latency_ms_min: float = 0.1
    measured_ms: tuple[float, ...] = ()  # in place of a distribution
    commit_ms: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.latency not in DRAWS:
            raise PlanError(f"latency is {self.latency!r}; use one of {', '.join(DRAWS)}")
        delays = (self.latency_ms, self.latency_ms_min, *self.measured_ms, *self.commit_ms)
        if not all(0 <= delay <= DELAY_MAX_MS for delay in delays):
            raise PlanError(f"delays are from 0 to {DELAY_MAX_MS:,} ms")

    def draw(self, rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
        """Delays in ms."""
        if self.measured_ms:
            drawn: Floats = rng.choice(np.array(self.measured_ms, dtype=np.float64), shape)
        else:
            drawn = DRAWS[self.latency](rng, self.latency_ms, shape)
        return np.maximum(drawn, self.latency_ms_min)


DRAWS: Final[dict[str, Any]] = {
    "constant": lambda rng, mean, shape: np.full(shape, float(mean)),
    "uniform": lambda rng, mean, shape: rng.uniform(0.0, 2 * mean, shape),
    "exponential": lambda rng, mean, shape: rng.exponential(mean, shape),
    "lognormal": lambda rng, mean, shape: mean * rng.lognormal(-0.5, 1.0, shape),
}


class Visibility:
    """The predicted curve: `stale(t)` for any t."""

    def __init__(self, thresholds_ms: Floats) -> None:
        self._thresholds = np.sort(thresholds_ms)

    @property
    def trials(self) -> int:
        """How many reads were drawn."""
        return len(self._thresholds)

    def stale(self, t_ms: float) -> float:
        """The share of reads that begin so long after the commit, as the client saw it, and miss the write."""
        return 1.0 - float(np.searchsorted(self._thresholds, t_ms, side="right")) / self.trials

    def mean_stale(self, t_ms: Floats) -> float:
        """The mean of `stale` over reads that began at these times."""
        return 1.0 - float(np.mean(np.searchsorted(self._thresholds, t_ms, side="right"))) / self.trials

    def fresh_after_ms(self, share: float) -> float:
        """The least t after which this share of the reads is fresh."""
        place = min(self.trials - 1, max(0, int(np.ceil(share * self.trials)) - 1))
        return max(0.0, float(self._thresholds[place]))


def predict(quorums: Quorums, delays: Delays, *, seed: int = 1, trials: int = TRIALS) -> Visibility:
    """Draw `trials` writes, each with one read."""
    rng = np.random.default_rng(seed)
    shape = (trials, quorums.n)
    w, a, r, s = (delays.draw(rng, shape) for _ in range(4))
    _at_home(w, a, quorums, rng)
    _at_home(r, s, quorums, rng)
    if delays.commit_ms[1] > 0:
        a += rng.uniform(*delays.commit_ms, shape)
    committed = np.partition(w + a, quorums.w - 1, axis=1)[:, quorums.w - 1, None]
    needed = w - r - committed
    if quorums.r < quorums.n:
        first = np.argpartition(r + s, quorums.r - 1, axis=1)[:, : quorums.r]
        needed = np.take_along_axis(needed, first, axis=1)
    return Visibility(needed.min(axis=1))


def _at_home(there: Floats, back: Floats, quorums: Quorums, rng: np.random.Generator) -> None:
    """Where the coordinator is a replica, its own messages take no time."""
    if quorums.nodes is None:
        return
    place = rng.integers(quorums.nodes, size=len(there))
    rows = np.nonzero(place < quorums.n)[0]
    there[rows, place[rows]] = 0.0
    back[rows, place[rows]] = 0.0


def k_staleness(quorums: Quorums, k: int) -> float:
    """The probability that a read misses all of the last k versions, with quorums drawn anew each time and no propagation (section 3.1)."""
    n, r, w = quorums.n, quorums.r, quorums.w
    return float((comb(n - w, r) / comb(n, r)) ** k)
