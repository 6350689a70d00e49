"""What nodes say to each other to stay alike: gossip, handoff, and the comparison of trees.

    a ── GossipSyn ──► b ── GossipAck ──► a ── GossipAck2 ──► b          (`kvstore.scuttlebutt`)
    a ── Handoff ──► b ── HandoffReply ──► a                             records, once they are durable at b
    a ── TreeRoots ──► b ── TreeBranches ──► a ── TreeLeaves ──► b ── TreeKeys ──► a ── Handoff, Fetch ──► b

No handler needs to remember what it asked: each message carries all that its answer is about, so a lost one costs no more
than a round.
"""

from __future__ import annotations

import msgspec

from kvstore.events import Record, Tag
from kvstore.scuttlebutt import Delta, Digest


class GossipSyn(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=60):
    """How much the sender knows about everybody."""

    digests: tuple[Digest, ...]


class GossipAck(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=61):
    """News for the sender of a GossipSyn, and what the answerer lacks."""

    deltas: tuple[Delta, ...]
    wanted: tuple[Digest, ...]


class GossipAck2(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=62):
    """The news that were wanted."""

    deltas: tuple[Delta, ...]


class Handoff(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=63):
    """Records for the receiver to absorb: hints, and what a comparison found missing. `request` 0 asks for no reply."""

    request: int
    records: tuple[Record, ...]


class HandoffReply(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=64):
    """Everything in that Handoff, or something newer, is durable here, but for what is `left` with the sender: its places in the Handoff."""

    request: int
    left: tuple[int, ...] = ()


class TreeRoots(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=65):
    """The roots of the sender's trees of some partitions of a bucket; `began_ms` is the sender's own time."""

    epoch: int
    bucket: str
    began_ms: float
    roots: dict[int, int]


class TreeBranches(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=66):
    """Which partitions are the same, and the branches of those that are not."""

    bucket: str
    began_ms: float
    same: tuple[int, ...]
    branches: dict[int, tuple[int, ...]]


class TreeLeaves(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=67):
    """For each partition the leaves under each branch that differs."""

    bucket: str
    leaves: dict[int, dict[int, tuple[int, ...]]]


class TreeKeys(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=68):
    """For each partition the leaves that differ, and the sender's keys in them with their entries and versions."""

    bucket: str
    leaves: dict[int, tuple[int, ...]]
    keys: dict[int, tuple[tuple[bytes, int, Tag], ...]]


class Fetch(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=69):
    """Asks for a Handoff of these keys."""

    bucket: str
    keys: tuple[bytes, ...]


class Purge(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=70):
    """Every replica holds these tombstones: remove them for good, unless there is something newer."""

    epoch: int
    tombstones: tuple[Record, ...]


class StandIn(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=71):
    """Keep this version durably for `owner`, which seems away, and count for it (`kvstore.sloppy`). Answered as a Store is."""

    request: int
    bucket: str
    key: bytes
    partition: int
    epoch: int
    deadline_ms: float
    tag: Tag
    value: bytes | None
    owner: str


RepairMessage = (
    GossipSyn
    | GossipAck
    | GossipAck2
    | Handoff
    | HandoffReply
    | TreeRoots
    | TreeBranches
    | TreeLeaves
    | TreeKeys
    | Fetch
    | Purge
    | StandIn
)
