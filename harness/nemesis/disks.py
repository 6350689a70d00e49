"""Faults of disks: below a process, which learns of it when it reads, writes or syncs.

kind        what happens on the disk                                  it bit if                                healed if
disk-full   nothing can be added (ENOSPC)                             a write there got ENOSPC                 a write is taken again
read-only   nothing can be written (EROFS)                            a write there got EROFS                  the same
io-error    nothing can be read or written (EIO), and what was not    a write there got EIO                    the same
            synced is lost
slow-disk   it stands still for `stall_ms`, again and again           a write and its fsync took half of that  the same
lying-fsync syncs are answered and keep nothing; at the end the     something that was synced is gone         a process is there
            power goes, and all that was written since is lost

What a system does about an error is its own affair: the reference store ends, for after a failed fsync nobody knows what is on the disk
(Rebello et al., "Can applications recover from fsync failures?", USENIX ATC 2020). At the end of the fault a process is started where there
is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from harness.nemesis.faults import Fault
from harness.plan_options import STRENGTHS
from harness.worlds import World
from harness.worlds.disk_trouble import BROKEN, FULL, LYING, READ_ONLY, REFUSALS, SLOW, DiskTrouble, Probe


class DiskFault(Fault):
    """A trouble of disks from start to stop. A kind says which."""

    trouble = ""

    async def start(self, world: World) -> None:
        """Begin, and see what a write gets."""
        probes = await world.spoil_disks(self.nodes, self.asked())
        for node, probe in probes.items():
            self.evidence[node] = {"write_got": probe.error or "ok", "took_ms": round(probe.took_ms, 1)}
        self.judge({node: self.is_bite(probe) for node, probe in probes.items()}, f"the disk was not {self.trouble}")  # fmt: skip

    def asked(self) -> DiskTrouble:
        """What is to happen."""
        return DiskTrouble(self.trouble)

    def is_bite(self, probe: Probe) -> bool:
        """Whether this is what was asked for."""
        return probe.error == REFUSALS[self.trouble]

    async def stop(self, world: World) -> None:
        """Mend them, see that a write is taken, and start a process where there is none."""
        self.healed = True
        before = {node: (await world.process(node)).state for node in self.nodes}
        for node, probe in (await world.mend_disks(self.nodes)).items():
            found = self.evidence.setdefault(node, {})
            found["state"] = before[node]
            await self.begin_anew(world, node)
            state = (await world.process(node)).state
            found |= {"write_got_after": probe.error or "ok", "took_after_ms": round(probe.took_ms, 1), "state_after": state}  # fmt: skip
            self.healed &= not probe.error and (state != "gone" or node in self.kept_gone)


class DiskFull(DiskFault):
    """There is no room."""

    kind = "disk-full"
    trouble = FULL


class ReadOnly(DiskFault):
    """Nothing can be written."""

    kind = "read-only"
    trouble = READ_ONLY


class IoError(DiskFault):
    """Every access fails."""

    kind = "io-error"
    trouble = BROKEN


class SlowDisk(DiskFault):
    """It stands still again and again."""

    kind = "slow-disk"
    trouble = SLOW

    def asked(self) -> DiskTrouble:
        """With its stalls."""
        return DiskTrouble(self.trouble, float(self.detail.get("stall_ms", STRENGTHS[self.kind]["stall_ms"])))

    def is_bite(self, probe: Probe) -> bool:
        """A write was taken, and late."""
        return not probe.error and probe.took_ms >= self.asked().stall_ms / 2


class LyingFsync(DiskFault):
    """Syncs are answered, as by a disk that keeps what it is given in a cache; at the end the power goes, and the cache with it."""

    kind = "lying-fsync"
    trouble = LYING

    async def stop(self, world: World) -> None:
        """Cut the power, see that something synced is gone, and start a process on what is left."""
        self.healed = True
        bites = {}
        for node, cut in (await world.cut_power(self.nodes)).items():
            await self.begin_anew(world, node)
            state = (await world.process(node)).state
            self.evidence.setdefault(node, {}).update(
                synced_gone=cut.lied, lost=dict(cut.lost), state_after=state
            )
            bites[node] = cut.lied
            self.healed &= state == "running" or node in self.kept_gone
        if self.bit:
            self.judge(bites, "what was synced is there after the power loss")


KINDS: Final[Mapping[str, Callable[..., Fault]]] = {
    each.kind: each for each in (DiskFull, ReadOnly, IoError, SlowDisk, LyingFsync)
}
