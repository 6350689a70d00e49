"""Hinted handoff: what a replica missed while it was away, kept by the coordinator that noticed (Dynamo, section 4.6).

    write ──► b acked, c acked, d suspected ──► hint {d: record}, durable here
    d answers heartbeats again ──► Handoff(oldest hints) ──► d ──► HandoffReply ──► erased here

Rule 1. A hint never counts in a strict quorum: it is a promise to try, not a copy that a read can meet. In a bucket that is
        `sloppy` it counts, once it is durable, and the bucket promises less for it (`kvstore.sloppy`).
Rule 2. A hint is a record like any other, under the internal bucket "!hint/<target>", so it has the durability of data
        and the one rule of `kvstore.absorb`: of two hints for a key one stays.
Rule 3. A hint is erased only after its target said that it is durable there.
Rule 4. Hints are bounded: beyond `hint_window_ms` of absence, or the limits in bytes, none is kept. Anti-entropy finds
        what was not kept; it is what repairs, hints only make it quick.

Rule 5. When the ring has changed, a hint whose target no longer owns the key becomes one for each that does now; only then is
        the old one erased. In a sloppy bucket it may be all there is of an acknowledged write.

The key of a hint begins with one hashtag, so that all hints for a target lie in one partition, in order of their keys.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from kvstore.absorb import absorb
from kvstore.buckets import Buckets
from kvstore.config import NodeConfig
from kvstore.events import TOP_TAG, CorruptRecord, Effect, Erase, Record, Tag
from kvstore.messages import Message
from kvstore.messages_repair import Handoff, HandoffReply
from kvstore.overlay import Overlay
from kvstore.replica import Moment
from kvstore.ring import partition_of

PREFIX = "!hint/"
PAGE = 64  # hints in one Handoff
BATCH_BYTES = 64 << 10
LOOSE_MS = 10_000.0  # how long the seeded bug hint.unsynced keeps hints in memory only
_KEY_HEAD = b"{hint}"
_PARTITION = partition_of(_KEY_HEAD)


class Hint(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The record a target missed, and when (wall ms)."""

    bucket: str
    key: bytes
    tag: Tag
    value: bytes | None
    since_ms: float

    @property
    def record(self) -> Record:
        """The record to hand over."""
        return Record(self.bucket, self.key, self.tag, self.value)


_decode = msgspec.msgpack.Decoder(Hint).decode


