"""The end of tombstones: a deletion may be forgotten only when nobody can bring the deleted value back.

A tombstone is purged when all of this holds (Riak's early reaping and Cassandra's gc_grace lose one of the three):

    1. it is older than `tombstone_grace_ms`, counted from the deletion, or from the deadline of a value that has expired;
    2. after that age this node agreed with every other replica of the partition (`antientropy`, rule 3), so all hold it;
    3. no node keeps a hint of a version as old as the tombstone, for such a hint may be the value. Each member gossips its oldest, and when that was so: it must
       have said so after that age too, for what it said before it may have begun to keep since. One that is silent is waited for.

Then every replica is told to erase exactly this version. One that misses the message hands its tombstone back at the next
comparison, and the purge is repeated: late, never wrong.

An expired value is the tombstone of its own version (`kvstore.flows.expiry`), so the same proof holds for it. It rests on a clock too,
and a clock may be wrong: a replica erases only what has expired by its own, and then hands it back to whoever was too early.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kvstore.antientropy import AntiEntropy
from kvstore.buckets import Buckets
from kvstore.config import NodeConfig
from kvstore.events import CorruptRecord, Effect, Erase, Record
from kvstore.forest import STATES
from kvstore.gossip import Gossip
from kvstore.hints import Hints
from kvstore.hlc import to_ms
from kvstore.messages import Message
from kvstore.messages_repair import Purge
from kvstore.overlay import Overlay
from kvstore.replica import Moment
from kvstore.ring import PARTITIONS, partition_of
from kvstore.slices import Page, Reading, Slices
from kvstore.view import View


class Purger:
    """Purges tombstones of the partitions this node is the first replica of."""

    def __init__(
        self,
        config: NodeConfig,
        view: View,
        overlay: Overlay,
        buckets: Buckets,
        moment: Moment,
        antientropy: AntiEntropy,
        hints: Hints,
        gossip: Gossip,
        slices: Slices,
        *,
        send: Callable[[str, Message, int], None],
        emit: Callable[[Effect], None],
    ) -> None:
        self.purged = 0
        self._config = config
        self._view = view
        self._overlay = overlay
        self._buckets = buckets
        self._moment = moment
        self._antientropy = antientropy
        self._hints = hints
        self._gossip = gossip
        self._slices = slices
        self._send = send
        self._emit = emit
        self._early = "tombstone.early_purge" in config.bugs

    def sweep(self, done: Callable[[], None] = lambda: None) -> None:
        """Look through all partitions this node is the first replica of, except while the ring is changing."""
        self._slices.begin(Reading(self._overlay.reader, self._places(), self._sweep, done))

    def _places(self) -> Iterator[tuple[str, int]]:
        for bucket in list(self._buckets.opened.values()):
            if bucket.kind in STATES or bucket.kind == "cas":
                continue  # their deletions are part of the state; a cas tombstone keeps its ballot
            for partition in range(PARTITIONS):
                if self._view.changing:
                    return
                if self._view.preferences(bucket.n)[partition][0] == self._config.name:
                    yield bucket.name, partition

    def _sweep(self, bucket: str, partition: int, page: Page) -> None:
        """One page of a partition, which is this node's still."""
        replicas = self._view.preferences(self._buckets.opened[bucket].n)[partition]
        if self._view.changing or replicas[0] != self._config.name:
            return
        dead = tuple(
            Record(bucket, each.key, each.tag, None)
            for each in page
            if isinstance(each, Record) and self._dead(each) and self._provable(each, partition)
        )
        if dead:
            for replica in replicas:
                if replica != self._config.name:
                    self._send(replica, Purge(self._view.epoch, dead), 0)
            self._erase(dead)

    def _dead(self, record: Record) -> bool:
        return record.value is None or record.tag.expired(self._moment.clock.wall_ms)

    def _provable(self, tombstone: Record, partition: int) -> bool:
        wall_ms, mono_ms = self._moment.clock.wall_ms, self._moment.clock.mono_ms
        died_ms = max(to_ms(tombstone.tag.latest), tombstone.tag.expires_ms)
        age_ms = wall_ms - died_ms
        if age_ms <= self._config.tombstone_grace_ms:
            return False
        if self._early:
            return True
        settled_mono_ms = mono_ms - age_ms + self._config.tombstone_grace_ms
        agreed = self._antientropy.agreed_since(tombstone.bucket, partition) > settled_mono_ms
        return agreed and self._no_older_hint(died_ms)

    def _no_older_hint(self, at_ms: float) -> bool:
        """Hints as young as the clocks may differ count as older: they could be the value that was deleted."""
        if self._hints.oldest_ms <= at_ms + self._config.max_clock_skew_ms:
            return False
        for peer in self._view.peers:
            told, when = (self._gossip.knowledge.told(peer, name) for name in ("OLDEST_HINT", "HINTS_AT"))
            if told is None or float(told) <= at_ms + self._config.max_clock_skew_ms:
                return False
            if when is None or float(when) <= at_ms + self._config.tombstone_grace_ms:
                return False
        return True

    def purge(self, src: str, message: Purge) -> None:
        """The first replica proved that these may go."""
        if message.epoch != self._view.epoch:
            return
        held = [each for each in message.tombstones if self._same(each)]
        self._erase(tuple(held))

    def _same(self, tombstone: Record) -> bool:
        bucket = self._buckets.opened.get(tombstone.bucket)
        if bucket is None:
            return False
        if self._config.name not in self._view.preferences(bucket.n)[partition_of(tombstone.key)]:
            return False
        try:
            record, _ = self._overlay.get(tombstone.bucket, tombstone.key)
        except CorruptRecord:
            return False  # it is mended from those that erase it, or hand it back
        return record is not None and record.tag == tombstone.tag and self._dead(record)

    def _erase(self, tombstones: tuple[Record, ...]) -> None:
        if tombstones:
            self._emit(self._overlay.write_rows(Erase(t.bucket, t.key, t.tag) for t in tombstones))
            self.purged += len(tombstones)
