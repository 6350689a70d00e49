"""Deadlines: one time limit for every operation, one timer for all of them.

    begun     w0#7   w2#3   w1#9   w0#8  …      a queue: all limits are equally long, so first in is first out
                │
    timer ──────┘  rings for the head; an operation that has ended meanwhile is passed over

A timer an operation would cost more than the operation: most end long before their limit, and the timer's heap would
fill with cancelled ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from checkers.op import Op

EARLY_S: Final = 1e-6  # a timer may ring this much early, by rounding


class Watched(Protocol):
    """Who has an operation: `op`, None between two, the `number`-th. `stopped`: no longer of interest."""

    op: Op | None
    number: int
    stopped: bool


class Handle(Protocol):
    """A timer that can be cancelled."""

    def cancel(self) -> None:
        """It will not ring."""


W = TypeVar("W", bound=Watched)


class Deadlines(Generic[W]):
    """Calls `expire(who, op)` for each operation that takes longer than `timeout_s`. `now` and `call_at` are the loop's."""

    def __init__(
        self,
        timeout_s: float,
        now: Callable[[], float],
        call_at: Callable[[float, Callable[[], None]], Handle],
        expire: Callable[[W, Op], None],
    ) -> None:
        self.timeout_s = timeout_s
        self._now = now
        self._call_at = call_at
        self._expire = expire
        self._queue: deque[tuple[float, W, int]] = deque()
        self._timer: Handle | None = None
        self._ringing = False

    def watch(self, who: W) -> None:
        """The operation `who` has now begins."""
        queue = self._queue
        while queue and queue[0][1].number != queue[0][2]:
            queue.popleft()
        queue.append((self._now() + self.timeout_s, who, who.number))
        if self._timer is None and not self._ringing:
            self._timer = self._call_at(queue[0][0], self._ring)

    def cancel(self) -> None:
        """Watch no longer."""
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _ring(self) -> None:
        """End what has taken too long, and set the timer for what is next."""
        self._timer = None
        self._ringing = True
        now_s = self._now() + EARLY_S
        while self._queue:
            deadline_s, who, number = self._queue[0]
            if who.op is None or who.number != number or who.stopped:
                self._queue.popleft()
            elif deadline_s > now_s:
                self._timer = self._call_at(deadline_s, self._ring)
                break
            else:
                self._queue.popleft()
                self._expire(who, who.op)
        self._ringing = False
