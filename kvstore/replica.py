"""The replica's half of every protocol: answer queries, keep versions.

Rule 1. A version is acknowledged, or shown to a query, only when it is durable (`overlay` gives its ticket), but for a client's
        write to a bucket that does not wait for that (`kvstore.durability`). What comes by another way is always durable first.
Rule 2. Every handler is idempotent: a double finds its own version and acknowledges it again, after the same
        commit. The version at a replica never decreases.
Rule 3. What cannot be read is refused, never "not found": an unreadable record could have been the newest.
Rule 4. An earlier ring epoch, an expired deadline and a clock too far ahead are refused before anything is done; a later
        epoch is adopted first (`kvstore.membership`). A replica that has lost its data answers no question about it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kvstore.absorb import absorb, clock_in
from kvstore.acceptor import PROMISES, Acceptor
from kvstore.buckets import Buckets
from kvstore.config import BucketConfig
from kvstore.events import NO_TAG, Clock, CorruptRecord, Effect, Meta, Record
from kvstore.hlc import HybridClock, to_ms
from kvstore.messages import (
    BucketOffer,
    BucketOpen,
    BucketReply,
    Message,
    Query,
    QueryReply,
    Refused,
    Repair,
    Store,
    StoreReply,
)
from kvstore.messages_cas import Accept, Prepare
from kvstore.messages_causal import Apply
from kvstore.messages_repair import StandIn
from kvstore.overlay import Overlay
from kvstore.ring import partition_of
from kvstore.view import View

if TYPE_CHECKING:
    from kvstore.membership import Membership

_TAKEN_BLANK = (Store, Repair)  # by a replica that has lost its data: to keep a version needs no past


class Moment:
    """The clock as the driver read it for the step in progress."""

    __slots__ = ("clock",)

    def __init__(self) -> None:
        self.clock = Clock(0.0, 0.0)


class Replica:
    """Answers peers' requests.

    `send(dst, message, ticket)` sends once the ticket is committed; `emit` is for effects.
    """

    __slots__ = (
        "_buckets",
        "_emit",
        "_heedless",
        "_hlc",
        "_moment",
        "_overlay",
        "_send",
        "_view",
        "acceptor",
        "careless",
        "damaged",
        "membership",
        "unbound",
    )

    def __init__(
        self,
        view: View,
        hlc: HybridClock,
        overlay: Overlay,
        buckets: Buckets,
        moment: Moment,
        *,
        bugs: frozenset[str],
        send: Callable[[str, Message, int], None],
        emit: Callable[[Effect], None],
    ) -> None:
        self._view = view
        self._heedless = "join.no_epoch_reject" in bugs
        self._hlc = hlc
        self._overlay = overlay
        self._buckets = buckets
        self._send = send
        self._emit = emit
        self._moment = moment
        self.acceptor: Acceptor  # of the same node
        self.membership: Membership  # likewise
        self.unbound: Callable[[str, bytes], bool]  # likewise: `kvstore.transfer`, rule 6
        self.careless = False  # the seeded bug read_error_as_notfound
        self.damaged: Callable[[str, bytes], None] = lambda bucket, key: None  # given by the node: who mends

    def query(self, src: str, message: Query) -> None:
        """Answer with the newest version once it is durable."""
        if self.refused(src, message, message.hlc):
            return
        try:
            record, ticket = self._overlay.get(message.bucket, message.key)
        except CorruptRecord as error:
            self._unreadable(src, message, error)
            return
        if record is None:
            self._send(src, QueryReply(message.request, NO_TAG, None), 0)
        else:
            self._send(src, QueryReply(message.request, record.tag, record.value), ticket)

    def store(self, src: str, message: Store | Repair) -> None:
        """Absorb the version; acknowledge what is durable then."""
        tag = message.tag
        if self.refused(src, message, tag.latest):
            return
        try:
            current, ticket = self._overlay.get(message.bucket, message.key)
        except CorruptRecord as error:
            self._unreadable(src, message, error)
            return
        bucket = self._buckets.opened.get(message.bucket) or self.spoken_of(message.bucket)
        if bucket is None:
            text = f'bucket "{message.bucket}" is not open at this replica'
            self._send(src, Refused(message.request, "NOQUORUM", text), 0)
            return
        kind = bucket.kind
        if kind == "cas":
            self._accept_late(src, message)
            return
        clock = clock_in(bucket, tag, message.value)
        if self._ahead(src, message.request, clock):
            return
        self._hlc.observe(clock)
        kept = absorb(
            kind, current, Record(message.bucket, message.key, tag, message.value), self._buckets.bugs
        )
        if kept is not None:
            write = self._overlay.write(kept, bucket.lasting)
            self._emit(write)
            ticket, tag = write.told_after, kept.tag
        elif current is not None:
            tag = current.tag
        if message.request:
            self._send(src, StoreReply(message.request, tag), ticket)

    def _accept_late(self, src: str, message: Store | Repair) -> None:
        if self.unbound(message.bucket, message.key):
            text = "this replica does not know yet what has been promised"
            self._send(src, Refused(message.request, "NOQUORUM", text), 0)
            return
        try:
            floor, ticket = self.acceptor.take_in(
                Record(message.bucket, message.key, message.tag, message.value)
            )
        except CorruptRecord as error:
            self._send(src, Refused(message.request, "NOQUORUM", f"unreadable promise: {error}"), 0)
            return
        if message.request:
            self._send(src, StoreReply(message.request, floor), ticket)

    def take_in(self, record: Record, *, streamed: bool = False) -> int | None:
        """Absorb a record that came by handoff, or was `streamed`; the ticket that makes it, or what was here, durable.

        None, and nothing is done, if its version is too far ahead of this node's clock, unless it is streamed (`kvstore.transfer`, rule 9);
        and if its partition is being emptied (`kvstore.membership`, rule 4).
        Raises CorruptRecord. Records of buckets that are not open here are passed over; and those of class `cas` of partitions that
        are kept elsewhere, for nobody has told this node what was promised there.
        """
        if self.membership.emptied and partition_of(record.key) in self.membership.emptied:
            return None
        if record.bucket.startswith(PROMISES):
            return self.acceptor.take_promise(record)
        bucket = self._buckets.opened.get(record.bucket) or self.spoken_of(record.bucket)
        if bucket is None:
            return 0
        if bucket.kind == "cas":
            plan = self._view.plan(partition_of(record.key), bucket.n)
            return self.acceptor.take_in(record)[1] if self._view.name in plan.replicas else 0
        clock = clock_in(bucket, record.tag, record.value)
        ahead = not self._hlc.credible(clock, self._moment.clock.wall_ms)
        if ahead and not streamed:
            return None
        current, ticket = self._overlay.get(record.bucket, record.key)
        if not ahead:
            self._hlc.observe(clock)
        kept = absorb(bucket.kind, current, record)
        if kept is None:
            return ticket
        write = self._overlay.write(kept)
        self._emit(write)
        return write.ticket

    def spoken_of(self, name: str) -> BucketConfig | None:
        """The bucket of that name if it is promised: open from now on (`kvstore.buckets`)."""
        for bucket in self._buckets.promised():
            if bucket.name == name:
                self._emit(self._overlay.write_meta(self._buckets.open(bucket)))
                return bucket
        return None

    def _unreadable(self, src: str, message: Query | Store | Repair, error: CorruptRecord) -> None:
        """Rule 3, and see that the record is mended."""
        if self.careless and type(message) is Query:
            self._send(src, QueryReply(message.request, NO_TAG, None), 0)
            return
        self.damaged(message.bucket, message.key)
        self._send(src, Refused(message.request, "NOQUORUM", f"unreadable record: {error}"), 0)

    def offer(self, src: str, message: BucketOffer) -> None:
        """Promise a bucket's definition, or refuse because its name means something else here."""
        if not self._conflicts(src, message):
            self._save(src, message.request, self._buckets.promise(message.bucket))

    def open(self, src: str, message: BucketOpen) -> None:
        """Open a bucket that every member has promised."""
        if not self._conflicts(src, message):
            self._save(src, message.request, self._buckets.open(message.bucket))

    def early(self, src: str, message: Query | Store | Repair | Prepare | Accept | Apply | StandIn) -> bool:
        """Whether a request is of a later epoch than ours; then it comes again once we have adopted that."""
        if message.epoch <= self._view.document.since[message.partition]:
            return False
        self.membership.ahead(src, message)
        return True

    def refused(
        self, src: str, message: Query | Store | Repair | Prepare | Accept | Apply | StandIn, hlc: int = 0
    ) -> bool:
        """Whether a request about a key is refused before anything is done; the sender is told why."""
        if message.epoch != self._view.document.since[message.partition]:
            if self.early(src, message):
                return True
            if not self._heedless:
                self.membership.refuse_stale(src, message.request)
                return True
        emptied = self.membership.emptied
        if emptied and message.partition in emptied:
            self.membership.refuse_stale(src, message.request)
            return True
        changing = self._view.document.change is not None
        if changing and type(message) not in _TAKEN_BLANK and self._view.blank(message.partition):
            self._send(src, Refused(message.request, "NOQUORUM", "this replica has lost its data"), 0)
            return True
        if message.deadline_ms <= 0:
            self._send(src, Refused(message.request, "NOQUORUM", "the request came after its deadline"), 0)
            return True
        return self._ahead(src, message.request, hlc)

    def _ahead(self, src: str, request: int, hlc: int) -> bool:
        """Whether a request is refused for a clock in it; the sender is told."""
        wall_ms = self._moment.clock.wall_ms
        if not hlc or self._hlc.credible(hlc, wall_ms):
            return False
        text = f"{to_ms(hlc) - int(wall_ms)} ms ahead of a replica's clock"
        self._send(src, Refused(request, "CLOCKSKEW", text), 0)
        return True

    def _conflicts(self, src: str, message: BucketOffer | BucketOpen) -> bool:
        other = self._buckets.conflict(message.bucket)
        if other is None:
            return False
        text = f'bucket "{other.name}" is already defined with {other.told}; choose another name'
        self._send(src, Refused(message.request, "BADARG", text), 0)
        return True

    def _save(self, src: str, request: int, fact: Meta) -> None:
        write = self._overlay.write_meta(fact)
        self._emit(write)
        self._send(src, BucketReply(request), write.ticket)
