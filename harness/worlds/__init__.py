"""Where nodes run: the simulator (`sim`) or SSH hosts (`hosts`). One protocol, so that a plan fits both.

Faults reach a world through this protocol only, and each gives evidence that it bit: numbers measured in the world
after the fact, not a repetition of what was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from harness.plan_options import SIGNAL
from harness.worlds.disk_trouble import DiskTrouble, Probe
from harness.worlds.memory import Memory
from harness.worlds.trouble import Touches, Trouble

if (
    TYPE_CHECKING
):  # the client needs the checkers and their compiled core, whose absence `quorate doctor` reports
    from harness.client import Channel
    from harness.system import SystemUnderTest
    from harness.worlds.files import Files


@dataclass(frozen=True, slots=True)
class ProcessState:
    """The system's process on a node. `state`: "running", "stopped" (paused) or "gone". `ran_ms`: the processor time it has had, where that can be told."""

    pid: int | None
    state: str
    ran_ms: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class PowerCut:
    """What a power cut did to a node's disk. `forgot`: something that was written there and not synced is gone; `lied`: something synced is.

    `lost`: how much of what the system had written is not what it was before, by the name of what it is.
    """

    forgot: bool
    lost: Mapping[str, int]
    lied: bool = False


class World(Protocol):
    """A place with nodes. Every method may raise WorldError, which makes the run end UNKNOWN (infrastructure)."""

    kind: str  # "sim" | "hosts"
    nodes: tuple[str, ...]
    system: SystemUnderTest
    slowness: float  # how many times longer than elsewhere its nodes may take to come up and to answer

    @property
    def memory(self) -> Memory:
        """What can be done to the memory of the nodes."""

    async def up(self) -> None:
        """Install, start and wait until every node is ready."""

    async def down(self) -> None:
        """Stop everything, and leave nothing behind. Idempotent."""

    async def dial(self, node: str) -> Channel:
        """A new client connection to the node. Raises ChannelError."""

    async def disturb(self, trouble: Trouble) -> None:
        """Begin a trouble on links; its counts begin here."""

    async def relieve(self, number: int) -> Touches:
        """End the trouble of this number, verified, and say what it did. Nothing when there is none."""

    async def mend(self) -> None:
        """End every trouble of ours on every node, and verify that none is left."""

    async def kill(self, node: str) -> None:
        """SIGKILL the system on the node; in the simulator, a crash that loses unsynced writes."""

    async def cut_power(self, nodes: Sequence[str]) -> Mapping[str, PowerCut]:
        """Of all these nodes at once: the process is gone, and what is not synced on its disk. Hosts need a disk of each node's own for it."""

    async def unplug(self, nodes: Sequence[str]) -> None:
        """Nothing reaches these nodes, from peers or clients, and nothing leaves them. Nobody is told."""

    async def plug_in(self, nodes: Sequence[str]) -> Mapping[str, int]:
        """They can be reached again; how many packets or messages were lost meanwhile."""

    async def spoil_disks(self, nodes: Sequence[str], trouble: DiskTrouble) -> Mapping[str, Probe]:
        """Begin a trouble of the disks of these nodes, and look what a write there gets. Hosts need a disk of each node's own for it."""

    async def mend_disks(self, nodes: Sequence[str]) -> Mapping[str, Probe]:
        """End every trouble of their disks, and look again. A process may have to be killed for it."""

    async def stop(self, node: str) -> None:
        """SIGTERM, and wait until the process has ended by itself. Raises WorldError if it does not."""

    async def wipe(self, node: str) -> int:
        """Empty the disk of a node whose process is gone: it forgets all it ever wrote. How many things were removed."""

    async def start(self, node: str) -> None:
        """Start the system on the node if it does not run, and wait until the process is there."""

    async def pause(self, node: str, how: str = SIGNAL) -> None:
        """SIGSTOP, or the freezer of its control group; in the simulator there is one way."""

    async def resume(self, node: str) -> None:
        """Let it go on, however it was paused."""

    async def throttle(self, nodes: Sequence[str], share: float) -> None:
        """Of a processor the system there, and all it starts, gets this share only."""

    async def unthrottle(self, nodes: Sequence[str]) -> Mapping[str, float]:
        """It gets what it asks for, verified; for how long it had to wait meanwhile, in milliseconds."""

    async def process(self, node: str) -> ProcessState:
        """Look at the process, in the world, now."""

    async def set_clock(self, node: str, offset_ms: float) -> None:
        """Shift the node's wall clock by this much against true time."""

    async def clock_offset_ms(self, node: str) -> float:
        """Measure the offset on the node, as its process sees it."""

    async def logs(self) -> Mapping[str, str]:
        """{node: log text}, as far as it can be fetched."""

    def environment(self) -> Mapping[str, Any]:
        """What to write in environment.json about this world.

        Among it, after `logs`: `ends`, each process of the nodes `ends_of` and how it ended, at a time `at_s` as `began` of the run counts it,
        and of hosts the `clocks`.
        """


class RottingWorld(World, Protocol):
    """A world that can damage what is on its nodes' disks. `possible` says what of it."""

    files: Files


class CopiedWorld(World, Protocol):
    """A world that can put an old copy of a node's data back: the simulator. Its system is a `harness.system.CopiedSystem`."""

    async def put_back(self, node: str, name: str) -> int | None:
        """On a node whose process is gone: the copy of that name takes the place of its data; how many records it lacks."""


class PointedWorld(World, Protocol):
    """A world that sees what its nodes do: the simulator. Its system names `points`."""

    async def reached(self, point: str, within_s: float) -> str | None:
        """Wait until a node comes to a point; which it is, None if none does in that time."""


class WorldError(Exception):
    """The world itself failed: a host refuses SSH, a port is in use. The message says where and what to do next."""
