"""Hinted handoff: what a replica missed while it was away, kept by the coordinator that noticed (Dynamo, section 4.6).

    write ──► b acked, c acked, d suspected ──► hint {d: record}, durable here
    d answers heartbeats again ──► Handoff(oldest hints) ──► d ──► HandoffReply ──► erased here

Rule 1. A hint never counts in a strict quorum: it is a promise to try, not a copy that a read can meet. In a bucket that is
        `sloppy` it counts, once it is durable, and the bucket promises less for it (`kvstore.sloppy`).
Rule 2. A hint is a record like any other, under the internal bucket "!hint/<target>", so it has the durability of data
        and the one rule of `kvstore.absorb`: of two hints for a key one stays.
Rule 3. A hint is erased only after its target said that it is durable there. One that it leaves here waits, and those behind it do not.
Rule 4. Hints are bounded: beyond `hint_window_ms` of absence, or the limits in bytes, none is kept. Anti-entropy finds
        what was not kept; it is what repairs, hints only make it quick.

Rule 5. When the ring has changed, a hint whose target no longer owns the key becomes one for each that does now; only then is
        the old one erased. In a sloppy bucket it may be all there is of an acknowledged write.

The key of a hint begins with one hashtag, so that all hints for a target lie in one partition, in order of their keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from kvstore.absorb import absorb
from kvstore.buckets import Buckets
from kvstore.config import NodeConfig
from kvstore.events import TOP_TAG, CorruptRecord, Effect, Erase, Record, Tag
from kvstore.hlc import to_ms
from kvstore.messages import Message
from kvstore.messages_repair import Handoff, HandoffReply
from kvstore.overlay import Overlay
from kvstore.replica import Moment
from kvstore.ring import partition_of
from kvstore.slices import Page, Reading, Slices

PREFIX = "!hint/"
PAGE = 64  # hints in one Handoff
BATCH_BYTES = 64 << 10
LOOSE_MS = 10_000.0  # how long the seeded bug hint.unsynced keeps hints in memory only
_KEY_HEAD = b"{hint}"
_PARTITION = partition_of(_KEY_HEAD)


class Hint(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The record a target missed."""

    bucket: str
    key: bytes
    tag: Tag
    value: bytes | None

    @property
    def record(self) -> Record:
        """The record to hand over."""
        return Record(self.bucket, self.key, self.tag, self.value)


_decode = msgspec.msgpack.Decoder(Hint).decode


class Replayed(NamedTuple):
    """What was handed to a target, and is erased when it says so; `damaged` was of no use to it."""

    target: str
    erases: list[Erase]
    damaged: list[Erase]
    size: int
    after: bytes | None


