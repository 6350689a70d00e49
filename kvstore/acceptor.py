"""The acceptors of a replica: `kvstore.caspaxos.Slot`, one per key of class `cas`, in two rows of storage.

    bucket "jobs"            key  ► accepted ballot, state        a Record like any other: it travels as one
    bucket "!promise/jobs"   key  ► promised ballot               stays here; another replica's word is not this one's

Rule 1. A promise or an acceptance is answered when its row is durable: `lasting` says how long that may take in a bucket.
Rule 2. The promise is never below the accepted ballot: an accept that overtook its prepare writes both rows at once. So an
        unreadable state may be overwritten, for the promise alone says what is too old.
Rule 3. A record that came by another way (repair, hint, handoff) is a late accept: it loses against a higher promise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvstore import caspaxos
from kvstore.caspaxos import Slot
from kvstore.durability import Durability
from kvstore.events import NO_TAG, CorruptRecord, Effect, Record, Tag
from kvstore.invariants import one_value, promised_first
from kvstore.messages import Message, Refused
from kvstore.messages_cas import Accept, Accepted, Nack, Prepare, Promise
from kvstore.overlay import Overlay

PROMISES: Final = "!promise/"


class Acceptor:
    """Answers proposers. `refused(src, message)` has the checks that every request about a key must pass."""

    __slots__ = ("_emit", "_forgetful", "_heedless", "_lasting", "_overlay", "_promised", "_refused", "_send")

    def __init__(
        self,
        overlay: Overlay,
        bugs: frozenset[str],
        *,
        refused: Callable[[str, Prepare | Accept], bool],
        send: Callable[[str, Message, int], None],
        emit: Callable[[Effect], None],
        lasting: Callable[[str], Durability],
    ) -> None:
        self._lasting = lasting
        self._overlay = overlay
        self._refused = refused
        self._send = send
        self._emit = emit
        self._heedless = "cas.next_not_promised" in bugs
        self._forgetful = "cas.promise_not_persisted" in bugs
        self._promised: dict[tuple[str, bytes], Tag] = {}  # only that bug uses it

    def prepare(self, src: str, message: Prepare) -> None:
        """Promise, or nack."""
        if self._refused(src, message):
            return
        bucket, key = message.bucket, message.key
        try:
            promised, ticket = self._promise(bucket, key)
            record, written = self._overlay.look(bucket, key)
        except CorruptRecord as error:
            self._send(src, Refused(message.request, "NOQUORUM", f"unreadable record: {error}"), 0)
            return
        slot = self._slot(promised, record)
        new = caspaxos.prepare(slot, message.tag)
        if new is None:
            self._send(src, Nack(message.request, slot.floor), 0)
            return
        if new is not slot:
            ticket = self._write(bucket, self._promise_row(bucket, key, new.promised))
        self._send(src, Promise(message.request, new.accepted, new.value), max(ticket, written))

    def accept(self, src: str, message: Accept) -> None:
        """Accept, or nack."""
        if self._refused(src, message):
            return
        record = Record(message.bucket, message.key, message.tag, message.value)
        try:
            floor, ticket = self.take_in(record, NO_TAG if self._heedless else message.then)
        except CorruptRecord as error:
            self._send(src, Refused(message.request, "NOQUORUM", f"unreadable promise: {error}"), 0)
            return
        if floor != message.tag:
            self._send(src, Nack(message.request, floor), 0)
        else:
            self._send(src, Accepted(message.request, message.tag), ticket)

    def take_in(self, record: Record, then: Tag = NO_TAG) -> tuple[Tag, int]:
        """Accept a state, now or late; the floor afterwards (the record's ballot if it was taken), and the ticket.

        `then` is promised with it.

        Raises CorruptRecord if what was promised cannot be read.
        """
        bucket, key = record.bucket, record.key
        promised, promise_ticket = self._promise(bucket, key)
        try:
            current, ticket = self._overlay.look(bucket, key)
        except CorruptRecord:
            current, ticket = None, 0  # rule 2
        slot = self._slot(promised, current)
        new = caspaxos.accept(slot, record.tag, record.value, then)
        if new is None:
            return slot.floor, 0
        if new is slot:
            one_value(f"key {key!r} in {bucket}", record.tag, slot.value, record.value)
            return record.tag, max(ticket, promise_ticket)
        rows = [] if new.accepted == slot.accepted else [record]
        promise = max(then, record.tag)
        if promised < promise:
            rows += self._promise_row(bucket, key, promise)
        return record.tag, self._write(bucket, rows)

    def take_promise(self, record: Record) -> int:
        """Make a promise that another replica made, too: it is streamed to a newcomer."""
        bucket = record.bucket.removeprefix(PROMISES)
        promised, ticket = self._promise(bucket, record.key)
        if record.tag > promised:
            ticket = self._write(bucket, self._promise_row(bucket, record.key, record.tag))
        return ticket

    def lacks(self, record: Record) -> bool:
        """Whether this state lost against a higher promise, so that nothing as new is here."""
        try:
            current, _ = self._overlay.look(record.bucket, record.key)
        except CorruptRecord:
            return True
        return current is None or current.tag < record.tag

    # ---- rows ----

    def _slot(self, promised: Tag, record: Record | None) -> Slot:
        if record is None:
            return Slot(promised)
        if not self._forgetful:
            promised_first(record, promised)
        return Slot(promised, record.tag, record.value)

    def _promise(self, bucket: str, key: bytes) -> tuple[Tag, int]:
        if self._forgetful:
            return self._promised.get((bucket, key), NO_TAG), 0
        row, ticket = self._overlay.look(PROMISES + bucket, key)
        return (NO_TAG if row is None else row.tag), ticket

    def _promise_row(self, bucket: str, key: bytes, ballot: Tag) -> list[Record]:
        if self._forgetful:
            self._promised[bucket, key] = ballot
            return []
        return [Record(PROMISES + bucket, key, ballot, None)]

    def _write(self, bucket: str, rows: list[Record]) -> int:
        if not rows:
            return 0
        lasting, overlay = self._lasting(bucket), self._overlay
        write = overlay.write(rows[0], lasting) if len(rows) == 1 else overlay.write_rows(rows, lasting)
        self._emit(write)
        return write.ticket
