"""System: the thing under test, described once for both worlds.

    SystemUnderTest(options, nodes)
        .deployment()          ──► Deployment        for hosts: what to upload, how to start, where it listens
        .dial(address)         ──► Channel           for hosts: connect to a started node
        .ready(channel)                              is this node serving?
    SimulatedSystem, besides
        .simulated(node, env)  ──► SimulatedNode     for the simulator: events in, effects through `env`

A plan names it (`harness.named`); the harness knows none by name. `docs/your-own-system.md` shows how to write one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from harness.client import Channel
from harness.named import find
from harness.plan_toml import PlanError


class SystemFault(Exception):
    """The system cannot be set up or started; the message says what is missing."""


class SimulatedEnv(Protocol):
    """What the simulator gives a simulated node. Everything a node may touch is here."""

    node: str
    rng: random.Random
    disk: dict[str, Any]  # survives crash and restart; what is in it is "on disk"
    awaited: Mapping[str, Any]  # the points, by name, that a fault waits for: empty as long as none does

    @property
    def unplugged(self) -> bool:
        """Whether the machine's link is gone."""

    def clock_ms(self) -> tuple[float, float]:
        """Virtual monotonic time, and the virtual wall clock of this node with its offset."""

    def send(self, dst: str, message: Any) -> None:
        """Hand a message to the network, which may lose, delay, duplicate or reorder it."""

    def reply(self, conn: int, request: int, value: Any) -> None:
        """Answer a client's request (in the form hiredis would give it)."""

    def hang_up(self, conn: int) -> None:
        """Close a client's connection; what it waits for stays in doubt."""

    def after(self, delay_ms: float, call: Callable[..., None], *args: Any) -> None:
        """Call later, unless the node has crashed meanwhile. Waits while the node is paused."""

    def reach(self, point: str) -> None:
        """The node has come to one of its system's `points`; a fault that waits for it strikes before anything else happens."""

    def log(self, text: str) -> None:
        """A line in the node's log."""

    def disk_refuses(self) -> str:
        """The error that a write to the disk gets now, such as ENOSPC; nothing if it is taken."""

    def disk_stall_ms(self) -> float:
        """How much longer a write to the disk takes now."""

    def end(self, text: str) -> None:
        """The process ends by itself, as one does whose disk fails; why is a line in the log. Nothing of it may run afterwards."""

    def at_end(self, call: Callable[[], object]) -> None:
        """Call once the run is over, whatever became of the node."""


class SimulatedNode(Protocol):
    """One incarnation of a node in the simulator; made at each start, dropped at a crash."""

    def start(self) -> None:
        """Begin: recover from `env.disk`, set first timers."""

    def on_message(self, src: str, message: Any) -> None:
        """A message from a peer has arrived."""

    def on_request(self, conn: int, request: int, command: Sequence[bytes]) -> None:
        """A client's command has arrived."""

    def on_close(self, conn: int) -> None:
        """A client's connection is gone."""

    def on_stop(self) -> float:
        """Come to an orderly end: answer what is in progress, refuse what comes. In how many seconds it is over."""

    def on_crash(self) -> int:
        """The power goes: turn `env.disk` into what would be found after; how many writes were lost. Nothing else may run afterwards."""


