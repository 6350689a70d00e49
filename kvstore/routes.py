"""Which message goes to which part of a node.

requests about a key ──► replica, acceptor, updates          answers ──► coordinator
the ring document, streams, births ──► membership, transfer, births          the rest ──► upkeep
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kvstore.messages import (
    BucketOffer,
    BucketOpen,
    BucketReply,
    Query,
    QueryReply,
    Refused,
    Repair,
    Stale,
    Store,
    StoreReply,
)
from kvstore.messages_cas import Accept, Accepted, Nack, Prepare, Promise
from kvstore.messages_causal import Applied, Apply, OtherLife
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

if TYPE_CHECKING:
    from kvstore.node import Node


def routes(node: Node) -> dict[type, Callable[[str, Any], None]]:
    """The handler of each kind of message."""
    return {
        Query: node.replica.query,
        Store: node.replica.store,
        Repair: node.replica.store,
        BucketOffer: node.replica.offer,
        BucketOpen: node.replica.open,
        Prepare: node.acceptor.prepare,
        Accept: node.acceptor.accept,
        Promise: node.coordinator.answer,
        Accepted: node.coordinator.answer,
        Nack: node.coordinator.refusal,
        QueryReply: node.coordinator.version,
        StoreReply: node.coordinator.version,
        BucketReply: node.coordinator.answer,
        Apply: node.updates.apply,
        Applied: node.coordinator.answer,
        OtherLife: node.coordinator.refusal,
        Stale: node.membership.stale,
        RingOffer: node.membership.offer,
        RingWant: node.membership.want,
        RingReply: node.coordinator.answer,
        Pull: node.transfer.pull,
        Pulled: node.coordinator.answer,
        Scan: node.transfer.scan,
        Birth: node.births.witness,
        BirthReply: node.births.reply,
        TakeSnapshot: node.snapshots.take,
        SnapshotTaken: node.coordinator.answer,
        Page: node.coordinator.answer,
        Refused: node.coordinator.refusal,
        **node.upkeep.handlers(),
    }