def _size(record: Record) -> int:
    return len(record.key) + len(record.value or b"") + 64


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
        slices: Slices,
        alive: Callable[[str], bool],
        owners: Callable[[Record], tuple[str, ...]],
        take_in: Callable[[Record], int | None],
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
        self._slices = slices
        self._alive = alive
        self._owners = owners  # of a record's key, now; none while that is not settled
        self._take_in = take_in  # `Replica.take_in`
        self._away_since: dict[str, float] = {}  # mono ms
        self._bytes: dict[str, int] = {}
        self._kept_for: dict[str, int] = {}  # how often, in this life
        self._oldest: dict[str, float] = {}  # rule 6: of the oldest hint for a target, or earlier
        self._replays: dict[int, Replayed] = {}  # by request
        self._replaying: set[str] = set()
        self._requests = 0
        self._loaded = True
        self._lazy = "hint.unsynced" in config.bugs
        self._loose: dict[bytes, Record] = {}  # only that bug uses it
        self._fickle = "hint.dropped_on_ring_change" in config.bugs

    def load(self) -> None:
        """Find the hints of an earlier life, in slices. Until that is done there may be one as old as any."""
        self._loaded = False

        def done() -> None:
            self._loaded = True

        kept = (bucket for bucket in self._overlay.reader.buckets() if bucket.startswith(PREFIX))
        places = ((bucket, _PARTITION) for bucket in kept)
        self._slices.begin(Reading(self._overlay.reader, places, self._found, done))

    def _found(self, bucket: str, partition: int, page: Page) -> None:
        for each in page:
            if isinstance(each, Record) and each.value is not None:
                since_ms = self._since(_decode(each.value).record)
                self._count(bucket.removeprefix(PREFIX), len(each.value), since_ms)

    # ---- keeping ----

    def keep(self, target: str, record: Record) -> int | None:
        """Keep a record for a replica that missed it, within the limits; the ticket of what is kept, None if nothing is.

        A coordinator need not wait for it (rule 1).
        """
        now = self._moment.clock
        away_ms = now.mono_ms - self._away_since.setdefault(target, now.mono_ms)
        place = PREFIX + target, _KEY_HEAD + msgspec.msgpack.encode((record.bucket, record.key))
        try:
            old, ticket = self._overlay.get(*place)
        except CorruptRecord:
            old, ticket = None, 0
        had = 0
        bucket = self._buckets.opened.get(record.bucket)
        if old is not None and old.value is not None and bucket is not None:
            before = _decode(old.value)
            merged = absorb(bucket.kind, before.record, record)
            if merged is None:
                return ticket
            had = _size(before.record)
            record = merged
        more = _size(record) - had
        full = self._bytes.get(target, 0) + more > self._config.hint_bytes_max
        if full or away_ms > self._config.hint_window_ms:
            self.dropped += 1
            return None
        hint = Hint(record.bucket, record.key, record.tag, record.value)
        self._count(target, more, self._since(record))
        self.kept += 1
        self._kept_for[target] = self._kept_for.get(target, 0) + 1
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
            self._slices.begin(self._rerouting(target))

    def _rerouting(self, target: str) -> Reading:
        began = self._kept_for.get(target)
        stay, went = self._unsettled(target), False

        def look(bucket: str, partition: int, page: Page) -> None:
            nonlocal stay, went
            gone = list[Erase]()
            for row in page:
                if not isinstance(row, Record):
                    gone.append(Erase(row.bucket, row.key, TOP_TAG))  # damaged: no use to anybody
                elif self._reroute(target, row):
                    gone.append(Erase(row.bucket, row.key, row.tag))
                else:
                    stay = True
            self._erase(gone)
            went |= bool(gone)

        def done() -> None:
            same = self._kept_for.get(target) == began
            if went and not stay and same and not self._unsettled(target):
                self._done(target)

        return Reading(self._overlay.reader, iter([(PREFIX + target, _PARTITION)]), look, done)

    def _unsettled(self, target: str) -> bool:
        """Whether something is kept for it that storage does not tell yet."""
        return any(row is not None for _, row in self._overlay.fresh(PREFIX + target, _PARTITION))

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
            return self.keep(owner, hint.record) is not None
        try:
            return self._take_in(hint.record) is not None
        except CorruptRecord:
            return False

    def _erase(self, erases: list[Erase]) -> None:
        if erases:
            self._emit(self._overlay.write_rows(erases))

    def _since(self, record: Record) -> float:
        """Rule 6: wall ms of a version; inf where no clock orders versions, for there it undoes no tombstone."""
        bucket = self._buckets.opened.get(record.bucket)
        ordered = bucket is None or bucket.kind in ("lww", "register")
        return to_ms(record.tag.hlc) if ordered else float("inf")

    def _count(self, target: str, size: int, since_ms: float) -> None:
        self._bytes[target] = self._bytes.get(target, 0) + size
        self._oldest[target] = min(self._oldest.get(target, since_ms), since_ms)

    @property
    def oldest_ms(self) -> float:
        """Wall ms of the oldest version kept here, or earlier; inf if there is none. Tombstones younger than it may not be purged."""
        return min(self._oldest.values(), default=float("inf")) if self._loaded else float("-inf")

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

    def _replay(self, target: str, after: bytes | None = None) -> None:
        """Hand over the next hints, behind those that it left here."""
        page = self._overlay.reader.scan(PREFIX + target, _PARTITION, after, PAGE, BATCH_BYTES)
        records, erases, damaged, size = [], list[Erase](), list[Erase](), 0
        for each in page:
            if not isinstance(each, Record) or each.value is None:
                damaged.append(Erase(each.bucket, each.key, TOP_TAG))  # no use to anybody
                continue
            records.append(_decode(each.value).record)
            erases.append(Erase(each.bucket, each.key, each.tag))
            size += len(each.value)
            if size >= BATCH_BYTES:
                break
        now_ms, timeout_ms = self._moment.clock.mono_ms, self._config.request_timeout_ms
        if not page and after is not None:  # all that is left it has left
            self._schedule(now_ms + timeout_ms, lambda: self._replaying.discard(target))
        elif not page and self._unsettled(target):
            self._replaying.discard(target)  # the next heartbeat finds it on disk
        elif not page:
            self._done(target)
        else:
            self._requests += 1
            request = self._requests
            self._replays[request] = Replayed(target, erases, damaged, size, after)
            self._send(target, Handoff(request, tuple(records)), 0)
            self._schedule(now_ms + timeout_ms, lambda: self._expire(request))

    def reply(self, src: str, message: HandoffReply) -> None:
        """The target has them durably: erase, and go on at the pace allowed."""
        found = self._replays.get(message.request)
        if found is None or found.target != src:
            return
        del self._replays[message.request]
        left = [found.erases[place] for place in message.left if place < len(found.erases)]
        erases = [*found.damaged, *(each for each in found.erases if each not in left)]
        self._erase(erases)
        self.replayed += len(erases)
        after = max((each.key for each in left), default=found.after)
        pause_ms = max(1000.0 * found.size / self._config.hint_bytes_per_s, 1.0)
        self._schedule(self._moment.clock.mono_ms + pause_ms, lambda: self._replay(src, after))

    def _expire(self, request: int) -> None:
        found = self._replays.pop(request, None)
        if found is not None:
            self._replaying.discard(found.target)  # the next heartbeat that is answered begins anew

    def _done(self, target: str) -> None:
        self._replaying.discard(target)
        self._bytes.pop(target, None)
        self._oldest.pop(target, None)
