"""Load that others put on a node: the system there gets a share of a processor only, or little more memory than it has.

kind             what happens                                               it bit if                          healed if
cpu-pressure     in each tenth of a second it has its share of a processor  it wanted more, and had to wait    it waits no more
memory-pressure  beyond what it cannot give back it has a little room       it wanted more, and had to wait    the limit is gone, and
                 with how = "kill" that goes too                            its process was killed             a process is there

    share = 0.1   ▓▓░░░░░░░░ ▓▓░░░░░░░░ ▓▓░░░░░░░░     runs, stands still until the tenth of a second is over, runs, …

A share is what a scheduler does to a group with a quota, and what a node feels beside a noisy neighbour, in short: answers are late in steps, time-outs
are met by nodes that are not dead. A system that asks for less than its share, or its room, notices nothing, and the fault has not bitten.
Without memory the kernel drops pages of files to make room, the log of a database among them, and they are read again; what cannot be dropped is
waited for. That is slowness at moments that nobody foresees, or a death that no program sees coming (the "OOM killer").
Reference: Documentation/scheduler/sched-bwc.rst of Linux; Gorman, "Understanding the Linux Virtual Memory Manager" (2004), chapters 10 and 13.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from harness.nemesis.faults import Fault
from harness.plan_options import HOW, OOM_KILL, STRENGTHS
from harness.worlds import World


class CpuPressure(Fault):
    """A quota, from start to stop."""

    kind = "cpu-pressure"

    async def start(self, world: World) -> None:
        """Set it; whether it is felt shows at the end."""
        await world.throttle(self.nodes, float(self.detail.get("share", STRENGTHS[self.kind]["share"])))

    async def stop(self, world: World) -> None:
        """Take it away, and see how long the system had to wait."""
        waits = await world.unthrottle(self.nodes)
        self.evidence |= {node: {"waited_ms": round(waited_ms, 1)} for node, waited_ms in waits.items()}
        self.judge({node: waited_ms > 0 for node, waited_ms in waits.items()}, "it had all the processor time it wanted")  # fmt: skip
        self.healed = True


class MemoryPressure(Fault):
    """A limit, from start to stop. By `kill` its process is gone at once."""

    kind = "memory-pressure"

    @property
    def kills(self) -> bool:
        """Whether the system is to be killed, and not only late."""
        return self.detail.get(HOW) == OOM_KILL

    async def start(self, world: World) -> None:
        """Set it. Whether it is felt shows at the end, but for a death."""
        before = {node: await world.process(node) for node in self.nodes}
        room_mib = float(self.detail.get("room_mib", STRENGTHS[self.kind]["room_mib"]))
        await world.memory.squeeze(self.nodes, room_mib, self.kills)
        bites = {}
        for node, was in before.items():
            state = (await world.process(node)).state
            self.evidence[node] = {"pid_before": was.pid, "state": state}
            if self.kills and was.state != "gone":
                bites[node] = state == "gone"
        if self.kills:
            self.judge(bites, "the kernel did not kill it" if bites else "no process was there to be killed")

    async def stop(self, world: World) -> None:
        """Take it away, see what it did, and start a process where there is none."""
        self.healed, bites = True, {}
        before = {node: (await world.process(node)).state for node in self.nodes}
        for node, shortage in (await world.memory.release(self.nodes)).items():
            await self.begin_anew(world, node)
            now = await world.process(node)
            found = {"limit_met": shortage.met, "killed": shortage.killed, **shortage.told}
            self.evidence.setdefault(node, {}).update(
                **found, state=before[node], pid_after=now.pid, state_after=now.state
            )
            if not self.kills:
                bites[node] = shortage.met > 0
            elif self.evidence[node].get("pid_before") is not None:
                bites[node] = shortage.killed > 0
            self.healed &= now.state != "gone" or node in self.kept_gone
        if self.bit or not self.kills:
            self.judge(bites, "the kernel killed nobody" if self.kills else "it had all the memory it wanted")


KINDS: Final[Mapping[str, Callable[..., Fault]]] = {each.kind: each for each in (CpuPressure, MemoryPressure)}