@runtime_checkable
class KernelNode(SimulatedNode, Protocol):
    """One whose network goes on while it is paused, as a kernel's does: `on_message` is called all the same.

    Its system may have `refusal(message)`: what a machine answers, None for nothing, when no process is there.
    """

    @property
    def listens(self) -> bool:
        """Whether a client can connect."""

    def on_reset(self, other: str, message: Any) -> None:
        """A message to or from another node was stopped on its way by a reset."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """How a system gets on a host and runs there. `{node}` in paths and arguments stands for the node's name.

    `directory`, `data_directory` and `log_file` are the system's alone: a run empties them before it begins and removes them when it ends.
    """

    directory: str  # where the command runs
    command: Sequence[str]  # what stays in the foreground
    client_port: int
    data_directory: str
    log_file: str  # of what the command prints
    files: Callable[[str, Mapping[str, str]], Mapping[str, bytes]] = (
        lambda node, addresses: {}
    )  # (node, {node: address}) -> {path: content}
    environment: Mapping[str, str] = field(default_factory=dict)
    bundle: Callable[[], bytes] = (
        bytes  # a tar.gz, unpacked into `directory`; made once for all nodes; empty: none
    )
    requires: Callable[[Callable[[str], str]], None] = field(
        default=lambda run: None
    )  # probe a host, raise SystemFault
    data_files: Mapping[str, str] = field(default_factory=dict)
    """What a fault may damage: paths below `data_directory`, by the names that plans use; the first is the one meant when a plan names none."""


class SystemUnderTest(Protocol):
    """A system, configured."""

    name: str
    nodes: tuple[str, ...]

    def deployment(self) -> Deployment:
        """Say how it is put on hosts."""

    async def dial(self, host: str, port: int, *, timeout_s: float) -> Channel:
        """Connect to a node on a host. Raises NO_ANSWER (`harness.client`): nothing was sent."""

    async def ready(self, channel: Channel) -> bool:
        """True when the node serves and sees a majority of its peers. Raises NO_ANSWER, or takes long: not yet."""

    def describe(self) -> Mapping[str, Any]:
        """Its configuration, for the report. `n`, `r` and `w`, where it has them, are what staleness is predicted from, and
        `simulated_commit_ms`, the least and the longest that a simulated replica takes to make a write durable.
        """


class SimulatedSystem(SystemUnderTest, Protocol):
    """A system that runs in the simulator too."""

    def simulated(self, node: str, env: SimulatedEnv) -> SimulatedNode:
        """Make one incarnation of a simulated node."""


class Layout(NamedTuple):
    """Who is a member and who owns how much, as one node knows it; `changing` while a change goes on."""

    epoch: int
    members: tuple[str, ...]
    owned: Mapping[str, int]
    changing: bool
    gone: tuple[str, ...] = ()  # names that cannot be members again
    heard: tuple[str, ...] = ()  # members that the node hears, itself among them


class ElasticSystem(SystemUnderTest, Protocol):
    """A system whose members can change while it runs. `channel` is to a member."""

    async def change_members(self, channel: Channel, kind: str, node: str, lost: str) -> None:
        """Begin a change: kind is join, leave, or replace (of `lost` by `node`); or abort the one under way. Raises SystemFault when it is refused."""

    async def layout(self, channel: Channel) -> Layout | None:
        """The members as this node knows them, None if it is none itself."""


class Ring(NamedTuple):
    """Who holds what, as one node knows it. `lists` has for each partition of the keys its preference list, and `wanted` the one that it goes to while a `change` goes on."""

    epoch: int
    members: tuple[str, ...]
    lists: tuple[tuple[str, ...], ...]
    wanted: tuple[tuple[str, ...], ...] = ()
    change: str = ""  # "join n6"


class RingedSystem(SystemUnderTest, Protocol):
    """A system that tells which nodes hold a key. `ring` is for hosts, `simulated_ring` for the simulator."""

    def partition_of(self, key: bytes) -> int:
        """The partition of a key: its place in `Ring.lists`."""

    async def ring(self, channel: Channel) -> Ring | None:
        """What this node knows; None if it is no member."""

    def simulated_ring(self, node: Any) -> Ring | None:
        """The same of a simulated node, without a message."""


class ReplicatedSystem(SystemUnderTest, Protocol):
    """A system whose plans say how many copies of a key there are."""

    def fewer_copies(self) -> Mapping[str, Any]:
        """The options that change when there is a copy less, and no promise less; none if there cannot be."""


class SeededSystem(SystemUnderTest, Protocol):
    """A system into which mistakes can be put on purpose, by options of the plan."""

    def without_mistakes(self) -> Mapping[str, Any]:
        """The options that change when it has none of them; none if it has none."""


class LedSystem(SystemUnderTest, Protocol):
    """A system in which some nodes matter more to a key than others."""

    async def primaries(self, channel: Channel, key: bytes) -> tuple[str, ...]:
        """The nodes that lead for a key, as this node knows them: a leader, or the first that holds it."""


class Rot(NamedTuple):
    """What is known of damaged records on a disk: those that are damaged now, and those that were ever found so by a read."""

    left: AbstractSet[Hashable]
    met: AbstractSet[Hashable]
    told: Mapping[str, Any] = MappingProxyType({})  # what else there is to say of it


class RottingSystem(SystemUnderTest, Protocol):
    """A system whose simulated disks (`SimulatedEnv.disk`) can be damaged record by record."""

    def stored(self, disk: dict[str, Any]) -> AbstractSet[Hashable]:
        """The records on a disk, damaged or not. What is the same record has the same name on every disk."""

    def damage(
        self, disk: dict[str, Any], share: float, rng: random.Random, spared: AbstractSet[Hashable]
    ) -> AbstractSet[Hashable]:
        """Flip a bit in a share of the records, drawn from `rng` without those spared, so that reading them fails; which they are."""

    def rot(self, disk: dict[str, Any]) -> Rot:
        """What became of the damage."""


class CopiedSystem(SystemUnderTest, Protocol):
    """A system whose nodes write copies of what they hold, each to its own simulated disk."""

    async def copy(self, channel: Channel) -> str:
        """Have every node write one; its name. Raises SystemFault when it is refused."""

    def put_back(self, disk: dict[str, Any], name: str) -> int | None:
        """Put the copy of that name in the place of what the disk holds; how many records it lacks, None without one."""


class PointedSystem(SystemUnderTest, Protocol):
    """A system that names points in a node's life (`SimulatedEnv.reach`), for faults to be timed by."""

    @property
    def points(self) -> tuple[str, ...]:
        """Those that its nodes may come to, as it is configured."""


SystemFactory = Callable[[Mapping[str, Any], Sequence[str]], SystemUnderTest]
"""(the plan's [system] table without `name`, node names) -> a system. Raises PlanError on a bad option."""


NEEDED: Final[Mapping[str, Sequence[str]]] = {
    "sim": ("name", "nodes", "ready", "describe", "simulated"),
    "hosts": ("name", "nodes", "ready", "describe", "deployment", "dial"),
}
"""What a system has to have, by world."""


def find_system(name: str) -> SystemFactory:
    """A system by its name (`harness.named`). Raises PlanError, as does the factory."""
    factory: SystemFactory = find("system", name)
    return factory


def refuse_incomplete(system: object, name: str, world: str) -> None:
    """Raises PlanError if the system that a plan calls `name` lacks what this world needs."""
    lacking = [needed for needed in NEEDED.get(world, ()) if not hasattr(system, needed)]
    if lacking == ["simulated"]:
        raise PlanError(f"the system {name} has no simulated form (`simulated`); run it with --world hosts")
    if lacking:
        raise PlanError(
            f"the system {name} lacks {', '.join(lacking)}, which the world {world} needs; docs/your-own-system.md says what each is"
        )