class Hints:
    """The hints of one node, for all targets."""

    def __init__(
        self,
        config: NodeConfig,
        overlay: Overlay,
        buckets: Buckets,
        moment: Moment,
        *,
        send: Callable[[str, Message, int], None],
        emit: Callable[[Effect], None],
        schedule: Callable[[float, Callable[[], None]], None],
        alive: Callable[[str], bool],
        owners: Callable[[Record], tuple[str, ...]],
        take_in: Callable[[Record], int],
    ) -> None:
        self.kept = 0
        self.rerouted = 0
        self.dropped = 0
        self.replayed = 0
        self._config = config
        self._overlay = overlay
        self._buckets = buckets
        self._moment = moment
        self._send = send
        self._emit = emit
        self._schedule = schedule
        self._alive = alive
        self._owners = owners  # of a record's key, now; none while that is not settled
        self._take_in = take_in  # `Replica.take_in`
        self._away_since: dict[str, float] = {}  # mono ms
        self._bytes: dict[str, int] = {}
        self._oldest: dict[str, float] = {}  # since_ms of the oldest hint for a target, or earlier
        self._replays: dict[int, tuple[str, list[Erase], int]] = {}  # request -> what its reply lets us erase
        self._replaying: set[str] = set()
        self._requests = 0
        self._lazy = "hint.unsynced" in config.bugs
        self._loose: dict[bytes, Record] = {}  # only that bug uses it
        self._fickle = "hint.dropped_on_ring_change" in config.bugs

    def load(self) -> None:
        """Find the hints of an earlier life."""
        for bucket in self._overlay.reader.buckets():
            if bucket.startswith(PREFIX):
                target = bucket[len(PREFIX) :]
                for each in self._overlay.stored(bucket, _PARTITION, PAGE):
                    if isinstance(each, Record) and each.value is not None:
                        self._count(target, len(each.value), _decode(each.value).since_ms)

    # ---- keeping ----

    def keep(self, target: str, record: Record, since_ms: float = 0.0) -> int | None:
        """Keep a record for a replica that missed it, within the limits; the ticket of what is kept, None if nothing is.

        A coordinator need not wait for it (rule 1). `since_ms`: if it was kept for somebody else before.
        """
        now = self._moment.clock
        away_ms = now.mono_ms - self._away_since.setdefault(target, now.mono_ms)
        size = len(record.key) + len(record.value or b"") + 64
        if (
            away_ms > self._config.hint_window_ms
            or self._bytes.get(target, 0) + size > self._config.hint_bytes_max
        ):
            self.dropped += 1
            return None
        place = PREFIX + target, _KEY_HEAD + msgspec.msgpack.encode((record.bucket, record.key))
        since_ms = since_ms or now.wall_ms
        try:
            old, ticket = self._overlay.get(*place)
        except CorruptRecord:
            old, ticket = None, 0
        bucket = self._buckets.opened.get(record.bucket)
        if old is not None and old.value is not None and bucket is not None:
            before = _decode(old.value)
            merged = absorb(bucket.kind, before.record, record)
            if merged is None:
                return ticket
            record, since_ms = merged, min(since_ms, before.since_ms)
        hint = Hint(record.bucket, record.key, record.tag, record.value, since_ms)
        self._count(target, size, since_ms)
        self.kept += 1
        return self._write(Record(*place, record.tag, msgspec.msgpack.encode(hint)))

    def _write(self, row: Record) -> int:
        if self._lazy:
            if not self._loose:
                self._schedule(self._moment.clock.mono_ms + LOOSE_MS, self._settle)
            self._loose[row.bucket.encode() + row.key] = row
            return 0
        write = self._overlay.write(row)
        self._emit(write)
        return write.ticket

    def _settle(self) -> None:
        """The seeded bug hint.unsynced: write at last what was kept in memory."""
        rows, self._loose = list(self._loose.values()), {}
        for row in rows:
            self._emit(self._overlay.write(row))

    def ring_changed(self, *, settled: bool) -> None:
        """Rule 5, once it is `settled` who owns what; the seeded bug gives up all there is, at every step."""
        if not self._fickle:
            if settled:
                self.reroute()
            return
        for target in list(self._bytes):
            rows = self._overlay.stored(PREFIX + target, _PARTITION, PAGE)
            self._erase([Erase(row.bucket, row.key, TOP_TAG) for row in rows])
            self._done(target)

    def reroute(self) -> None:
        """Rule 5. Also now and then, for what was kept meanwhile by whoever had begun before the change."""
        for target in list(self._bytes):
            fresh = self._overlay.fresh(PREFIX + target, _PARTITION)
            gone, stay = list[Erase](), any(row is not None for _, row in fresh)
            for row in list(self._overlay.stored(PREFIX + target, _PARTITION, PAGE)):
                if not isinstance(row, Record):
                    gone.append(Erase(row.bucket, row.key, TOP_TAG))  # damaged: no use to anybody
                elif self._reroute(target, row):
                    gone.append(Erase(row.bucket, row.key, row.tag))
                else:
                    stay = True
            self._erase(gone)
            if gone and not stay:
                self._done(target)

    def _reroute(self, target: str, row: Record) -> bool:
        """Keep a hint for those who own its key now, if its target does not; whether somebody is sure to get it."""
        if row.value is None:
            return False
        hint = _decode(row.value)
        owners = self._owners(hint.record)
        if not owners or target in owners:
            return False
        taken = [self._keep_or_take(owner, hint) for owner in owners]
        self.rerouted += any(taken)
        return any(taken)

    def _keep_or_take(self, owner: str, hint: Hint) -> bool:
        if owner != self._config.name:
            return self.keep(owner, hint.record, hint.since_ms) is not None
        try:
            self._take_in(hint.record)
        except CorruptRecord:
            return False
        return True

    def _erase(self, erases: list[Erase]) -> None:
        if erases:
            self._emit(self._overlay.write_rows(erases))

    def _count(self, target: str, size: int, since_ms: float) -> None:
        self._bytes[target] = self._bytes.get(target, 0) + size
        self._oldest[target] = min(self._oldest.get(target, since_ms), since_ms)

    @property
    def oldest_ms(self) -> float:
        """Wall ms of the oldest hint here, or earlier; inf if there is none. Tombstones younger than it may not be purged."""
        return min(self._oldest.values(), default=float("inf"))

    @property
    def pending_bytes(self) -> int:
        """About how much is kept for all targets."""
        return sum(self._bytes.values())

    # ---- replay ----

    def heard(self, target: str) -> None:
        """The target answers heartbeats: replay what is kept for it, unless a replay is under way."""
        self._away_since.pop(target, None)
        if self._loose:
            self._settle()
            return  # the next heartbeat finds them on disk
        if target in self._bytes and target not in self._replaying and self._alive(target):
            self._replaying.add(target)
            self._replay(target)

    def _replay(self, target: str) -> None:
        page = self._overlay.reader.scan(PREFIX + target, _PARTITION, None, PAGE)
        records, erases, size = [], [], 0
        for each in page:
            if not isinstance(each, Record) or each.value is None:
                erases.append(Erase(each.bucket, each.key, TOP_TAG))  # a damaged hint is no use to anybody
                continue
            hint = _decode(each.value)
            records.append(hint.record)
            erases.append(Erase(each.bucket, each.key, each.tag))
            size += len(each.value)
            if size >= BATCH_BYTES:
                break
        if not page:
            self._done(target)
            return
        self._requests += 1
        request = self._requests
        self._replays[request] = target, erases, size
        self._send(target, Handoff(request, tuple(records)), 0)
        at = self._moment.clock.mono_ms + self._config.request_timeout_ms
        self._schedule(at, lambda: self._expire(request))

    def reply(self, src: str, message: HandoffReply) -> None:
        """The target has them durably: erase, and go on at the pace allowed."""
        found = self._replays.pop(message.request, None)
        if found is None or found[0] != src:
            return
        target, erases, size = found
        write = self._overlay.write_rows(erases)
        self._emit(write)
        self.replayed += len(erases)
        pause_ms = 1000.0 * size / self._config.hint_bytes_per_s
        self._schedule(self._moment.clock.mono_ms + max(pause_ms, 1.0), lambda: self._replay(target))

    def _expire(self, request: int) -> None:
        found = self._replays.pop(request, None)
        if found is not None:
            self._replaying.discard(found[0])  # the next heartbeat that is answered begins anew

    def _done(self, target: str) -> None:
        self._replaying.discard(target)
        self._bytes.pop(target, None)
        self._oldest.pop(target, None)
