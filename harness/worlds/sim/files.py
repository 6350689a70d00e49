"""What is on simulated disks, damaged or taken back to an older state: `harness.worlds.files.Files` in the simulator.

A simulated disk is a dict of the system's own: the system says what of it can be damaged (`harness.system.RottingSystem`), record by record,
under a process that goes on. An older state is a copy of all of it.

With `repairable` an atlas of all disks says which records may still be damaged: those of whose copies more than half are whole afterwards.

    disks      n1  n2  n3        x: one of three is damaged already, so the other two are spared
    x          #   x   x         y: any one may be, and then no other
    y          y   y   y         z: two copies are no three (a write that the third has missed, or a disk that was lost): spared
    z          z   z

A replica set that lost no more can mend itself from a majority (TigerBeetle's simulator keeps such an atlas of its clusters' faults).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, cast

from harness.system import Rot, RottingSystem, SystemUnderTest
from harness.worlds import WorldError
from harness.worlds.files import NOBODY, Restored
from harness.worlds.sim.node import SimMachine
from harness.worlds.sim.tape import Streams


class SimFiles:
    """Of these machines. `crash` ends a process as a power cut does."""

    def __init__(
        self,
        machines: Mapping[str, SimMachine],
        streams: Streams,
        system: SystemUnderTest,
        crash: Callable[[str], object],
    ) -> None:
        self._machines, self._streams, self._crash = machines, streams, crash
        self._system = cast(RottingSystem, system)

    async def damage(
        self,
        nodes: Sequence[str],
        share: float,
        number: int,
        file: str,
        *,
        repairable: bool = False,
        gone: AbstractSet[str] = NOBODY,
    ) -> Mapping[str, AbstractSet[Hashable]]:
        """Flip a bit in a share of the records on each disk, one disk after the other."""
        return {
            node: self._damage(node, share, number, self._precious() if repairable else frozenset())
            for node in nodes
        }

    def _precious(self) -> AbstractSet[Hashable]:
        """The records of which no further copy may be damaged."""
        copies, damaged = Counter[Hashable](), Counter[Hashable]()
        for machine in self._machines.values():
            copies.update(self._system.stored(machine.disk))
            damaged.update(self._system.rot(machine.disk).left)
        return {record for record, count in copies.items() if 2 * (damaged[record] + 1) >= count}

    def _damage(
        self, node: str, share: float, number: int, spared: AbstractSet[Hashable]
    ) -> AbstractSet[Hashable]:
        rng = self._streams(f"damage/{number}/{node}")
        struck = self._system.damage(self._machines[node].disk, share, rng, spared)
        self._machines[node].note(f"{len(struck)} records on the disk were damaged")
        return struck

    async def rot(self, nodes: Sequence[str]) -> Mapping[str, Rot]:
        """What became of the damage."""
        return {node: self._system.rot(self._machines[node].disk) for node in nodes}

    async def undo(self, nodes: Sequence[str], gone: AbstractSet[str] = NOBODY) -> Mapping[str, int]:
        """Nothing is taken back: a node lives with it, or mends it."""
        return dict.fromkeys(nodes, 0)

    async def cut(
        self, nodes: Sequence[str], share: float, file: str, gone: AbstractSet[str] = NOBODY
    ) -> Mapping[str, Mapping[str, Any]]:
        """Not here."""
        raise WorldError("simulated disks hold records, and no files to be cut")

    async def keep(self, nodes: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Copy the disks."""
        counts = {node: self._machines[node].keep() for node in nodes}
        return {node: {"disk": count} if count else {} for node, count in counts.items()}

    async def restore(self, nodes: Sequence[str], gone: AbstractSet[str] = NOBODY) -> Mapping[str, Restored]:
        """The copies take their places."""
        for node in nodes:
            self._crash(node)
        restored = {node: Restored(self._machines[node].go_back(), {}) for node in nodes}
        for node in nodes:
            if node not in gone:
                self._machines[node].start()
        return restored
