"""Which message arrives next: in place of delays that are drawn, priorities of the links. A PCT scheduler of messages.

    n1→n2  ●●        first: as long as anything is under way on a link above, those below wait …
    n3→n1  ●         … but none longer than `hold_ms`: clients and timers go by the clock
    n2→n3  ●●●       last: what is sent here is late, all of it, in every round
       ▲                                                                      at each change point the link whose turn it is
       └── a random order of all links ◄──────────────────────────────────── becomes the last of all

Delays that are drawn one by one seldom add up to the schedule in which *this* message is late and all the others are not; with priorities that
takes one draw. Burckhardt, Kothari, Musuvathi and Nagarakatte, "A randomized scheduler with probabilistic guarantees of finding bugs", 2010:
of n threads with k steps, a bug that needs d orderings shows with probability at least 1/(n·k^(d-1)) if d - 1 change points are drawn. A link here is what a
thread is there. The bound itself does not carry over: links wait at most `hold_ms`, and change points are times, not steps.
For chains of messages in place of links see Ozkan et al., "Randomized testing of distributed systems with probabilistic guarantees", 2018.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from harness.worlds.sim.loop import SimLoop

Link = tuple[str, str]


class Held:
    """A message under way, and its number. It may arrive once it has `landed`; `gone` when it has arrived."""

    __slots__ = ("gone", "landed", "what")

    def __init__(self, what: tuple[Any, int]) -> None:
        self.what = what
        self.landed = self.gone = False


class Priorities:
    """Carries messages in place of `Network`'s delays. Each is under way for `flight_ms` at least, and waits for `hold_ms` at most."""

    def __init__(
        self, loop: SimLoop, links: Iterable[Link], streams: Callable[[str], random.Random],
        arrive: Callable[[str, str, Any, int], None], *, flight_ms: float, hold_ms: float, changes_s: Iterable[float],
    ) -> None:  # fmt: skip
        draws = {(src, dst): streams(f"net/priority/{src}/{dst}").random() for src, dst in links}
        self._order = sorted(
            draws, key=draws.__getitem__
        )  # by rank, the first goes first; a link that is moved leaves its place
        self._rank = {link: rank for rank, link in enumerate(self._order)}
        self._queues = [deque[Held]() for _ in self._order]
        self._busy = 0  # a bit for each rank that has something under way
        self._loop, self._arrive = loop, arrive
        self._flight_s, self._hold_s = flight_ms / 1000, hold_ms / 1000
        self._changes = deque(sorted(changes_s))
        self._lands_s: dict[Link, float] = {}  # when the last of a link does

    def carry(self, late_s: float, src: str, dst: str, message: Any, number: int) -> None:
        """A message is sent, that a fault of its link makes late by `late_s`. Those of one link land in their order."""
        link, held = (src, dst), Held((message, number))
        rank = self._rank[link]
        self._queues[rank].append(held)
        self._busy |= 1 << rank
        lands_s = max(self._loop.now + self._flight_s + late_s, self._lands_s.get(link, 0.0))
        self._lands_s[link] = lands_s
        self._loop.post(lands_s - self._loop.now, self._land, link, held)

    def _land(self, link: Link, held: Held) -> None:
        held.landed = True
        self._hand_over()
        if not held.gone:
            self._loop.post(self._hold_s, self._overdue, link, held)

    def _hand_over(self) -> None:
        """Let arrive what has landed, first link first, until something that goes before the rest is still under way."""
        while self._busy:
            rank = (self._busy & -self._busy).bit_length() - 1
            if not self._queues[rank][0].landed:
                return
            if self._changes and self._loop.now >= self._changes[0]:
                self._changes.popleft()
                self._put_last(rank)
            else:
                self._take(rank)

    def _overdue(self, link: Link, held: Held) -> None:
        """It has waited long enough, and so have those that were sent before it on its link."""
        while not held.gone:
            self._take(self._rank[link])
        self._hand_over()

    def _take(self, rank: int) -> None:
        queue = self._queues[rank]
        held = queue.popleft()
        if not queue:
            self._busy &= ~(1 << rank)
        held.gone = True
        self._arrive(*self._order[rank], *held.what)

    def _put_last(self, rank: int) -> None:
        """A change point."""
        link, queue = self._order[rank], self._queues[rank]
        self._busy &= ~(1 << rank)
        self._queues[rank] = deque()
        self._rank[link] = len(self._order)
        self._busy |= bool(queue) << len(self._order)
        self._order.append(link)
        self._queues.append(queue)
