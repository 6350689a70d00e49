"""Long work, a slice at a time: no step of a node does more than one slice, so nobody waits longer than that for it.

    begin(job) ──► job(SLICE) ──► nothing left: its next slice SLICE_MS later, PROMPT_MS if somebody waits for it; the jobs in turn
                             └──► some left: the job is done, and the rest is for the next one

A job is called with what it may spend, and returns what it leaves. A record costs 1, or 1 for each 4 KiB if it is large; a reading of storage costs
READING, even if it finds none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from kvstore.events import Damaged, Reader, Record, full, size_of
from kvstore.replica import Moment

SLICE_MS: Final = 10.0  # between two slices
PROMPT_MS: Final = 2.0
SLICE: Final = 256  # 2 ms on a slow processor
READING: Final = 16
BYTES_EACH: Final = 4096

Job = Callable[[int], int]
Page = list[Record | Damaged]


class Schedule(Protocol):
    """`Node.schedule`."""

    def __call__(self, at: float, what: Callable[[], None]) -> None:
        """Make the call at that mono time."""


def cost(page: Page) -> int:
    """What reading it costs."""
    return READING + max(len(page), size_of(page) // BYTES_EACH)


def stepwise(steps: Iterator[int], done: Callable[[], None] = lambda: None) -> Job:
    """A job of steps, each of which tells what it has cost."""

    def work(left: int) -> int:
        while left > 0:
            spent = next(steps, None)
            if spent is None:
                done()
                return left
            left -= spent
        return 0

    return work


class Slices:
    """All long work of one node."""

    def __init__(self, moment: Moment, schedule: Schedule) -> None:
        self._moment = moment
        self._schedule = schedule
        self._jobs: deque[tuple[Job, float]] = deque()
        self._left = SLICE  # of the instant `_at`: steps at the same one share it
        self._at = float("-inf")
        self._running = False  # or about to

    def begin(self, job: Job, pause_ms: float = SLICE_MS) -> None:
        """Do a job, from now on, with such pauses; at once if nothing else is being done and it fits in a slice."""
        self._jobs.append((job, pause_ms))
        if not self._running:
            self._run()

    def _run(self) -> None:
        self._running = True
        now_ms = self._moment.clock.mono_ms
        if now_ms != self._at:
            self._at, self._left = now_ms, SLICE
        while self._jobs and self._left > 0:
            job, pause_ms = self._jobs.popleft()
            self._left = job(self._left)
            if self._left <= 0:
                self._jobs.append((job, pause_ms))
        self._running = bool(self._jobs)
        if self._jobs:
            self._schedule(now_ms + min(pause_ms for _, pause_ms in self._jobs), self._run)


class Reading:
    """A job: look through the committed records of some (bucket, partition), in order, a page at a time."""

    def __init__(
        self,
        reader: Reader,
        places: Iterator[tuple[str, int]],
        look: Callable[[str, int, Page], None],
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """`places` are taken one by one, so they may depend on what is so by then."""
        self._reader = reader
        self._places = places
        self._look = look
        self._done = done
        self._place: tuple[str, int] | None = None
        self._after: bytes | None = None

    def __call__(self, left: int) -> int:
        """Do a slice."""
        while left > 0:
            if self._place is None:
                self._place, self._after = next(self._places, None), None
            if self._place is None:
                self._done()
                return left
            limit, bytes_max = left, left * BYTES_EACH
            page = self._reader.scan(*self._place, self._after, limit, bytes_max)
            left -= cost(page)
            place = self._place
            if full(page, limit, bytes_max):
                self._after = page[-1].key
            else:
                self._place = None
            self._look(*place, page)
        return 0
