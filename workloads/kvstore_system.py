"""The reference store as a system under test: its options, and how it comes to life in either world.

[system]                     in the simulator   `workloads.kvstore_sim`     Node over a memory engine
name = "kvstore"             on hosts           `workloads.kvstore_hosts`   `python -m kvstore` over SQLite
mode = "quorum"

option         default            meaning
mode           register           what is promised: see kvstore.config
type           –                  of mode crdt: see kvstore.crdt
n              3, or all nodes    replicas per key
r, w           the mode's         how many replicas a read, a write waits for
read_repair    the mode's         none | async | blocking
sloppy         false              whether nodes beyond the preference list may acknowledge writes
durability     always             when a write is on disk, and whether its answer waits: see kvstore.durability
members        all nodes          how many of the nodes begin as members; the others may join
transfers_max  2                  partitions that a node streams at a time
anti_entropy_ms  10000            between two comparisons of trees; 0: none, so that only reads and hints repair
tombstone_grace_ms  ten days      how old a deletion is before it may be forgotten, if that is safe
clock          hlc                hlc | wall: order versions by the bare wall clock, deliberately
bugs           []                 deliberate mistakes, see kvstore.bugs
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any, Final

from harness.client import Channel
from harness.plan import PlanError
from harness.system import Deployment, Layout, Ring, Rot, SimulatedEnv, SimulatedNode, SystemFault
from kvstore.config import DEFAULT_BUCKET, ConfigError, NodeConfig, bucket, node_config
from kvstore.engine_memory import MemoryEngine
from kvstore.messages import Query, QueryReply, Refused, Repair, Stale, Store, StoreReply
from kvstore.messages_cas import Accept, Accepted, Nack, Prepare, Promise
from kvstore.messages_causal import Applied, Apply, OtherLife
from kvstore.points import EPOCH, FSYNC, HINT, PROMISE, READ_REPAIR, STREAM
from kvstore.ring import PARTITIONS, partition_of, walk
from workloads.kvstore_sim import COMMIT_MS_MAX, COMMIT_MS_MIN, StoreNode

BUCKET_OPTIONS: Final = ("mode", "n", "r", "w", "read_repair", "sloppy", "type", "durability")
NODE_OPTIONS: Final = ("transfers_max", "anti_entropy_ms", "tombstone_grace_ms", "clock")
OPTIONS: Final = (*BUCKET_OPTIONS, "members", *NODE_OPTIONS, "bugs")
OF_CLIENTS: Final = (
    *(Query, QueryReply, Store, StoreReply, Repair, Stale, Refused),
    *(Prepare, Promise, Accept, Accepted, Nack, Apply, Applied, OtherLife),
)
SIM_ADDRESS: Final = "127.0.0.1:7100"  # nobody dials it: the simulator carries messages by name


class KvStoreSystem:
    """`harness.system.SystemUnderTest`: the store with its options, checked. Raises PlanError."""

    name = "kvstore"

    def __init__(self, options: Mapping[str, Any], nodes: Sequence[str]) -> None:
        self.nodes = tuple(nodes)
        for option in options:
            if option not in OPTIONS:
                raise PlanError(f"[system] kvstore has no option {option!r}; there are: {', '.join(OPTIONS)}")
        bugs = options.get("bugs", [])
        if not isinstance(bugs, list | tuple) or not all(isinstance(bug, str) for bug in bugs):
            raise PlanError(
                f'[system] bugs = {bugs!r} is not a list of names; write bugs = ["ack_before_fsync"]'
            )
        members = options.get("members", len(self.nodes))
        if type(members) is not int or not 1 <= members <= len(self.nodes):
            raise PlanError(
                f"[system] members = {members!r} is no number from 1 to {len(self.nodes)}, the plan's nodes"
            )
        self._members = self.nodes[:members]
        self._addresses: Mapping[str, str] = {}  # of hosts
        self._options: dict[str, Any] = {"n": min(3, members), **options}
        if isinstance(self._options["n"], int) and self._options["n"] > len(self.nodes):
            raise PlanError(
                f"[system] n = {self._options['n']} replicas need as many nodes, and there are {len(self.nodes)}; "
                f"lower n or raise nodes"
            )
        try:
            self._configs = {node: self._config(node) for node in self.nodes}
        except ConfigError as error:
            raise PlanError(f"[system] {error}") from None

    def _config(self, node: str) -> NodeConfig:
        asked = {name: self._options[name] for name in BUCKET_OPTIONS if self._options.get(name) is not None}
        given = {name: self._options[name] for name in NODE_OPTIONS if name in self._options}
        peers = dict.fromkeys(self._members, SIM_ADDRESS)
        return node_config(
            node, peers, bugs=self._options.get("bugs", ()), default=bucket(DEFAULT_BUCKET, **asked),
            joining=node not in self._members, replace=True, **given,
        )  # fmt: skip

    @property
    def points(self) -> tuple[str, ...]:
        """The points of `kvstore.points` that a node may come to, as it is configured: what moves needs a node to move to."""
        chosen, moving = self._configs[self.nodes[0]].default, len(self._members) < len(self.nodes)
        may = {
            HINT: True,
            READ_REPAIR: chosen.read_repair != "none",
            EPOCH: moving,
            STREAM: moving,
            PROMISE: moving or chosen.mode == "cas",
            FSYNC: True,
        }
        return tuple(point for point, possible in may.items() if possible)

    def fewer_copies(self) -> Mapping[str, Any]:
        """A copy less, and quorums no larger than what is left: sets that met before meet still."""
        n = self._options["n"] - 1
        quorums = {name: min(n, self._options[name]) for name in ("r", "w") if self._options.get(name)}
        return {"n": n, **quorums} if n else {}

    def without_mistakes(self) -> Mapping[str, Any]:
        """No bug of `kvstore.bugs`."""
        return {"bugs": []} if self._options.get("bugs") else {}

    def simulated(self, node: str, env: SimulatedEnv) -> SimulatedNode:
        """One life of a node in the simulator."""
        return StoreNode(self._configs[node], env)

    def stored(self, disk: dict[str, Any]) -> AbstractSet[Hashable]:
        """Buckets and keys."""
        engine: MemoryEngine | None = disk.get("engine")
        return frozenset() if engine is None else engine.look().keys()

    def damage(
        self, disk: dict[str, Any], share: float, rng: random.Random, spared: AbstractSet[Hashable]
    ) -> AbstractSet[Hashable]:
        """Flip a bit in a share of the records on a simulated disk: their checksums do not match any more."""
        engine: MemoryEngine | None = disk.get("engine")
        return frozenset() if engine is None else engine.rot(share, rng, spared)

    def rot(self, disk: dict[str, Any]) -> Rot:
        """What became of the damage: a record that was written anew is whole again."""
        engine: MemoryEngine | None = disk.get("engine")
        return Rot(frozenset(), frozenset()) if engine is None else Rot(engine.damaged, engine.met)

    def deployment(self) -> Deployment:
        """How it is put on hosts."""
        from workloads import kvstore_hosts

        return kvstore_hosts.deployment(
            self._options, self._members, lambda addresses: setattr(self, "_addresses", dict(addresses))
        )

    async def dial(self, host: str, port: int, *, timeout_s: float) -> Channel:
        """Connect to a node on a host. Raises ChannelError."""
        from workloads import kvstore_hosts

        return await kvstore_hosts.dial(host, port, timeout_s=timeout_s)

    async def ready(self, channel: Channel) -> bool:
        """True when the node serves and hears a majority of its peers, or is no member."""
        status = await _status(channel)
        return status.get(b"ready") == 1 or status.get(b"stranger") == 1

    async def layout(self, channel: Channel) -> Layout | None:
        """The members as this node knows them, None if it is none itself."""
        status = await _status(channel)
        if status.get(b"stranger") != 0:
            return None
        nodes = {name.decode(): _mapping(about) for name, about in _mapping(status[b"nodes"]).items()}
        owned = {name: int(about[b"partitions"]) for name, about in nodes.items()}
        gone = tuple(name.decode() for name in status[b"gone"])
        heard = tuple(sorted(name for name, about in nodes.items() if about[b"state"] != b"unreachable"))
        members, changing = tuple(sorted(nodes)), status[b"change"] is not None
        return Layout(int(status[b"epoch"]), members, owned, changing, gone, heard)

    async def change_members(self, channel: Channel, kind: str, node: str, lost: str) -> None:
        """Begin a change, or abort the one under way. Raises SystemFault when it is refused."""
        if lost == node and "blank_disk_same_id" in self._options.get("bugs", ()):
            return  # whoever made that mistake knows of nothing to be done
        address = self._address(node).encode()
        words: dict[str, tuple[bytes, ...]] = {
            "join": (node.encode(), address),
            "leave": (node.encode(),),
            "abort": (),
            "replace": (lost.encode(),) if lost == node else (lost.encode(), node.encode(), address),
        }
        answer = await channel.request(
            [b"KV.CLUSTER", kind.upper().encode(), *words[kind]], timeout_s=_limit_s(channel, 6.0)
        )
        if isinstance(answer, BaseException):
            raise SystemFault(str(answer))

    async def copy(self, channel: Channel) -> str:
        """A snapshot of every member. Raises SystemFault when it is refused."""
        answer = await channel.request([b"KV.CLUSTER", b"SNAPSHOT", b"copy"], timeout_s=2.0)
        if isinstance(answer, BaseException):
            raise SystemFault(str(answer))
        return str(_mapping(answer)[b"label"].decode())

    def put_back(self, disk: dict[str, Any], name: str) -> int | None:
        """As `quorate cluster restore` does it; how many records the copy lacks, or has another version of."""
        copy: MemoryEngine | None = disk.get(f"snapshot {name}")
        if copy is None:
            return None
        engine: MemoryEngine = disk["engine"]
        disk["engine"], after = copy, copy.look()
        return sum(after.get(place) != record for place, record in engine.look().items())

    def partition_of(self, key: bytes) -> int:
        """One of 256."""
        return partition_of(key)

    async def ring(self, channel: Channel) -> Ring | None:
        """The ring as this node knows it, None if it is no member."""
        told = _mapping(await channel.request([b"KV.CLUSTER", b"RING"], timeout_s=_limit_s(channel)))
        if told.get(b"stranger") != 0:
            return None
        owners, wanted, members = (tuple(name.decode() for name in told[part]) for part in (b"owners", b"wanted", b"members"))  # fmt: skip
        return self._ring(int(told[b"epoch"]), members, owners, wanted, told[b"change"].decode())

    def simulated_ring(self, node: StoreNode) -> Ring | None:
        """The ring as a simulated node knows it, None if it is no member."""
        view = node.view
        if not view.joined:
            return None
        document = view.document
        return self._ring(document.epoch, document.names, document.owners, document.wanted, view.under_way)

    def _ring(self, epoch: int, members: tuple[str, ...], owners: tuple[str, ...], wanted: tuple[str, ...], change: str) -> Ring:  # fmt: skip
        n = self._configs[self.nodes[0]].default.n
        return Ring(epoch, members, preferences(owners, n), preferences(wanted, n) if wanted else (), change)

    async def primaries(self, channel: Channel, key: bytes) -> tuple[str, ...]:
        """The first of the key's preference list."""
        where = _mapping(await channel.request([b"KV.WHERE", key], timeout_s=_limit_s(channel)))
        return tuple(name.decode() for name in where.get(b"replicas", ())[:1])

    def _address(self, node: str) -> str:
        """Where a node listens for its peers."""
        if node not in self._addresses:
            return SIM_ADDRESS
        from workloads import kvstore_hosts

        return f"{self._addresses[node]}:{kvstore_hosts.PEER_PORT}"

    def describe_message(self, message: Any) -> tuple[str, int | None]:
        """What a message between nodes says in a few words, and the request it belongs to; None: no client asked for it."""
        words, key = [type(message).__name__], getattr(message, "key", None)
        words += [repr(key)[2:-1]] if isinstance(key, bytes) else []
        if (value := getattr(message, "value", None)) is not None:
            words.append(f"= {repr(value)[2:-1][:24]}")
        about = message.request if isinstance(message, OF_CLIENTS) and message.request else None
        return " ".join(words), about

    def describe_node(self, node: StoreNode) -> Mapping[str, Any]:
        """Its ring epoch, the operations it coordinates, and every record on its disk."""
        return node.state()

    def describe(self) -> Mapping[str, Any]:
        """Its configuration, defaults filled in."""
        config = self._configs[self.nodes[0]]
        promise = {name: getattr(config.default, name) for name in BUCKET_OPTIONS}
        return {"name": self.name, **promise, "clock": config.clock, "bugs": sorted(config.bugs), "simulated_commit_ms": [COMMIT_MS_MIN, COMMIT_MS_MAX]}  # fmt: skip


@lru_cache(maxsize=64)
def preferences(owners: tuple[str, ...], n: int) -> tuple[tuple[str, ...], ...]:
    """The preference list of each partition."""
    return tuple(walk(owners, partition, n) for partition in range(PARTITIONS))


def _mapping(answer: Any) -> Mapping[bytes, Any]:
    """A map as RESP 3 gives it, or RESP 2: names and values by turns."""
    if isinstance(answer, list):
        return dict(zip(answer[::2], answer[1::2], strict=True))
    return answer if isinstance(answer, Mapping) else {}


async def _status(channel: Channel) -> Mapping[bytes, Any]:
    return _mapping(await channel.request([b"KV.CLUSTER", b"STATUS"], timeout_s=_limit_s(channel)))


def _limit_s(channel: Channel, usual_s: float = 2.0) -> float:
    """How long to wait for an answer about the node itself: longer on a host that is slow."""
    patience_s: float = getattr(channel, "patience_s", usual_s)
    return max(usual_s, patience_s)
