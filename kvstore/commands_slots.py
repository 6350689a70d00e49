"""CLUSTER and COMMAND as Redis Cluster has them, so that clients that route by slot send each request to a replica of its key.

    slot = CRC16(key or its {tag}) mod 16384        partition = slot // 64        "master" = the first replica that this node does not suspect

Any node serves any key, so nothing is ever MOVED: a client that routes saves a hop, one that does not is served all the same. A node's client
port is known by gossip, its host from the ring document; a member whose port is not known yet is left out.
Redis: https://redis.io/docs/latest/commands/cluster-slots, cluster-shards, command.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from kvstore.events import Failure, Value
from kvstore.ring import PARTITIONS, SLOTS, slot_of
from kvstore.session import OK, TABLE, Later, Session, command, current, text
from kvstore.users import CATEGORY, CONNECTION

if TYPE_CHECKING:
    from kvstore.node import Node

Args = tuple[bytes, ...]
PER_PARTITION: Final = SLOTS // PARTITIONS
MANY_KEYS: Final = {
    b"DEL": 1,
    b"UNLINK": 1,
    b"EXISTS": 1,
    b"MGET": 1,
    b"MSET": 2,
}  # the step from one key to the next
KEYLESS: Final = {b"DBSIZE", b"KV.BUCKET", b"SCAN"}


class Place(NamedTuple):
    """Where clients find a member."""

    id: bytes
    host: bytes
    port: int


class Range(NamedTuple):
    """Slots that have the same replicas; `places[0]` is the one to ask."""

    first: int
    last: int
    places: tuple[Place, ...]


def node_id(node: Node, name: str) -> bytes:
    """Forty hex digits, as Redis' ids have; the same on every node."""
    return sha1(f"{node.config.cluster}/{name}".encode()).hexdigest().encode()


def places(node: Node) -> dict[str, Place]:
    """The members whose client port is known here."""
    found = {}
    for member in node.view.document.members:
        port = int(node.upkeep.told(member.name, "CLIENT_PORT") or 0)
        if port:
            host = member.address.rpartition(":")[0].strip("[]")
            found[member.name] = Place(node_id(node, member.name), host.encode(), port)
    return found


def ranges(node: Node, n: int) -> list[Range]:
    """All slots, neighbours with the same replicas together."""
    known = places(node)
    rows = []
    for partition, names in enumerate(node.view.preferences(n)):
        order = sorted((name for name in names if name in known), key=lambda name: not node.reachable(name))
        rows.append((partition, tuple(known[name] for name in order)))
    found = []
    for same, group in groupby(rows, key=lambda row: row[1]):
        partitions = [partition for partition, _ in group]
        if same:
            found.append(Range(partitions[0] * PER_PARTITION, (partitions[-1] + 1) * PER_PARTITION - 1, same))
    return found


@command("CLUSTER", 2, 3)
def cluster(node: Node, session: Session, args: Args) -> Value | Later:
    """CLUSTER SLOTS | SHARDS | NODES | INFO | MYID | KEYSLOT key. Members change by KV.CLUSTER."""
    sub = args[1].upper()
    if sub == b"KEYSLOT" and len(args) == 3:
        return slot_of(args[2])
    if len(args) == 2 and sub == b"MYID":
        return node_id(node, node.name)
    if len(args) == 2 and sub in (b"SLOTS", b"SHARDS", b"NODES", b"INFO"):
        found = ranges(node, current(node, session).n)
        return {b"SLOTS": _slots, b"SHARDS": _shards, b"NODES": _nodes, b"INFO": _info}[sub](node, found)
    return Failure(
        "ERR",
        f"CLUSTER {text(args[1][:64])} is not done here; there are SLOTS, SHARDS, NODES, INFO, MYID and KEYSLOT key, and KV.CLUSTER",
    )


def _slots(node: Node, found: Sequence[Range]) -> Value:
    rows: list[Value] = []
    for each in found:
        rows.append([each.first, each.last, *[_place(place) for place in each.places]])
    return rows


