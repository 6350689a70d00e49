"""What nodes say to each other.

    coordinator                    replica
        │  Query ───────────────────► │   which version of this key do you hold?
        │ ◄────────────── QueryReply  │
        │  Store ───────────────────► │   keep this version unless yours is newer
        │  Repair ──────────────────► │   the same, sent by a read
        │ ◄────────────── StoreReply  │   a version at least as new is durable here
        │ ◄────────── Stale, Refused  │   I cannot; does not count in any quorum

Requests about a key carry what a replica needs to judge them: the partition, the epoch of the ring the
sender used, and the milliseconds left before the client has its answer. `request` is unique per sender for
ever (it contains the sender's incarnation), so a late or doubled reply is recognised; 0 asks for no reply.
Every handler is idempotent: the network may lose, delay, double and reorder.

All are msgspec structs in array form with a number as type tag: `encode` and `decode` turn one into bytes
and back.
"""

from __future__ import annotations

import msgspec

from kvstore.config import BucketConfig
from kvstore.events import Tag
from kvstore.messages_cas import Accept, Accepted, Nack, Prepare, Promise
from kvstore.messages_causal import Applied, Apply, OtherLife
from kvstore.messages_repair import RepairMessage
from kvstore.messages_ring import (
    Birth,
    BirthReply,
    Page,
    Pull,
    Pulled,
    RingOffer,
    RingReply,
    RingWant,
    Scan,
    SnapshotTaken,
    TakeSnapshot,
)


class Query(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=1):
    """Asks a replica for its newest durable version of a key.

    `hlc` is the sender's clock when a write will follow, so that a replica can refuse a bad clock before
    any change is sent; 0 otherwise.
    """

    request: int
    bucket: str
    key: bytes
    partition: int
    epoch: int
    deadline_ms: float
    hlc: int = 0


class QueryReply(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=2):
    """A replica's newest durable version: NO_TAG if it never had one, `value` None for a tombstone (or
    never).
    """

    request: int
    tag: Tag
    value: bytes | None


class Store(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=3):
    """Asks a replica to keep a version unless it has one at least as new."""

    request: int
    bucket: str
    key: bytes
    partition: int
    epoch: int
    deadline_ms: float
    tag: Tag
    value: bytes | None


class StoreReply(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=4):
    """`tag`, which is at least the tag stored, is durable at the replica."""

    request: int
    tag: Tag


class Repair(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=5):
    """As Store, but sent by a read that found this replica behind."""

    request: int
    bucket: str
    key: bytes
    partition: int
    epoch: int
    deadline_ms: float
    tag: Tag
    value: bytes | None


class Stale(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=6):
    """The replica has adopted a later ring epoch, namely `epoch`, and did nothing. `document`: kvstore.document."""

    request: int
    epoch: int
    document: bytes = b""


class Refused(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=7):
    """The replica cannot do it (an unreadable record, a clock too far ahead, too late) and did nothing."""

    request: int
    code: str
    text: str


class Ping(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=8):
    """Are you there? I am in this life of mine: its incarnation, and when it began by my clock."""

    request: int
    epoch: int
    life: tuple[int, int] = (0, 0)


class Pong(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=9):
    """I am, and this is the ring epoch I use. `life`: the latest life of yours that I have met."""

    request: int
    epoch: int
    life: tuple[int, int] = (0, 0)


class BucketOffer(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=10):
    """First round of creating a bucket: promise durably to accept no other definition under this name."""

    request: int
    bucket: BucketConfig


class BucketOpen(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=11):
    """Second round: every member has promised, so the bucket may be used."""

    request: int
    bucket: BucketConfig


class BucketReply(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=12):
    """The round is durable here."""

    request: int


Message = (
    Query
    | QueryReply
    | Store
    | StoreReply
    | Repair
    | Stale
    | Refused
    | Ping
    | Pong
    | BucketOffer
    | BucketOpen
    | BucketReply
    | Prepare
    | Promise
    | Accept
    | Accepted
    | Nack
    | Apply
    | Applied
    | OtherLife
    | RepairMessage
    | RingOffer
    | RingReply
    | RingWant
    | TakeSnapshot
    | SnapshotTaken
    | Pull
    | Pulled
    | Scan
    | Page
    | Birth
    | BirthReply
)

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """The message as msgpack bytes."""
    return _ENCODER.encode(message)


def decode(data: bytes | bytearray | memoryview) -> Message:
    """The message in `data`. Raises msgspec.DecodeError (or its subclass ValidationError) when it is none
    of ours.
    """
    return _DECODER.decode(data)
