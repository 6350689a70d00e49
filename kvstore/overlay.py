"""Storage as a node sees it: what is committed, and on top what is written but not yet durable.

    get ──► overlay (written, ticket 7) ──► Reader (committed)
    write ──► Write(ticket 8) effect            Committed(7) ──► the overlay lets go of everything up to 7

Rule: whoever tells others about a record found here first waits for its ticket (0 = committed already). That
holds for "I have it" after a Store, for "I had it already" after its double, and for the answer to a Query.
"""

from __future__ import annotations

from collections.abc import Iterable

from kvstore.events import CorruptRecord, Erase, Meta, Reader, Record, Write


class Overlay:
    """Uncommitted records over a Reader of committed ones."""

    __slots__ = ("_reader", "_records", "_written", "committed", "ticket")

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._records: dict[tuple[str, bytes], tuple[Record | None, int]] = {}
        self._written: dict[int, tuple[tuple[str, bytes], ...]] = {}
        self.ticket = 0  # the newest write
        self.committed = 0  # everything up to here is durable

    def get(self, bucket: str, key: bytes) -> tuple[Record | None, int]:
        """The newest version here and the ticket that makes it durable. Raises CorruptRecord."""
        found = self._records.get((bucket, key))
        if found is not None:
            return found
        return self._reader.get(bucket, key), 0

    def write(self, record: Record) -> Write:
        """Take a new version in; perform the Write returned."""
        ticket = self.ticket = self.ticket + 1
        ident = (record.bucket, record.key)
        self._records[ident] = (record, ticket)
        self._written[ticket] = (ident,)
        return Write(ticket, (record,))

    def write_rows(self, rows: Iterable[Record | Erase | Meta]) -> Write:
        """Several rows that become durable together. An erased record is gone at once, unless it is newer."""
        ticket = self.ticket = self.ticket + 1
        kept, idents = [], []
        for row in rows:
            if not isinstance(row, Meta):
                ident = (row.bucket, row.key)
                if isinstance(row, Erase) and self._newer(row):
                    continue
                self._records[ident] = (None if isinstance(row, Erase) else row, ticket)
                idents.append(ident)
            kept.append(row)
        self._written[ticket] = tuple(idents)
        return Write(ticket, tuple(kept))

    def _newer(self, erase: Erase) -> bool:
        try:
            record, _ = self.get(erase.bucket, erase.key)
        except CorruptRecord:
            return False  # the engine's own guard decides
        return record is not None and record.tag > erase.tag

    def write_meta(self, *facts: Meta) -> Write:
        """The same for facts about the node itself."""
        self.ticket += 1
        return Write(self.ticket, facts)

    def commit(self, ticket: int) -> None:
        """Everything up to `ticket` is durable."""
        for each in range(self.committed + 1, ticket + 1):
            for ident in self._written.pop(each, ()):
                found = self._records.get(ident)
                if found is not None and found[1] == each:
                    del self._records[ident]
        self.committed = max(self.committed, ticket)
