"""What can be done to what nodes keep, in words that fit both worlds.

damage     bits flip: in the simulator in records, under a process; on hosts in a file, whose process is stopped for it and started again
cut        the end of a file is gone, on hosts only: a simulated disk has records, and no files
keep       a copy is made, of all files or the whole simulated disk;  restore   it takes their place: an older state, whole in itself
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple, Protocol

from harness.system import Rot

NOBODY: Final[AbstractSet[str]] = frozenset()


class Restored(NamedTuple):
    """Whether an older state is there again, and was another than the one it replaced. `told`: by what that is known."""

    changed: bool
    told: Mapping[str, Any]


class Files(Protocol):
    """What a world does to what is on the disks of some nodes, all at once. Raises WorldError.

    On nodes of `gone` no process is started: another fault keeps them so.
    """

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
        """Flip a bit in a share of what there is, which drawn for the fault of this number; where. `file` names one of the system's.

        `repairable`: only where most copies stay whole, which only the simulator can know.
        """

    async def rot(self, nodes: Sequence[str]) -> Mapping[str, Rot]:
        """Look at the disks: what is damaged still, and what was met by the system."""

    async def undo(self, nodes: Sequence[str], gone: AbstractSet[str] = NOBODY) -> Mapping[str, int]:
        """Take damage back that nobody has written over, where the system cannot be asked to live with it; how much that was."""

    async def cut(
        self, nodes: Sequence[str], share: float, file: str, gone: AbstractSet[str] = NOBODY
    ) -> Mapping[str, Mapping[str, Any]]:
        """Cut off the end of a file; of each file, its `bytes_before` and `bytes_after`, and checksums `before` and `after`."""

    async def keep(self, nodes: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Copy what is there now; what it is, by name. Nothing when there is nothing."""

    async def restore(self, nodes: Sequence[str], gone: AbstractSet[str] = NOBODY) -> Mapping[str, Restored]:
        """The processes are killed, the copies take the place of what is there, and processes are started on them: all are old before one is up."""
