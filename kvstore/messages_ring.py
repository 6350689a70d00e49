"""The messages of membership: the ring document, and the records of partitions that get a new home.

    driver                       any node                newcomer                       old replicas
      │ ── RingOffer ──────────► │ adopt, durably          │                                 │
      │ ◄───────────── RingReply │                         │                                 │
      │ ── Pull ──────────────────────────────────────────►│ ── Scan (epoch) ───────────────►│  adopt first
      │ ◄────────────────────────────────────────── Pulled │ ◄────────────────────── Page ───│
                                 │ ── RingWant ──► whoever spoke of a newer epoch

The document itself is agreed on with Prepare and Accept (`kvstore.messages_cas`), as key RING_KEY of bucket RING_BUCKET.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kvstore.config import BucketConfig
from kvstore.events import Record

RING_BUCKET: Final = "!ring"
RING_KEY: Final = b"ring"


class RingOffer(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=20):
    """Adopt this document unless yours is newer; open these buckets, and promise those that are no more than promised here. `request` 0 wants no answer."""

    request: int
    document: bytes
    buckets: list[BucketConfig]
    promised: list[BucketConfig] = []


class RingReply(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=21):
    """A document of this epoch, at least that offered, is adopted and durable here."""

    request: int
    epoch: int


class RingWant(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=22):
    """You spoke of a newer epoch than mine, `epoch`; offer me your document."""

    epoch: int


class Pull(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=25):
    """Stream those of these partitions that you are new to, from their old replicas, each as it is at its epoch."""

    request: int
    epochs: dict[int, int]


class Pulled(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=26):
    """The partitions are streamed, merged and durable here."""

    request: int


class Scan(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=27):
    """Tell your records of one bucket and partition, by key, behind `after`; `bare`: without their values, as far as they can do without."""

    request: int
    bucket: str
    partition: int
    epoch: int
    after: bytes | None
    limit: int
    bare: bool = False


class Page(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=28):
    """Some records, tombstones too; `done` when there are no more behind them."""

    request: int
    records: list[Record]
    done: bool


class Birth(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=29):
    """My disk is empty and this is my first start, says the sender: `token` tells first starts apart."""

    token: bytes


class BirthReply(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=30):
    """Recorded; or, not `fresh`: you have been here before, with another disk; or, not `sure`: I cannot know. `member`: as I know the ring, you count."""

    token: bytes
    fresh: bool
    member: bool = False
    sure: bool = True


class TakeSnapshot(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=31):
    """Write a copy of what you hold, at this epoch of the ring."""

    request: int
    label: str
    epoch: int


class SnapshotTaken(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=32):
    """The copy is on my disk, whole: so many bytes, there."""

    request: int
    size: int
    place: str


RingAnswer = RingReply | Pulled | Page | SnapshotTaken
