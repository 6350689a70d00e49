"""What a node does of its own accord: heartbeats and suspicion, gossip, hints, anti-entropy, scrubbing, purging.

    Ping ──► Pong ──► Detector ──► suspects ─┬─► Hints        what they missed
                                             ├─► Gossip       whom to talk to
                                             └─► AntiEntropy  whom to compare with ──► Purger

Everything here steers and repairs. Nothing here decides which replicas count: a node that suspects everybody, or nobody,
keeps every promise and is only slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from kvstore.antientropy import AntiEntropy
from kvstore.config import BucketConfig
from kvstore.detector import Detector
from kvstore.events import CorruptRecord, Halt, Record
from kvstore.gossip import Gossip
from kvstore.hints import Hints
from kvstore.hlc import to_ms
from kvstore.messages import Ping, Pong, Refused, StoreReply
from kvstore.messages_repair import (
    Fetch,
    GossipAck,
    GossipAck2,
    GossipSyn,
    Handoff,
    HandoffReply,
    Purge,
    StandIn,
    TreeBranches,
    TreeKeys,
    TreeLeaves,
    TreeRoots,
)
from kvstore.purge import Purger
from kvstore.ring import partition_of
from kvstore.scrub import Scrub
from kvstore.twins import Twins

if TYPE_CHECKING:
    from kvstore.node import Node

HANDED_OVER: Final = "HANDED_OVER"


class Upkeep:
    """The parts of a node that work without being asked. Built by the node, after its replica and coordinator."""

    def __init__(self, node: Node) -> None:
        config, moment = node.config, node.moment
        self._node = node
        self._pings = 0
        self._wall = "phi.wall_clock" in config.bugs
        self.twins = Twins(node.name)
        self.epochs: dict[str, int] = {}  # the ring epoch each peer last told
        self.suspects: frozenset[str] = frozenset()
        self.stood_in = 0  # versions kept for others in sloppy buckets, counted as theirs
        self.detector = Detector(config.heartbeat_ms)
        self.hints = Hints(
            config,
            node.overlay,
            node.buckets,
            moment,
            send=node.send_after,
            emit=node.emit,
            schedule=node.schedule,
            slices=node.slices,
            alive=self.alive,
            owners=self._owners,
            take_in=node.replica.take_in,
        )
        self.gossip = Gossip(
            config,
            node.incarnation,
            moment,
            node.rng,
            send=node.send,
            peers=lambda: node.view.peers,
            entries=self._entries,
            schedule=node.schedule,
            alive=self.alive,
        )
        self.antientropy = AntiEntropy(
            config,
            node.view,
            node.overlay,
            node.buckets,
            moment,
            node.overlay.forest,
            send=node.send_settled,
            schedule=node.schedule,
            slices=node.slices,
            alive=self.alive,
        )
        self.scrub = Scrub(
            config,
            node.view,
            node.overlay,
            node.buckets,
            moment,
            emit=node.emit,
            schedule=node.schedule,
            slices=node.slices,
            launch=node.coordinator.launch,
        )
        self.purger = Purger(
            config,
            node.view,
            node.overlay,
            node.buckets,
            moment,
            self.antientropy,
            self.hints,
            self.gossip,
            node.slices,
            send=node.send_after,
            emit=node.emit,
        )

    def handlers(self) -> dict[type, Callable[[str, Any], None]]:
        """Which message goes where."""
        return {
            Ping: self.ping,
            Pong: self.pong,
            GossipSyn: self.gossip.syn,
            GossipAck: self.gossip.ack,
            GossipAck2: self.gossip.ack2,
            Handoff: self.handoff,
            HandoffReply: self.hints.reply,
            TreeRoots: self.antientropy.roots,
            TreeBranches: self.antientropy.branches,
            TreeLeaves: self.antientropy.leaves,
            TreeKeys: self.antientropy.keys,
            Fetch: self.antientropy.fetch,
            Purge: self.purger.purge,
            StandIn: self.stand_in,
        }

    def start(self) -> None:
        """Begin all of it."""
        self.twins.begin(self._node.incarnation, self._node.moment.clock.wall_ms)
        self.hints.load()
        self._heartbeat()
        self.gossip.start()
        self.antientropy.start()
        self.scrub.start()
        self._sweep_later()

    # ---- suspicion ----

    def _now_ms(self) -> float:
        clock = self._node.moment.clock
        return clock.wall_ms if self._wall else clock.mono_ms

    def _heartbeat(self) -> None:
        node = self._node
        self._pings += 1
        ping = Ping(self._pings, node.ring.epoch, self.twins.life)
        now = self._now_ms()
        self.detector.tick(now)
        for peer in node.view.peers:
            self.detector.watch(peer, now)
            node.send(peer, ping)
        self.suspects = frozenset(peer for peer in node.view.peers if not self.detector.alive(peer, now))
        node.coordinator.renew()
        node.driver.tick()
        jitter = 0.9 + 0.2 * node.rng.random()
        node.schedule(node.moment.clock.mono_ms + node.config.heartbeat_ms * jitter, self._heartbeat)

    def ping(self, src: str, message: Ping) -> None:
        """Say that this node is there."""
        self._node.send(src, Pong(message.request, self._node.view.epoch, self.twins.met(src, message.life)))

    def pong(self, src: str, message: Pong) -> None:
        """A heartbeat was acknowledged, perhaps one of somebody else who uses our name."""
        why = self.twins.betrayed(src, message.life)
        if why and "blank_disk_same_id" not in self._node.config.bugs:
            self._node.emit(Halt(why))
            return
        self._node.membership.told(src, message.epoch)
        if src not in self._node.view.members:  # it has left since it was asked
            return
        self.detector.heard(src, self._now_ms())
        self.epochs[src] = message.epoch
        if src in self.suspects:
            self.suspects -= {src}
        self.hints.heard(src)

    def forget(self, gone: Iterable[str]) -> None:
        """These members have left for good."""
        for peer in gone:
            self.detector.forget(peer)
            self.gossip.forget(peer)
            self.epochs.pop(peer, None)
            self.suspects -= {peer}

    def alive(self, peer: str) -> bool:
        """Whether a peer is not suspected."""
        return peer not in self.suspects

    def heard(self, peer: str) -> bool:
        """Whether a peer has ever acknowledged a heartbeat of this life, and is not suspected."""
        return peer in self.epochs and self.alive(peer)

    def _entries(self) -> dict[str, str]:
        node = self._node
        every_ms = max(node.config.tombstone_grace_ms / 64, 1.0)  # HINTS_AT is news so often, at most
        return {
            "EPOCH": str(node.ring.epoch),
            "LOAD": str(node.coordinator.running),
            "OLDEST_HINT": str(self.hints.oldest_ms),
            "HINTS_AT": str(node.moment.clock.wall_ms // every_ms * every_ms),  # last: it is told no earlier
            "SUSPECTS": ",".join(sorted(self.suspects)),
            "UNREADABLE": self.scrub.told(),
            "CLIENT_PORT": node.config.client.rpartition(":")[2],
            **({HANDED_OVER: self._handed_over_at} if node.view.departing == node.name else {}),
        }

    @property
    def _handed_over_at(self) -> str:
        """The ring epoch, if this node keeps nothing for others; it takes nothing more to keep once it is to go."""
        return str(self._node.ring.epoch) if self.hints.oldest_ms == float("inf") else ""

    def handed_over(self, member: str) -> bool:
        """Whether a member that is to go has handed over what it kept for others, as far as it can be waited for: not if it is suspected."""
        node = self._node
        if not any(bucket.sloppy for bucket in node.buckets.opened.values()):
            return True  # elsewhere a hint is never all there is of an acknowledged write
        if member == node.name:
            return bool(self._handed_over_at)
        told = self.told(member, HANDED_OVER)
        return not self.alive(member) or not node.config.gossip_ms or told == str(node.ring.epoch)

    def told(self, member: str, entry: str) -> str:
        """What a member says about itself by gossip; "" while that is not known."""
        if member == self._node.name:
            return self._entries()[entry]
        return self.gossip.knowledge.told(member, entry) or ""

    def repair(self) -> int:
        """Begin now, with all of it: scrub every partition, compare with every peer that seems alive; how many these are."""
        self.scrub.all()
        peers = [peer for peer in sorted(self._node.view.peers) if self.heard(peer)]
        for peer in peers:
            self.antientropy.compare(peer)
        return len(peers)

    # ---- records that arrive ----

    def _owners(self, record: Record) -> tuple[str, ...]:
        node = self._node
        bucket = node.buckets.opened.get(record.bucket)
        if bucket is None or node.view.changing:
            return ()
        return node.view.plan(partition_of(record.key), bucket.n).replicas

    def handoff(self, src: str, message: Handoff) -> None:
        """Absorb records; say when they are durable, and which stay with the sender."""
        node = self._node
        ticket, left = 0, list[int]()
        for place, record in enumerate(message.records):
            taken = self._taken(src, record)
            if taken is None:
                left.append(place)
            else:
                ticket = max(ticket, taken)
        reply = HandoffReply(message.request, tuple(left))
        if message.request and node.overlay.loose:  # perhaps they were here, and not yet durable
            node.send_settled(src, reply)
        elif message.request:
            node.send_after(src, reply, ticket)

    def _taken(self, src: str, record: Record) -> int | None:
        """Absorb one; the ticket that makes it durable, None if its hint stays with the sender."""
        node = self._node
        if (
            node.transfer.refuses(record.bucket, record.key)
            or partition_of(record.key) in node.membership.emptied
        ):
            return None
        bucket = node.buckets.opened.get(record.bucket)
        if bucket is not None:
            if node.name not in node.view.plan(partition_of(record.key), bucket.n).replicas:
                return None  # the sender does not know yet who owns it: rule 5 of `kvstore.hints`
            if src not in node.view.members and self._outlived(bucket, record, node.config.max_clock_skew_ms):
                return None
        try:
            taken = node.replica.take_in(record)
        except CorruptRecord:
            self.scrub.mend(record.bucket, record.key)
            return None
        if taken is None and not node.buckets.opened[record.bucket].sloppy:
            return 0
        return taken  # None: it may count as ours there, and comes again when our clock has gone on

    def _outlived(self, bucket: BucketConfig, record: Record, apart_ms: float = 0.0) -> bool:
        """Whether a deletion of the record may be forgotten by now, of which nobody heard who waits for hints; by a clock that may be so far apart."""
        age_ms = self._node.moment.clock.wall_ms - to_ms(record.tag.hlc) + apart_ms
        return bucket.kind in ("lww", "register") and age_ms >= self._node.config.tombstone_grace_ms

    def stand_in(self, src: str, message: StandIn) -> None:
        """Keep a version for an owner that the coordinator suspects, and answer in its place once it is durable."""
        node = self._node
        if node.replica.refused(src, message, message.tag.latest):
            return
        if node.view.departing == node.name:
            node.send(src, Refused(message.request, "NOQUORUM", f"{node.name} is leaving"))
            return
        record = Record(message.bucket, message.key, message.tag, message.value)
        ticket = self.hints.keep(message.owner, record)
        if ticket is None:
            node.send(src, Refused(message.request, "NOQUORUM", f"no room to stand in for {message.owner}"))
            return
        self.stood_in += 1
        node.send_after(src, StoreReply(message.request, message.tag), ticket)

    def missed(self, replica: str, record: Record) -> None:
        """A replica did not acknowledge a write that it should have. Whoever purges may have heard since that there is no hint so old (`_outlived`)."""
        bucket = self._node.buckets.opened.get(record.bucket)
        if bucket is None or not self._outlived(bucket, record):
            self.hints.keep(replica, record)

    def _sweep_later(self) -> None:
        grace_ms = self._node.config.tombstone_grace_ms
        if self._node.config.anti_entropy_ms > 0:
            at = self._node.moment.clock.mono_ms + max(grace_ms / 4, self._node.config.anti_entropy_ms)
            self._node.schedule(at, self._sweep)

    def _sweep(self) -> None:
        self.purger.sweep(done=self._sweep_later)
        if not self._node.view.changing:
            self.hints.reroute()
