"""How a node comes by the ring document and what it does with it.

    RingOffer, Stale(document), a change of our own ──► newest ──► durable ──► adopted ──► View, Coordinator.replan
                                                                                    └──► messages that came too early

Rule 1. A document is used only once it is durable here, and never an older one after a newer one.
Rule 2. A message of a later epoch of its partition than ours waits until we have adopted that; one of an earlier epoch is
answered STALE, with our document.
Rule 3. What is erased here is a partition that is another's for good: at an epoch whose only replicas are others.
Rule 4. What a newcomer still holds from earlier days is erased with the very write that makes its new document durable: it may be older
than deletions that are forgotten since, and than promises that were made since. If it is much, most of it goes before, in slices, and meanwhile the
node is deaf to all about those partitions: at its epoch they have no quorum any more, for they have left it long ago (`kvstore.document`, rule 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from kvstore.acceptor import PROMISES
from kvstore.buckets import Buckets
from kvstore.config import BucketConfig
from kvstore.document import (
    BOTH_OLD,
    META,
    NEW,
    OLD,
    Document,
    first,
    moving,
    newcomers,
    packed,
    unpacked,
)
from kvstore.events import TOP_TAG, Damaged, Effect, Erase, Link, Log, Meta, Record, full
from kvstore.messages import Stale
from kvstore.messages_ring import RingOffer, RingReply, RingWant
from kvstore.overlay import Overlay
from kvstore.ring import PARTITIONS
from kvstore.slices import BYTES_EACH, SLICE, Page, Reading
from kvstore.view import View
from kvstore.wire import cluster_id, same_cluster

if TYPE_CHECKING:
    from kvstore.node import Node

DOCUMENT: Final = "ring"
PARKED_MAX: Final = 1024  # messages that wait for an epoch
EVERYTHING: Final = 1 << 40


def born(config: Any, stored: bytes | None) -> Document:
    """The document a node starts with: the stored one, or the one that its configuration amounts to."""
    if stored is not None:
        return unpacked(stored)
    if config.joining:
        return Document(
            0, cluster_id((), config.cluster), (), ("",) * PARTITIONS, (0,) * (PARTITIONS + 1), ()
        )
    return first(
        {**config.peers, config.name: config.peer},
        cluster_id(config.members, config.cluster),
        config.acceptors,
    )


class Membership:
    """Adopts documents. Built by the node; `deliver(src, message)` lets it see a message that has waited."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._view: View = node.view
        self._overlay: Overlay = node.overlay
        self._buckets: Buckets = node.buckets
        self._emit: Callable[[Effect], None] = node.emit
        self._newest = self._view.document
        self._ticket = 0  # of the newest document
        self._parked: list[tuple[str, Any]] = []
        self._wanted_at = 0.0
        self._linked: dict[str, str] = dict(node.config.peers)
        self.emptied = frozenset[int]()  # rule 4: partitions that make way for the newest document

    def start(self) -> None:
        """Make links to members that the configuration does not know."""
        self.meet(self._view.document)

    # ---- messages ----

    def offer(self, src: str, message: RingOffer) -> None:
        """Somebody's document and buckets."""
        self._open(message.buckets)
        for bucket in message.promised:
            if bucket not in self._buckets.known() and self._buckets.conflict(bucket) is None:
                self._emit(self._overlay.write_meta(self._buckets.promise(bucket)))
        self.learn(unpacked(message.document))
        if message.request and not self.emptied:  # else whoever asks asks again
            self._node.send_after(
                src, RingReply(message.request, self._newest.epoch), max(self._ticket, self._overlay.ticket)
            )

    def want(self, src: str, message: RingWant) -> None:
        """Somebody lacks our epoch."""
        if self._view.epoch > message.epoch:
            self._node.send(src, self.offer_message(0))

    def told(self, src: str, epoch: int) -> None:
        """A peer's epoch, as a heartbeat tells it."""
        if epoch < self._view.epoch:
            self._node.send(src, self.offer_message(0))
        elif epoch > self._newest.epoch:
            self._node.send(src, RingWant(self._view.epoch))

    def stale(self, src: str, message: Stale) -> None:
        """We spoke of an epoch that is over."""
        if message.document:
            self.learn(unpacked(message.document))
        self._node.coordinator.stale(message)

    def offer_message(self, request: int) -> RingOffer:
        """Our own document, as a message."""
        return RingOffer(request, *self.offer_body())

    def offer_body(self) -> tuple[bytes, list[BucketConfig], list[BucketConfig]]:
        """Its content."""
        return packed(self._view.document), list(self._buckets.opened.values()), self._buckets.promised()

    def refuse_stale(self, src: str, request: int) -> None:
        """Answer a message of an earlier epoch."""
        self._node.send(src, Stale(request, self._newest.epoch, packed(self._newest)))

    def ahead(self, src: str, message: Any) -> None:
        """Rule 2: keep a message of a later epoch until we have adopted it."""
        if len(self._parked) < PARKED_MAX:
            self._parked.append((src, message))
        now = self._node.moment.clock.mono_ms
        if self._newest.epoch <= self._view.epoch and now - self._wanted_at >= 20.0:
            self._wanted_at = now
            self._node.send(src, RingWant(self._view.epoch))

    # ---- adopting ----

    def learn(self, document: Document) -> None:
        """Take a document in, if it is newer than any seen."""
        if document.epoch <= self._newest.epoch or not same_cluster(document.cluster, self._newest.cluster):
            return
        self._newest = document
        self._make_way(document)

    def _save(self, document: Document, gone: list[Erase]) -> None:
        self.emptied = frozenset()
        write = self._overlay.write_rows([Meta(DOCUMENT, packed(document)), *gone])
        self._emit(write)
        self._ticket = write.ticket
        self._node.hold(write.ticket, lambda: self._adopt(document))

    def _adopt(self, document: Document) -> None:
        if document.epoch <= self._view.epoch:
            return
        node, before = self._node, self._view.document
        self._erase_all(self._rows(self._foreign(document), EVERYTHING) or [])  # what came meanwhile
        self._view.adopt(document)
        self.meet(document)
        node.upkeep.forget(name for name in before.names if name not in document.names)
        changed = [p for p in range(PARTITIONS) if document.since[p] != before.since[p]]
        self._emit(Log(f"adopted ring epoch {document.epoch}", "epoch"))
        node.coordinator.replan()
        node.upkeep.hints.ring_changed(settled=document.change is None)
        parked, self._parked = self._parked, []
        for src, message in parked:
            node.deliver(src, message)
        self._cleanup({p: document.since[p] for p in changed})
        node.soon(node.driver.tick)

    def meet(self, document: Document) -> None:
        """Make links to members that have none."""
        for member in document.members:
            if member.name != self._node.name and self._linked.get(member.name) != member.address:
                self._linked[member.name] = member.address
                self._emit(Link(member.name, member.address))

    def _open(self, buckets: list[BucketConfig]) -> None:
        for bucket in buckets:
            if bucket.name not in self._buckets.opened and self._buckets.conflict(bucket) is None:
                self._emit(self._overlay.write_meta(self._buckets.open(bucket)))

    # ---- rule 3 ----

    def _cleanup(self, since: dict[int, int]) -> None:
        """Erase what is another's of these partitions, unless they change again after these epochs."""
        view = self._view

        def places() -> Iterator[tuple[str, int]]:
            for partition, epoch in since.items():
                for bucket in self._buckets.known():
                    if view.since(partition) == epoch and self._is_anothers(bucket, partition):
                        yield bucket.name, partition
                        yield PROMISES + bucket.name, partition

        def look(stored: str, partition: int, page: Page) -> None:
            if view.since(partition) == since[partition]:
                self._erase_all(_erases(page))

        self._node.slices.begin(Reading(self._node.reader, places(), look))

    def _is_anothers(self, bucket: BucketConfig, partition: int) -> bool:
        replicas = self._view.plan(partition, bucket.n).replicas
        return self._view.document.step(partition) in (OLD, NEW) and self._node.name not in replicas

    def _foreign(self, document: Document) -> Iterator[tuple[str, int]]:
        """Rule 4: where this node may still hold something of partitions to which that document makes it a newcomer. States stand before their promises."""
        for partition in moving(document):
            if partition == META or document.step(partition) != BOTH_OLD:
                continue
            if document.since[partition] == self._view.since(partition):
                continue
            for bucket in self._buckets.known():
                if self._node.name in newcomers(document, partition, bucket.n):
                    yield bucket.name, partition
                    yield PROMISES + bucket.name, partition

    def _make_way(self, document: Document) -> None:
        """Rule 4. A node whose data is given up for lost erases it in one step: it may be in quorums until it has the document."""
        if document is not self._newest:
            return
        places = list(self._foreign(document))
        lost = document.change is not None and document.change.lost == self._node.name
        gone = self._rows(places, EVERYTHING if lost else SLICE)
        if gone is not None:
            self._save(document, gone)
            return
        self.emptied = frozenset(partition for _, partition in places)

        def look(stored: str, partition: int, page: Page) -> None:
            if document is self._newest:
                self._erase_all(_erases(page))

        def again() -> None:
            self._node.hold_all(lambda: self._make_way(document))

        self._node.slices.begin(Reading(self._node.reader, iter(places), look, again))

    def _rows(self, places: Iterable[tuple[str, int]], most: int) -> list[Erase] | None:
        """What erases all that is there; None if that is more than so many rows."""
        gone: list[Erase] = []
        for place in places:
            limit, bytes_max = max(most - len(gone), 0) + 1, most * BYTES_EACH
            page = self._node.reader.scan(*place, None, limit, bytes_max)
            if full(page, limit, bytes_max):
                return None
            gone += _erases([*page, *(record for _, record in self._overlay.fresh(*place))])
        return gone

    def _erase_all(self, gone: list[Erase]) -> None:
        if gone:
            self._emit(self._overlay.write_rows(gone))


def _erases(rows: Iterable[Record | Damaged | None]) -> list[Erase]:
    """What removes these rows; one that is damaged has no version to go by."""
    return [
        Erase(row.bucket, row.key, row.tag if isinstance(row, Record) else TOP_TAG)
        for row in rows
        if row is not None
    ]
