"""The kinds of fault of processes and clocks (`links`: of the network, `disks`: of what is stored). Each starts, stops, and says from what was measured in the world whether it bit.

A fault on several nodes bit if it did on every node where it could: one whose process is gone already is none of those, and is told.

kind        start                  it bit if                              healed if
kill        SIGKILL, restart later the process was there, and is gone     a process with another pid is there
power-loss  kill, lose what is not synced  the process is gone, and so is something that was not synced  as kill
power-off   the link goes, then as power-loss  as power-loss, and packets were dropped  as kill
wipe        kill, empty the disk   the process is gone, and so is what was kept  as kill
pause       SIGSTOP, SIGCONT       the process was seen stopped           it is seen running
  freezer   its group is frozen    the same, and it had no processor time  the same
clock       shift wall clocks      the offset measured is the one asked   the offset measured is none
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from harness.plan_options import FREEZER, HOW, SIGNAL
from harness.worlds import ProcessState, World

CLOCK_TOLERANCE_MS: Final = 25.0


@dataclass(slots=True)
class Fault:
    """One fault, from its start on. Subclasses do the work; `evidence` holds what was measured."""

    number: int
    nodes: tuple[str, ...]
    detail: Mapping[str, Any]
    evidence: dict[str, Any] = field(default_factory=dict)
    bit: bool = False
    healed: bool = False
    note: str = ""
    kept_gone: frozenset[str] = frozenset()  # nodes whose process another fault keeps from being there
    cut_links: frozenset[tuple[str, str]] = frozenset()  # from, to: what another fault cuts

    kind = ""

    def judge(self, bites: Mapping[str, bool], otherwise: str) -> None:
        """Set `bit`, and the note if it is not. `bites`: for each node where the fault could bite, whether it did."""
        spared = sorted(node for node, bitten in bites.items() if not bitten)
        self.bit = bool(bites) and not spared
        if not self.bit:
            self.note = otherwise + (f" on {', '.join(spared)}" if spared else "")

    async def start(self, world: World) -> None:
        """Do it."""
        raise NotImplementedError

    async def stop(self, world: World) -> None:
        """Undo it, and look whether it is undone."""
        raise NotImplementedError

    async def begin_anew(self, world: World, node: str) -> None:
        """Start a process there, unless another fault that goes on has ended it."""
        if node not in self.kept_gone:
            await world.start(node)

    def abandon(self) -> None:
        """The run broke off: do nothing more to the world, which is taken down."""


class Kill(Fault):
    """The process is killed, and started anew at the end."""

    kind = "kill"

    async def start(self, world: World) -> None:
        """Kill those that are there."""
        bites = {}
        for node in self.nodes:
            before = await world.process(node)
            if before.state == "gone":
                self.evidence[node] = {"state": "gone already"}
                continue
            await world.kill(node)
            after = await world.process(node)
            self.evidence[node] = {"pid_before": before.pid, "state": after.state}
            bites[node] = before.pid is not None and after.state == "gone"
        self.judge(bites, "the process did not end" if bites else "no process was there to be killed")

    async def stop(self, world: World) -> None:
        """Start anew; the pid must be another."""
        self.healed = True
        for node in self.nodes:
            await self.begin_anew(world, node)
            now = await world.process(node)
            found = self.evidence.setdefault(node, {})
            found["pid_after"] = now.pid
            is_back = now.state == "running" and now.pid != found.get("pid_before")
            self.healed &= is_back or node in self.kept_gone


class PowerLoss(Kill):
    """The power of a node goes: its process is gone, and so is all that it wrote and did not sync. At the end a process is started on the rest."""

    kind = "power-loss"

    async def start(self, world: World) -> None:
        """Cut the power of those that run, all at once."""
        before = {node: await world.process(node) for node in self.nodes}
        struck = [node for node in self.nodes if before[node].state != "gone"]
        self.evidence |= {node: {"state": "gone already"} for node in self.nodes if node not in struck}
        bites = {}
        for node, cut in (await world.cut_power(struck)).items():
            state = (await world.process(node)).state
            self.evidence[node] = {"pid_before": before[node].pid, "state": state, "unsynced_gone": cut.forgot, "synced_gone": cut.lied, "lost": dict(cut.lost)}  # fmt: skip
            bites[node] = state == "gone" and cut.forgot
        self.judge(bites, "the power did not go" if bites else "no process was there to lose its power")


class PowerOff(PowerLoss):
    """A whole node goes: its link first, so that nobody hears its end; then its power. At the end the link is there before the process."""

    kind = "power-off"

    async def start(self, world: World) -> None:
        """Cable, then power."""
        await world.unplug(self.nodes)
        await super().start(world)

    async def stop(self, world: World) -> None:
        """Plug it in, start anew; somebody must have spoken to it meanwhile."""
        dropped = await world.plug_in(self.nodes)
        for node in self.nodes:
            self.evidence.setdefault(node, {})["dropped"] = dropped[node]
        await super().stop(world)
        if self.bit:
            self.judge(
                {node: dropped[node] > 0 for node in self.nodes}, "nobody spoke to it while it was off"
            )


class Wipe(Kill):
    """The process is killed and its disk emptied; at the end a process is started on the empty disk."""

    kind = "wipe"

    async def start(self, world: World) -> None:
        """Kill, then empty the disks of those that are gone."""
        await super().start(world)
        if not self.bit:
            return  # a process that is there still would write on
        bites = {}
        for node in self.nodes:
            removed = await world.wipe(node)
            self.evidence[node]["removed"] = removed
            if self.evidence[node].get("pid_before") is not None:
                bites[node] = removed > 0
        self.judge(bites, "nothing was on the disk")


class Pause(Fault):
    """The process is stopped where it is, and goes on at the end. A signal stops one process; the freezer stops its group, and nothing in it can tell."""

    kind = "pause"
    _paused: dict[str, ProcessState]

    @property
    def how(self) -> str:
        """By what."""
        return str(self.detail.get(HOW, SIGNAL))

    async def start(self, world: World) -> None:
        """Stop those that run."""
        bites, self._paused = {}, {}
        for node in self.nodes:
            before = await world.process(node)
            if before.state != "running":
                self.evidence[node] = {"state": f"{before.state} already"}
                continue
            await world.pause(node, self.how)
            after = await world.process(node)
            self.evidence[node] = {"pid": after.pid, "state": after.state}
            self._paused[node] = after
            bites[node] = after.state == "stopped" and after.pid == before.pid
        self.judge(bites, "the process was not stopped" if bites else "no process was running")

    async def stop(self, world: World) -> None:
        """Let those go on that are still the same process."""
        self.healed = True
        for node in self.nodes:
            before = await world.process(node)
            if before.state == "stopped":
                await world.resume(node)
            now = await world.process(node)
            found = self.evidence.setdefault(node, {})
            if before == self._paused.get(node):
                found["ran_ms"] = round(before.ran_ms - self._paused[node].ran_ms, 1)
            found["state_after"] = now.state
            self.healed &= now.state != "stopped"
        if self.bit and self.how == FREEZER:
            stood = {node: self.evidence[node].get("ran_ms", 0.0) == 0 for node in self._paused}
            self.judge(stood, "it had processor time while it was frozen")


class ClockShift(Fault):
    """Wall clocks of some nodes are off."""

    kind = "clock"

    async def start(self, world: World) -> None:
        """Shift and measure."""
        bites = {}
        for node, asked in self.detail["offsets_ms"].items():
            await world.set_clock(node, asked)
            if (await world.process(node)).state == "gone":
                self.evidence[node] = {"asked_ms": asked, "state": "gone"}
                continue
            measured = await world.clock_offset_ms(node)
            self.evidence[node] = {"asked_ms": asked, "measured_ms": round(measured, 1)}
            bites[node] = abs(measured - asked) <= CLOCK_TOLERANCE_MS and abs(measured) > abs(asked) / 2
        self.judge(bites, "the offset measured is not the one asked for" if bites else "no process was running")  # fmt: skip

    async def stop(self, world: World) -> None:
        """Shift back and measure."""
        self.healed = True
        for node in self.nodes:
            await world.set_clock(node, 0.0)
            if (await world.process(node)).state == "gone":
                self.evidence.setdefault(node, {})["state_after"] = "gone"
                continue
            measured = await world.clock_offset_ms(node)
            self.evidence.setdefault(node, {})["measured_after_ms"] = round(measured, 1)
            self.healed &= abs(measured) <= CLOCK_TOLERANCE_MS


KINDS: Final[Mapping[str, Callable[..., Fault]]] = {
    kind.kind: kind for kind in (Kill, PowerLoss, PowerOff, Wipe, Pause, ClockShift)
}
