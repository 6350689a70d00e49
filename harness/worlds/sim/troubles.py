"""Troubles at work in the simulated network: what each does to a message, and how often it did.

    at sending     rate     the message waits until those before it on its link are through; too long a queue: dropped
                   delay    it is late
                   duplicate    with probability `share` it is sent twice
                   reorder      with probability `share` it is sent apart from the others of its link, which pass it
    on arrival     drop     with probability `share` it is dropped
                   reset    the same, and so is all that was sent before over the link or its way back and is on its way

                   corrupt  its receiver's kernel drops it; or, with the right checksum, the receiver finds that its bytes make no sense, and
                            ends the connection: a reset. Messages here are no bytes: who would believe them shows on hosts only

Each draws from a random stream of its own, so that what else happens in a run stays the same with and without it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from harness.worlds.trouble import (
    CORRUPT,
    DELAY,
    DROP,
    DUPLICATE,
    QUEUE_S,
    RATE,
    REORDER,
    RESET,
    Touch,
    Touches,
    Trouble,
)

HEADER_BYTES: Final = 66  # Ethernet, IP and TCP
DROPPED: Final = float("inf")
"""A message that is so late never arrives."""


def size_bytes(message: Any) -> int:
    """About how long a message is on a wire."""
    try:
        return HEADER_BYTES + len(msgspec.msgpack.encode(message))
    except TypeError:
        return HEADER_BYTES + len(repr(message))


class LinkTrouble:
    """One trouble: counts what it sees on its links and what it touches."""

    def __init__(self, trouble: Trouble, rng: random.Random) -> None:
        self.trouble = trouble
        self._rng = rng
        self._counts = {
            (src, dst): [0, 0, 0.0] for dst in sorted(trouble.links) for src in sorted(trouble.links[dst])
        }

    def late_s(self, src: str, dst: str, message: Any, now_s: float) -> float:
        """By how much a message that is sent now is late; DROPPED if it never arrives."""
        return 0.0

    def is_doubled(self, src: str, dst: str) -> bool:
        """Whether a message that is sent now is sent twice."""
        return False

    def apart_s(self, src: str, dst: str, number: int) -> float:
        """For how long a message that is sent now goes apart from its link's others; 0 if it does not."""
        return 0.0

    def stops(self, src: str, dst: str, number: int, newest: int) -> bool:
        """Whether a message that arrives now is dropped: the `number`-th that was sent of `newest`."""
        return self.strikes(src, dst)

    def strikes(self, src: str, dst: str) -> bool:
        """Whether it drops what arrives now, or ends its connection."""
        return False

    def touches(self) -> Touches:
        """What it did, by link."""
        return {
            f"{src}->{dst}": Touch(int(seen), int(hit), 1000 * held_s / hit if hit else 0.0)
            for (src, dst), (seen, hit, held_s) in self._counts.items()
        }

    def _count(self, src: str, dst: str, hit: bool, held_s: float = 0.0) -> None:
        counts = self._counts[src, dst]
        counts[0] += 1
        counts[1] += hit
        counts[2] += held_s

    def _draw(self, src: str, dst: str) -> bool:
        """Whether a message of its links is among the share; it is counted."""
        if (src, dst) not in self._counts:
            return False
        share = self.trouble.share
        hit = share >= 1 or self._rng.random() < share
        self._count(src, dst, hit)
        return hit


class Dropping(LinkTrouble):
    """Messages are dropped."""

    def strikes(self, src: str, dst: str) -> bool:
        """With the probability asked for."""
        return self._draw(src, dst)


class Resetting(Dropping):
    """Connections are reset: one between each two nodes, as both ways of a link share it."""

    def __init__(self, trouble: Trouble, rng: random.Random) -> None:
        super().__init__(trouble, rng)
        self._broken: dict[tuple[str, str], int] = {}  # the newest message when the connection was reset

    def stops(self, src: str, dst: str, number: int, newest: int) -> bool:
        """With the probability asked for, and when it was on its way at a reset."""
        if number <= self._broken.get((src, dst), -1):
            return True
        reset = self.strikes(src, dst)
        if reset:
            self._broken[src, dst] = self._broken[dst, src] = newest
        return reset


class Slowing(LinkTrouble):
    """Messages go one after the other, each as long as its bytes take."""

    def __init__(self, trouble: Trouble, rng: random.Random) -> None:
        super().__init__(trouble, rng)
        self._free_s = dict.fromkeys(self._counts, 0.0)  # when the last one will be through

    def late_s(self, src: str, dst: str, message: Any, now_s: float) -> float:
        """The wait for those before it, and its own time on the link."""
        if (src, dst) not in self._counts:
            return 0.0
        wait_s = max(0.0, self._free_s[src, dst] - now_s)
        if wait_s > QUEUE_S:
            self._count(src, dst, True)
            return DROPPED
        takes_s = size_bytes(message) * 8 / (1000 * self.trouble.rate_kbit)
        self._free_s[src, dst] = now_s + wait_s + takes_s
        self._count(src, dst, wait_s > 0, wait_s)
        return wait_s + takes_s


class Delaying(LinkTrouble):
    """Messages are late."""

    def late_s(self, src: str, dst: str, message: Any, now_s: float) -> float:
        """The delay, give or take the jitter."""
        if (src, dst) not in self._counts:
            return 0.0
        jitter_ms = self.trouble.jitter_ms
        late_s = max(0.0, self.trouble.delay_ms + self._rng.uniform(-jitter_ms, jitter_ms)) / 1000
        self._count(src, dst, True, late_s)
        return late_s


class Doubling(LinkTrouble):
    """Messages are sent twice."""

    def is_doubled(self, src: str, dst: str) -> bool:
        """With the probability asked for."""
        return self._draw(src, dst)


class Reordering(LinkTrouble):
    """Messages are held while those behind them pass."""

    def __init__(self, trouble: Trouble, rng: random.Random) -> None:
        super().__init__(trouble, rng)
        self._apart: dict[tuple[str, str], set[int]] = {link: set() for link in self._counts}

    def apart_s(self, src: str, dst: str, number: int) -> float:
        """With the probability asked for."""
        if (src, dst) not in self._counts or self._rng.random() >= self.trouble.share:
            return 0.0
        self._apart[src, dst].add(number)
        return self.trouble.delay_ms / 1000

    def stops(self, src: str, dst: str, number: int, newest: int) -> bool:
        """Nothing is stopped: those that one sent later has passed are counted."""
        if (src, dst) in self._apart:
            passed = {held for held in self._apart[src, dst] if held < number}
            self._apart[src, dst] -= passed | {number}
            self._counts[src, dst][0] += 1
            self._counts[src, dst][1] += len(passed)
        return False


def corrupting(trouble: Trouble, rng: random.Random) -> LinkTrouble:
    """What becomes of a message whose bits are not those that were sent."""
    return Resetting(trouble, rng) if trouble.mends_checksum else Dropping(trouble, rng)


AT_WORK: Final[Mapping[str, Callable[[Trouble, random.Random], LinkTrouble]]] = {
    DROP: Dropping,
    RESET: Resetting,
    RATE: Slowing,
    DELAY: Delaying,
    DUPLICATE: Doubling,
    REORDER: Reordering,
    CORRUPT: corrupting,
}
