"""The agenda: what is to happen, when, and virtual time, which is nothing but the time of what happens now.

    post(0.2, f)   at(3.0, g)                      soon(h)
          └─────────────┴──► by time, then by number  └──► ready: now, in order, before anything later
                             └──► run: `now` jumps to the next, it happens, then all that is ready

Nothing waits and nothing is drawn, so the same calls in the same order are the same run. `trace` is a hash over all that has happened:
when each was, and the how-manyth to be asked for. `SimLoop` is asyncio's face of it; the simulator's own parts come straight here.
"""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

from harness.worlds.sim.stuck import SimDeadlockError, SimStormError, SimTimeLimitError

STORM: Final = 1_000_000
"""Events that no run needs within one virtual second: the busiest of the benchmarks has a tenth."""

Call = Callable[..., object]


class Agenda:
    """`now` in virtual seconds · `steps` that were taken at a later time than asked for · `limit_s`, which ends the run · `failure`, which does too."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.now = 0.0
        self.steps = 0
        self.trace = 0
        self.failure: BaseException | None = None
        self._number = 0
        self._look_at = STORM  # how many steps until the next look whether time goes on,
        self._looked_s = 0.0  # and when the last was
        self._later: list[tuple[float, int, Call, tuple[Any, ...], contextvars.Context | None, Any]] = []
        self._ready: deque[tuple[Call, tuple[Any, ...], contextvars.Context | None, Any]] = deque()

    def post(self, delay_s: float, call: Call, *args: Any) -> None:
        """Call after a virtual delay. It cannot be cancelled."""
        self._number = number = self._number + 1
        heappush(self._later, (self.now + delay_s, number, call, args, None, None))

    def at(self, when_s: float, call: Call, args: tuple[Any, ...], context: contextvars.Context | None, handle: Any) -> None:  # fmt: skip
        """Call at a virtual time, in its context, unless the handle is `dropped` before."""
        self._number = number = self._number + 1
        heappush(self._later, (when_s, number, call, args, context, handle))

    def soon(self, call: Call, args: tuple[Any, ...], context: contextvars.Context | None, handle: Any) -> None:  # fmt: skip
        """Call at the present time, after what is ready already."""
        self._ready.append((call, args, context, handle))

    def clear(self) -> None:
        """Drop all of it."""
        self._later.clear()
        self._ready.clear()

    def run(self, is_over: Callable[[], bool]) -> None:
        """Have it happen until something was ready and then it is over, or something has failed: that is raised."""
        ready, later, limit_s = self._ready, self._later, self.limit_s
        while True:
            calls = 0
            while ready:
                calls += 1
                if calls > STORM:
                    raise SimStormError(f"{calls:,} calls at {self.now:.3f} s, and more are ready: something wakes itself without waiting")  # fmt: skip
                call, args, context, handle = ready.popleft()
                if handle is not None and handle.dropped:
                    continue
                if context is None:
                    call(*args)
                else:
                    context.run(call, *args)
                if self.failure is not None:
                    self._fail()
            if calls and is_over():
                return
            if not later:
                raise SimDeadlockError(
                    f"nothing is left to happen at {self.now:.3f} s, but the main coroutine still waits"
                )
            when, number, call, args, context, handle = heappop(later)
            if handle is not None and handle.dropped:
                continue
            if when > limit_s:
                heappush(later, (when, number, call, args, context, handle))
                raise SimTimeLimitError(
                    f"the run passed its limit of {limit_s:g} virtual seconds without finishing"
                )
            self.now = when
            self.steps += 1
            if self.steps >= self._look_at:
                self._look()
            self.trace = hash((self.trace, when, number))
            if context is None:
                call(*args)
            else:
                context.run(call, *args)
            if self.failure is not None:
                self._fail()

    def _fail(self) -> None:
        failure, self.failure = self.failure, None
        assert failure is not None
        raise failure

    def _look(self) -> None:
        """Does time go on? After a storm the next look is soon, for what is left to be done is little."""
        since_s, self._looked_s = self._looked_s, self.now
        if self.now - since_s >= 1.0:
            self._look_at = self.steps + STORM
            return
        self._look_at = self.steps + STORM // 10
        raise SimStormError(f"events without number between {since_s:.3f} and {self.now:.3f} s of virtual time: the system sends, or wakes itself, without end")  # fmt: skip
