"""Too little memory, as a simulated machine has it: it stands still again and again, for times that are drawn; or its process is killed.

    squeeze   ▓▓▓▓▓░░░▓▓▓▓▓▓▓▓▓▓░░░░░░▓▓░▓▓▓▓▓▓▓▓▓░░        release      standing: ░

On hosts who asks for a page that is not there waits until one is taken from somebody ("direct reclaim"), so all that a process does is late, at
times that nobody can foresee. What runs in a simulated node takes no memory, so it meets no limit by itself, and no room is too much for it: what
comes while it stands waits, and each time something did counts as one time that the limit was met.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from harness.worlds.memory import Shortage
from harness.worlds.sim.loop import SimLoop
from harness.worlds.sim.tape import Streams

if TYPE_CHECKING:
    from harness.worlds.sim.node import SimMachine

BETWEEN_S: Final = 0.05  # on average
STANDS_S_MAX: Final = 0.1
MEMORY: Final = "memory"  # among what keeps a process from running: it waits for memory


class Reclaim:
    """Of one machine. `stops` is what keeps its process from running; `go_on()` is called each time it may run again: it tells whether something was held."""

    __slots__ = ("_go_on", "_loop", "_number", "_rng", "_stops", "met")

    def __init__(self, loop: SimLoop, stops: set[str], go_on: Callable[[], bool]) -> None:
        self._loop, self._stops, self._go_on = loop, stops, go_on
        self._rng: random.Random | None = None
        self._number = 0  # of the shortage in force: turns of an earlier one end
        self.met = 0

    def begin(self, rng: random.Random) -> None:
        """From now on, in place of any other."""
        self._number += 1
        self._rng, self.met = rng, 0
        self._run(self._number)

    def end(self) -> int:
        """It runs all the time; how often something had waited."""
        self._number += 1
        self._release()
        return self.met

    def _run(self, number: int) -> None:
        if number == self._number and self._rng is not None:
            self._release()
            self._loop.post(self._rng.expovariate(1 / BETWEEN_S), self._stand, number)

    def _stand(self, number: int) -> None:
        if number == self._number and self._rng is not None:
            self._stops.add(MEMORY)
            self._loop.post(STANDS_S_MAX * self._rng.random(), self._run, number)

    def _release(self) -> None:
        if MEMORY in self._stops:
            self._stops.remove(MEMORY)
            self.met += self._go_on()


class SimMemory:
    """`harness.worlds.memory.Memory` of simulated machines."""

    def __init__(
        self, machines: Mapping[str, SimMachine], streams: Streams, crash: Callable[[str], int]
    ) -> None:
        self._machines, self._streams, self._crash = machines, streams, crash
        self._drawn: dict[str, random.Random] = {}
        self._killed: dict[str, int] = {}

    async def squeeze(self, nodes: Sequence[str], room_mib: float, kill: bool) -> None:
        """They stand still again and again; or their processes are killed, and nothing else happens."""
        for node in nodes:
            machine = self._machines[node]
            self._killed[node] = int(kill and machine.process is not None)
            if kill:
                self._crash(node)
                continue
            if node not in self._drawn:
                self._drawn[node] = self._streams(f"memory/{node}")
            machine.reclaim.begin(self._drawn[node])

    async def release(self, nodes: Sequence[str]) -> Mapping[str, Shortage]:
        """They run all the time."""
        return {node: self._released(node) for node in nodes}

    def _released(self, node: str) -> Shortage:
        killed = self._killed.pop(node, 0)
        return Shortage(self._machines[node].reclaim.end() + killed, killed)
