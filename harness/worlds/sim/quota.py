"""A share of a processor, as a simulated machine has it: in each tenth of a second it runs for the share, then stands until the next.

    begin(0.2)   0 ▓▓▓▓░░░░░░░░░░░░░░░░ 100 ms ▓▓▓▓░░░░░░░░░░░░░░░░ 200 ms        used_up: ░

What runs in a simulated node takes no time, so it never uses its share up by itself, as a busy program does. What comes while it stands still waits, as
beside a busy program; the time for which something waited is what the fault did.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from harness.worlds.sim.loop import SimLoop

PERIOD_S = 0.1
SHARE: Final = "share"  # among what keeps a process from running: its share is used up


class Quota:
    """Of one machine. `stops` is what keeps its process from running; `go_on()` is called each time it may run again: what it finds held had waited."""

    __slots__ = ("_go_on", "_loop", "_number", "_share", "_stood_s", "_stops", "waited_s")

    def __init__(self, loop: SimLoop, stops: set[str], go_on: Callable[[], bool]) -> None:
        self._loop, self._stops, self._go_on = loop, stops, go_on
        self._number = 0  # of the quota in force: turns of an earlier one end
        self._share, self._stood_s = 1.0, 0.0
        self.waited_s = 0.0

    def begin(self, share: float) -> None:
        """From now on, in place of any other."""
        self._number += 1
        self._share, self.waited_s = min(share, 1.0), 0.0
        self._run(self._number)

    def end(self) -> float:
        """It runs all the time; for how long something had waited."""
        self._number += 1
        self._release()
        waited_s, self.waited_s = self.waited_s, 0.0
        return waited_s

    def _run(self, number: int) -> None:
        if number == self._number:
            self._release()
            self._loop.post(self._share * PERIOD_S, self._stand, number)

    def _stand(self, number: int) -> None:
        if number == self._number:
            self._stood_s = self._loop.now
            if self._share < 1:
                self._stops.add(SHARE)
            self._loop.post((1 - self._share) * PERIOD_S, self._run, number)

    def _release(self) -> None:
        if SHARE in self._stops:
            self._stops.remove(SHARE)
            if self._go_on():
                self.waited_s += self._loop.now - self._stood_s