def _place(place: Place) -> Value:
    return [place.host, place.port, place.id]


def _shards(node: Node, found: Sequence[Range]) -> Value:
    """A shard for each order of replicas."""
    slots: dict[tuple[Place, ...], list[Value]] = {}
    for each in found:
        slots.setdefault(each.places, []).extend((each.first, each.last))
    return [
        {"slots": owned, "nodes": [_about(node, place, place is same[0]) for place in same]}
        for same, owned in slots.items()
    ]


def _about(node: Node, place: Place, first: bool) -> Value:
    healthy = node.reachable(_name(node, place))
    return {
        "id": place.id, "port": place.port, "ip": place.host, "endpoint": place.host,
        "role": b"master" if first else b"replica", "replication-offset": 0, "health": b"online" if healthy else b"failed",
    }  # fmt: skip


def _name(node: Node, place: Place) -> str:
    return next(name for name in node.view.members if node_id(node, name) == place.id)


def _nodes(node: Node, found: Sequence[Range]) -> Value:
    """A line for each member, with the slots that it is asked for first."""
    lines = []
    for name, place in places(node).items():
        own = " ".join(f"{each.first}-{each.last}" for each in found if each.places[0] == place)
        flags, link = (
            ("myself,master" if name == node.name else "master"),
            ("connected" if node.reachable(name) else "disconnected"),
        )
        address = f"{place.host.decode()}:{place.port}@{place.port}"
        lines.append(f"{place.id.decode()} {address} {flags} - 0 0 {node.view.epoch} {link} {own}".rstrip())
    return ("\n".join(lines) + "\n").encode()


def _info(node: Node, found: Sequence[Range]) -> Value:
    covered = sum(each.last - each.first + 1 for each in found)
    facts = {
        "cluster_state": "ok" if covered == SLOTS and node.ready else "fail",
        "cluster_slots_assigned": covered,
        "cluster_slots_ok": covered,
        "cluster_known_nodes": len(node.view.members),
        "cluster_size": len(node.view.members),
        "cluster_current_epoch": node.view.epoch,
    }
    return "".join(f"{name}:{value}\r\n" for name, value in facts.items()).encode()


@command("READWRITE", 1, 1)
@command("READONLY", 1, 1)
def readonly(node: Node, session: Session, args: Args) -> Value | Later:
    """READONLY, READWRITE: every replica answers reads and writes anyway."""
    return OK


@command("COMMAND", 1, 0)
def command_(node: Node, session: Session, args: Args) -> Value | Later:
    """COMMAND [COUNT | LIST | INFO name... | DOCS ...]: what there is, and where in it the keys are; documentation is not served."""
    sub = args[1].upper() if len(args) > 1 else b""
    if sub == b"COUNT":
        return len(TABLE)
    if sub == b"LIST":
        return [name.lower() for name in TABLE]
    if sub == b"DOCS":
        return {}
    if sub == b"INFO":
        return [_described(name.upper()) if name.upper() in TABLE else None for name in args[2:]]
    if sub:
        return Failure(
            "ERR", f"COMMAND {text(args[1][:64])} is not done here; there are COUNT, LIST, INFO and DOCS"
        )
    return [_described(name) for name in TABLE]


def _described(name: bytes) -> Value:
    """[name, arity, flags, first key, last key, step, categories], as Redis 6 has it: arity below 0 is a least."""
    row, category = TABLE[name], CATEGORY.get(name, "")
    keyless = category in (CONNECTION, "admin", "cluster", "") or name in KEYLESS
    step = 0 if keyless else MANY_KEYS.get(name, 1)
    last = 0 if keyless else -1 if name in MANY_KEYS else 1
    flags = {"read": [b"readonly"], "write": [b"write"]}.get(category, [b"admin"])
    return [
        name.lower(),
        row.least if row.most == row.least else -row.least,
        list(flags),
        int(not keyless),
        last,
        step,
        [b"@" + (category or "admin").encode()],
    ]
