"""Faults of what is stored: bits that flip, files that are cut short, an older state that comes back.

kind              what happens                                                     it bit if                            healed if
bitflip           bits flip in records, on hosts in a file                         a read met it                        all is mended, replaced, or taken back
truncate          the end of a file is cut off, between two processes              it is shorter, and another           a process is there
snapshot-restore  at the end all files are again what they were at the start       what was there was something else    a process is there

    n1   x=3  y=7  z=5          bitflip-start, share 0.3: one of three
         x=3  y≠#  z=5          a read of y, or a scrub, meets a checksum that does not match
         x=3  y=7  z=5          the system mends it from its replicas, or a later write takes its place

Damage that nothing reads tests nothing. So the first bit if records were damaged on every node, and a read met at least one of them on each
before the fault ended. No disk heals, so it counts what is damaged still (Bairavasundaram et al., "An analysis of data corruption in the
storage stack", FAST 2008; Ganesan et al., "Redundancy does not imply fault tolerance", FAST 2017). A file that is cut short loses what was
promised, and an older state has forgotten it: no checksum tells that one from the newest. A system that trusts its disk breaks its promise
under both, which is what they are for (Alagappan et al., "Protocol-aware recovery for consensus-based storage", FAST 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, cast

from harness.nemesis.faults import Fault
from harness.plan_options import EXTENT, FILE, REPAIRABLE, STRENGTHS
from harness.worlds import RottingWorld, World
from harness.worlds.files import Files


def files_of(world: World) -> Files:
    """What the world does to files. `possible` has looked that it can."""
    return cast(RottingWorld, world).files


@dataclass(slots=True)
class FileFault(Fault):
    """A fault of files from start to stop."""

    def asked(self) -> tuple[float, str]:
        """The share, and the name of a file, which may be none."""
        return float(self.detail.get("share", STRENGTHS[self.kind]["share"])), str(self.detail.get(FILE, ""))


@dataclass(slots=True)
class Bitflip(FileFault):
    """A share of the records on some disks is damaged."""

    struck: dict[str, AbstractSet[Hashable]] = field(default_factory=dict)

    kind = "bitflip"

    async def start(self, world: World) -> None:
        """Damage them. Where nothing is stored, nothing can be."""
        share, file = self.asked()
        repairable = self.detail.get(EXTENT) == REPAIRABLE
        self.struck |= await files_of(world).damage(
            self.nodes, share, self.number, file, repairable=repairable, gone=self.kept_gone
        )
        self.evidence |= {node: {"damaged": len(struck)} for node, struck in self.struck.items()}
        self.judge({node: bool(struck) for node, struck in self.struck.items()}, "no record was on the disk")

    async def stop(self, world: World) -> None:
        """Look what was met and what is left. Healed if the system has mended, or replaced, them all, or what is left is taken back."""
        self.healed = True
        bites = {}
        rots = await files_of(world).rot(self.nodes)
        taken_back = await files_of(world).undo(self.nodes, self.kept_gone)
        for node, struck in self.struck.items():
            met, left = len(struck & rots[node].met), len(struck & rots[node].left)
            self.evidence[node] |= {"met": met, "left": left, **rots[node].told}
            bites[node] = met > 0
            self.healed &= left <= taken_back[node]
        if self.bit:
            self.judge(bites, "no read met a damaged record")


class Truncate(FileFault):
    """The last share of a file is gone when a process is started on it."""

    kind = "truncate"

    async def start(self, world: World) -> None:
        """Cut it off."""
        share, file = self.asked()
        bites = {}
        for node, cut in (await files_of(world).cut(self.nodes, share, file, self.kept_gone)).items():
            self.evidence[node] = dict(cut)
            shorter = [each for each in cut.values() if each["bytes_after"] < each["bytes_before"]]
            bites[node] = any(each["after"] != each["before"] for each in shorter)
        self.judge(bites, "there was nothing to be cut off")

    async def stop(self, world: World) -> None:
        """Where nobody has written since, because the system would not begin on it, the end is put back."""
        self.healed = True
        before = {node: (await world.process(node)).state for node in self.nodes}
        for node, put_back in (await files_of(world).undo(self.nodes, self.kept_gone)).items():
            state = (await world.process(node)).state
            self.evidence.setdefault(node, {}).update(
                state=before[node], put_back=put_back, state_after=state
            )
            self.healed &= state == "running" or node in self.kept_gone


class SnapshotRestore(Fault):
    """An older state is there again at the end: whole in itself, and without all that was promised since."""

    kind = "snapshot-restore"

    async def start(self, world: World) -> None:
        """Keep what is there."""
        kept = {node: dict(each) for node, each in (await files_of(world).keep(self.nodes)).items()}
        self.evidence |= {node: {"kept": each} for node, each in kept.items()}
        self.judge({node: bool(each) for node, each in kept.items()}, "there was nothing to be kept")

    async def stop(self, world: World) -> None:
        """Put it back under a new process."""
        self.healed = True
        bites = {}
        for node, restored in (await files_of(world).restore(self.nodes, self.kept_gone)).items():
            state = (await world.process(node)).state
            self.evidence.setdefault(node, {}).update(restored=dict(restored.told), state_after=state)
            bites[node] = restored.changed
            self.healed &= state == "running" or node in self.kept_gone
        if self.bit:
            self.judge(bites, "nothing had been written since")


KINDS: Final[Mapping[str, Callable[..., Fault]]] = {
    each.kind: each for each in (Bitflip, Truncate, SnapshotRestore)
}
