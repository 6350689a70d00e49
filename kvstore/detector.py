"""Who seems to be alive: the phi accrual failure detector (Hayashibara et al. 2004), on acknowledged heartbeats.

    phi = -log10 P(the next acknowledgement comes later than now)

              acks        silence
    ──●──●──●──●──────────────────────►  t        phi 1: one in ten such silences is innocent
                 phi:  0  0.3  2   8 ► suspected   phi 8: one in 10^8

Intervals are taken to be normally distributed; `pause_ms` of silence beyond the mean is always forgiven. With a
heartbeat of 500 ms and the defaults a dead peer is suspected after about two seconds.

What it steers: whom to ask first, where to keep hints, when to replay them. What it never steers: which replicas
count, who owns what. A wrong suspicion costs time, never a promise.

Traps this file is written around:

- The monotonic clock only. A wall clock that jumps convicts everybody.
- An acknowledgement of our own heartbeat, not the peer's mere noise: with a one-way cut it is alive and useless.
- Our own stall (a stopped process, a long garbage collection) looks like everybody's silence. `tick` sees it and
  convicts nobody for a while; our health score makes us slower to accuse (Lifeguard, Dadgar et al. 2018).
- Sums of squares of floats can make a variance negative. Intervals are whole microseconds, sums are exact.
- exp and log10 leave their range at large silences; both tails are cut by hand.
"""

from __future__ import annotations

import math
from collections import deque

WINDOW = 1000  # intervals remembered per peer
STALL_MS = 1000.0  # a heartbeat of our own that comes so much too late is a stall
HEALTH_MAX = 8
_SQRT_2 = math.sqrt(2.0)


class Intervals:
    """The last intervals between acknowledgements of one peer, in whole microseconds."""

    __slots__ = ("_all", "_squares", "_sum", "last_ms")

    def __init__(self, guess_ms: float, now_ms: float) -> None:
        self._all: deque[int] = deque()
        self._sum = 0
        self._squares = 0
        self.last_ms = now_ms
        self.add(guess_ms * 0.75)
        self.add(guess_ms * 1.25)

    def add(self, interval_ms: float) -> None:
        """Remember an interval; the oldest goes when the window is full."""
        micros = round(interval_ms * 1000)
        self._all.append(micros)
        self._sum += micros
        self._squares += micros * micros
        if len(self._all) > WINDOW:
            gone = self._all.popleft()
            self._sum -= gone
            self._squares -= gone * gone

    @property
    def mean_ms(self) -> float:
        """Mean interval."""
        return self._sum / len(self._all) / 1000

    @property
    def deviation_ms(self) -> float:
        """Standard deviation; exact until the last square root, so never of a negative number."""
        n = len(self._all)
        return math.sqrt(n * self._squares - self._sum * self._sum) / n / 1000


def phi_of(silence_ms: float, mean_ms: float, deviation_ms: float) -> float:
    """-log10 of the probability that a normally distributed interval is longer than the silence."""
    y = (silence_ms - mean_ms) / deviation_ms
    if y < -8.0:
        return 0.0
    tail = 0.5 * math.erfc(y / _SQRT_2)
    if tail > 1e-300:
        return -math.log10(tail)
    return (y * y / 2 + math.log(y * math.sqrt(2 * math.pi))) / math.log(10)  # the tail's own asymptote


class Detector:
    """Suspicion of each peer. Feed it `watch`, `heard` and `tick`; ask it `phi` and `alive`. All times are mono ms."""

    def __init__(
        self,
        interval_ms: float,
        *,
        threshold: float = 8.0,
        pause_ms: float = 1000.0,
        deviation_ms_min: float = 100.0,
    ) -> None:
        self.interval_ms = interval_ms
        self.threshold = threshold
        self.pause_ms = pause_ms
        self.deviation_ms_min = deviation_ms_min
        self.health = 0  # 0 is well; each stall adds one, each heartbeat in time takes one off
        self._peers: dict[str, Intervals] = {}
        self._ticked_ms: float | None = None
        self._pardon_until_ms = -math.inf

    def watch(self, peer: str, now_ms: float) -> None:
        """Begin to expect acknowledgements of a peer; harmless if it is watched already."""
        if peer not in self._peers:
            self._peers[peer] = Intervals(self.interval_ms, now_ms)

    def forget(self, peer: str) -> None:
        """A peer that has left for good."""
        self._peers.pop(peer, None)

    def heard(self, peer: str, now_ms: float) -> None:
        """A heartbeat of ours was acknowledged. The interval that ends a suspicion is not typical and not remembered."""
        known = self._peers.get(peer)
        if known is None:
            self.watch(peer, now_ms)
            return
        if now_ms > known.last_ms:
            if self.phi(peer, now_ms) < self.threshold:
                known.add(now_ms - known.last_ms)
            known.last_ms = now_ms

    def tick(self, now_ms: float) -> bool:
        """Our own heartbeat. True if it came so late that we must have stood still."""
        last, self._ticked_ms = self._ticked_ms, now_ms
        if last is not None and now_ms - last > 1.5 * self.interval_ms + STALL_MS:
            self.health = min(self.health + 1, HEALTH_MAX)
            self._pardon_until_ms = now_ms + self.pause_ms + 2 * self.interval_ms
            return True
        self.health = max(self.health - 1, 0) if now_ms >= self._pardon_until_ms else self.health
        return False

    def phi(self, peer: str, now_ms: float) -> float:
        """The suspicion of a peer; 0 for one that is not watched."""
        known = self._peers.get(peer)
        if known is None:
            return 0.0
        forgiven = self.pause_ms * (self.health + 1)
        deviation = max(known.deviation_ms, self.deviation_ms_min)
        return phi_of(now_ms - known.last_ms, known.mean_ms + forgiven, deviation)

    def alive(self, peer: str, now_ms: float) -> bool:
        """Whether a peer is not suspected."""
        return now_ms < self._pardon_until_ms or self.phi(peer, now_ms) < self.threshold
