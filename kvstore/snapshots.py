"""Snapshots: every member's copy of what it holds, from which the whole cluster can begin anew.

    KV.CLUSTER SNAPSHOT name ──► TakeSnapshot(label) ──► every member: all so far durable ──► Snapshot effect ──► Snapshotted
                             ◄── what each has written                                       a copy, without the node's past

    restore, on every node ──► start: `restored` on the disk, no incarnation ──► Birth("label@epoch/…") to all ──► a new life

What is restored is a cluster, not a node: a node that comes back alone with an old disk has forgotten what it acknowledged and
promised, and in a majority with it others would meet nobody who knows. One node whose disk is lost comes by KV.CLUSTER REPLACE.

Rule 1. The past is left out. A copy has no incarnation, no birth and no actors, and the members' `lives` are one higher: whoever starts
on it begins above every incarnation the node has had, so that no tag and no ballot is used twice, and with other random bits, so that no dot is
(`kvstore.actors`). The clock's lease is kept: clocks do not go back.
Rule 2. Only what was copied together begins together. The cluster's id is made of the old one and the snapshot's label, so that a node that was
not restored, or from another snapshot, is of another cluster; and a birth is witnessed by those alone who were restored from the
same snapshot, at the same epoch of the ring. Once: a second disk made of the same copy is refused.
Rule 3. The register of the ring document begins empty, as in a new cluster, from a document that all copies have. So a snapshot is refused
while members change, and counts only if the epoch was the same at its end.

The copies are not of one instant. A write that was in progress may be in some of them, as one whose client gave up; one that was
acknowledged before the snapshot was asked for is in as many as acknowledged it. How copies are written whole is in `kvstore.engine_snapshot`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from kvstore.acceptor import PROMISES
from kvstore.actors import META as ACTORS
from kvstore.birth import BIRTHS, LIFE_SHIFT, RESTORED, TOKEN, Restored
from kvstore.config import BucketConfig
from kvstore.document import META, Document, packed
from kvstore.events import Log, Meta, Reader, Snapshot, Snapshotted, Value
from kvstore.flows.steps import Ask, Flow, Op
from kvstore.membership import DOCUMENT
from kvstore.messages import Refused
from kvstore.messages_ring import RING_BUCKET, SnapshotTaken, TakeSnapshot

if TYPE_CHECKING:
    from kvstore.node import Node

INCARNATION: Final = "incarnation"
TIMEOUT_MS: Final = 600_000.0
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
_BUCKET: Final = BucketConfig("!snapshot", "cas", 1, 1, 1, "none")


def life_before(reader: Reader) -> int:
    """The incarnation of this disk's last life; of a restored copy, one above all that its node had before."""
    stored = reader.meta(INCARNATION)
    if stored is not None:
        return int(stored)
    found = reader.meta(RESTORED)
    return msgspec.msgpack.decode(found, type=Restored).before if found else 0


def well_named(name: str) -> bool:
    """Whether a snapshot may have this name: it becomes a directory's."""
    return _NAME.fullmatch(name) is not None


def without_past(name: str, label: str, document: Document, incarnation: int) -> Snapshot:
    """What the copy of node `name` has in place of its past (rules 1 to 3)."""
    digest = hashlib.blake2b(f"{document.cluster}\0{label}".encode(), digest_size=8).hexdigest()
    members = tuple(msgspec.structs.replace(each, lives=each.lives + 1) for each in document.members)
    reborn = msgspec.structs.replace(
        document, cluster=f"{document.cluster.partition('/')[0]}/{digest}", members=members
    )
    mine = reborn.member(name)
    lives = max((incarnation >> LIFE_SHIFT) + 1, mine.lives if mine else 0)
    restored = Restored(label, document.epoch, lives << LIFE_SHIFT)
    births = {each: restored.token.encode() for each in document.names if each != name}
    facts = {
        DOCUMENT: packed(reborn),
        RESTORED: msgspec.msgpack.encode(restored),
        BIRTHS: msgspec.msgpack.encode(births),
    }
    return Snapshot(
        label,
        tuple(Meta(fact, value) for fact, value in facts.items()),
        (INCARNATION, TOKEN, ACTORS),
        (RING_BUCKET, PROMISES + RING_BUCKET),
    )


class Snapshots:
    """Both ends of a snapshot at one node: who asks all members for it, and who writes."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._writing: dict[str, tuple[int, list[tuple[str, int]]]] = {}  # label: the epoch, who waits
        self._written: dict[str, Snapshotted] = {}

    # ---- who asks ----

    def begin(self, name: str, report: Callable[[Op, Value], None]) -> None:
        """Have every member write a snapshot of this name."""
        node = self._node
        label = f"{name}-{int(node.rng.random() * (1 << 48)):012x}"
        plan = node.view.plan(META, 1)
        op = Op(_BUCKET, b"", META, node.view.members, _shown)
        op.plan = plan
        op.more = label
        node.coordinator.launch(op, self._all, report, TIMEOUT_MS)

    def _all(self, op: Op) -> Flow:
        epoch, label = self._node.view.epoch, op.more
        ask = Ask(
            TakeSnapshot,
            op.replicas,
            len(op.replicas),
            make=lambda request, since, left_ms: TakeSnapshot(request, label, epoch),
        )
        yield ask
        op.waiting = ask
        op.answer()

    # ---- who writes ----

    def take(self, src: str, message: TakeSnapshot) -> None:
        """Write a copy, once all that is here is durable; a double is told the same."""
        node, label = self._node, message.label
        if label in self._written:
            self._tell(self._written[label], [(src, message.request)])
        elif label in self._writing:
            self._writing[label][1].append((src, message.request))
        elif node.view.epoch != message.epoch or node.view.changing:
            text = "the members are changing; try again when that is over"
            node.send(src, Refused(message.request, "BADARG", text))
        elif self._writing:
            node.send(src, Refused(message.request, "BADARG", "another snapshot is being written"))
        elif not well_named(label):
            node.send(src, Refused(message.request, "BADARG", "the snapshot's label is no name"))
        else:
            self._writing[label] = (message.epoch, [(src, message.request)])
            node.emit(Log(f"writes snapshot {label}", "snapshot"))
            node.hold_all(
                lambda: node.emit(without_past(node.name, label, node.view.document, node.incarnation))
            )

    def taken(self, event: Snapshotted) -> None:
        """The copy is on disk, or is not."""
        epoch, waiting = self._writing.pop(event.label)
        if not event.failure and epoch != self._node.view.epoch:
            event = msgspec.structs.replace(event, failure="the members have changed meanwhile")
        self._node.emit(Log(event.failure or f"has written {event.place}, {event.size} bytes", "snapshot"))
        if not event.failure:
            self._written[event.label] = event
        self._tell(event, waiting)

    def _tell(self, event: Snapshotted, waiting: list[tuple[str, int]]) -> None:
        for src, request in waiting:
            answer = (
                Refused(request, "BADARG", event.failure)
                if event.failure
                else SnapshotTaken(request, event.size, event.place)
            )
            self._node.send(src, answer)


def _shown(op: Op) -> Value:
    assert op.waiting is not None
    answers = sorted(op.waiting.answers.items())
    return {
        "label": op.more.encode(),
        "nodes": {name: {"bytes": told.size, "place": told.place.encode()} for name, told in answers},
    }
