"""Storage as a node sees it: what is committed, and on top what is written but not yet durable.

    get ──► overlay (written, ticket 7) ──► Reader (committed)
    write ──► Write(ticket 8) effect            Committed(7) ──► the overlay lets go of everything up to 7

Rule: whoever tells others about a record found here first waits for its ticket (0 = committed already, or in a bucket whose
`durability` does not wait). That holds for "I have it" after a Store, for "I had it already" after its double, and for the answer
to a Query. Whoever needs all that is here on disk asks for a `barrier` first, if something is `loose`.

An acceptor asks for the same rows in a prepare and in the accept that follows, and a reading of storage costs more than all it
decides. `look` remembers what it has read, absence too. Every write and erasure passes through here and replaces what is remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from kvstore.durability import ALWAYS, Durability
from kvstore.events import (
    ANY_SIZE,
    CorruptRecord,
    Damaged,
    Erase,
    Meta,
    Reader,
    Record,
    Write,
    full,
)
from kvstore.forest import Forest
from kvstore.invariants import BrokenInvariantError, not_lower
from kvstore.ring import partition_of

REMEMBERED_MAX: Final = 4096  # rows
REMEMBERED_VALUE_BYTES_MAX: Final = 2048  # of each: 8 MiB in all


class Overlay:
    """Uncommitted records over a Reader of committed ones."""

    __slots__ = (
        "_firm",
        "_loose",
        "_records",
        "_remembered",
        "_written",
        "committed",
        "forest",
        "reader",
        "ticket",
    )

    def __init__(self, reader: Reader, forest: Forest) -> None:
        self.reader = reader
        self.forest = forest  # told of every record that is written or erased
        self._records: dict[
            tuple[str, bytes], tuple[tuple[Record | None, int], int]
        ] = {}  # what is told; its write
        self._remembered: dict[tuple[str, bytes], Record | None] = {}
        self._written: dict[int, tuple[tuple[str, bytes], ...]] = {}
        self._firm = self._loose = 0  # the newest tickets that somebody, and that nobody, waits for
        self.ticket = 0  # the newest write
        self.committed = 0  # everything up to here is durable

    def get(self, bucket: str, key: bytes) -> tuple[Record | None, int]:
        """The newest version here and the ticket to wait for before it is told. Raises CorruptRecord."""
        found = self._records.get((bucket, key))
        if found is not None:
            return found[0]
        return self.reader.get(bucket, key), 0

    def look(self, bucket: str, key: bytes) -> tuple[Record | None, int]:
        """The same as `get`, and remembered: for rows that will soon be asked for again."""
        ident = (bucket, key)
        found = self._records.get(ident)
        if found is not None:
            return found[0]
        remembered = self._remembered
        if ident in remembered:
            return remembered[ident], 0
        record = self.reader.get(bucket, key)
        self._remember(ident, record)
        return record, 0

    def _remember(self, ident: tuple[str, bytes], record: Record | None) -> None:
        if record is not None and len(record.value or b"") > REMEMBERED_VALUE_BYTES_MAX:
            self._remembered.pop(ident, None)
            return
        if len(self._remembered) >= REMEMBERED_MAX:
            self._remembered.clear()
        self._remembered[ident] = record

    def write(self, record: Record, lasting: Durability = ALWAYS) -> Write:
        """Take a new version in; perform the Write returned."""
        write = self._next((record,), lasting)
        ticket = write.ticket
        ident = (record.bucket, record.key)
        self._replace(ident, record, ticket if write.awaited else 0, ticket)
        if ident in self._remembered:
            self._remember(ident, record)
        self._written[ticket] = (ident,)
        self.forest.note(record)
        return write

    def _replace(self, ident: tuple[str, bytes], record: Record, told_after: int, ticket: int) -> None:
        found = self._records.get(ident)
        before = self._remembered.get(ident) if found is None else found[0][0]
        if before is not None:
            not_lower(record, before)
        self._records[ident] = ((record, told_after), ticket)

    def _next(self, rows: tuple[Record | Erase | Meta, ...], lasting: Durability = ALWAYS) -> Write:
        ticket = self.ticket = self.ticket + 1
        if lasting is ALWAYS:  # nearly always
            self._firm = ticket
            return Write(ticket, rows)
        if lasting.awaited:
            self._firm = ticket
        else:
            self._loose = ticket
        return Write(ticket, rows, lasting.within_ms, lasting.awaited)

    @property
    def loose(self) -> bool:
        """Whether something is here that a crash may undo, and no later write is on its way that would end that."""
        return self._loose > self._firm

    def barrier(self) -> Write:
        """Nothing but that all before it is durable; perform the Write returned."""
        return self._next(())

    def write_rows(self, rows: Iterable[Record | Erase | Meta], lasting: Durability = ALWAYS) -> Write:
        """Several rows that become durable together. An erased record is gone at once, unless it is newer."""
        ticket = self.ticket + 1
        kept, idents = [], []
        for row in rows:
            if not isinstance(row, Meta):
                ident = (row.bucket, row.key)
                remembered = ident in self._remembered
                if isinstance(row, Erase):
                    self._remembered.pop(ident, None)
                    if self._newer(row):
                        continue
                    self._records[ident] = ((None, ticket), ticket)
                    self.forest.gone(row.bucket, row.key)
                else:
                    self._replace(ident, row, ticket, ticket)
                    if remembered:
                        self._remember(ident, row)
                    self.forest.note(row)
                idents.append(ident)
            kept.append(row)
        self._written[ticket] = tuple(idents)
        return self._next(tuple(kept), lasting)

    def _newer(self, erase: Erase) -> bool:
        try:
            record, _ = self.get(erase.bucket, erase.key)
        except CorruptRecord:
            return False  # the engine's own guard decides
        return record is not None and record.tag > erase.tag

    def stored(self, bucket: str, partition: int, page: int) -> Iterator[Record | Damaged]:
        """Every committed record of a partition, read a page at a time."""
        after: bytes | None = None
        while True:
            found = self.reader.scan(bucket, partition, after, page)
            yield from found
            if len(found) < page:
                return
            after = found[-1].key

    def grow(
        self, bucket: str, partition: int, page: int, bytes_max: int = ANY_SIZE
    ) -> list[Record | Damaged]:
        """Read one more page of a partition into its trees; the page. They are whole if it was not full."""
        after = self.forest.begin(bucket, partition, lambda: self.fresh(bucket, partition))
        found = self.reader.scan(bucket, partition, after, page, bytes_max)
        self.forest.grow(bucket, partition, found, last=not full(found, page, bytes_max))
        return found

    def fresh(self, bucket: str, partition: int) -> list[tuple[bytes, Record | None]]:
        """What of a partition is written, or erased, and not yet committed."""
        return [
            (key, record)
            for (name, key), ((record, _), _) in self._records.items()
            if name == bucket and partition_of(key) == partition
        ]

    def write_meta(self, *facts: Meta) -> Write:
        """The same for facts about the node itself."""
        return self._next(facts)

    def commit(self, ticket: int) -> None:
        """Everything up to `ticket` is durable, or readable at least where nobody waits for more.

        Raises BrokenInvariantError if that was never written.
        """
        if ticket > self.ticket:
            raise BrokenInvariantError(f"storage committed ticket {ticket}, and the newest is {self.ticket}")
        for each in range(self.committed + 1, ticket + 1):
            for ident in self._written.pop(each, ()):
                found = self._records.get(ident)
                if found is not None and found[1] == each:
                    del self._records[ident]
        self.committed = max(self.committed, ticket)
