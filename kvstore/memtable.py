"""Rows on their way into the tables: a memtable, as in a log-structured merge tree (O'Neil et al. 1996) of which SQLite's is the only level.

    stage ─► a row of the log, appended                    records, by key
         └─► staged ── commit ──► fresh ── full ──► older ── a piece with every commit ──► ▲
                                    └─────────┬─────────┘                                  │
    read                                      └────────────── the greater version of ──────┘

Writing at random keys dirties a page of the table for each row, and a commit must write them all. The log is written at its end only, and
neighbours that come to the table together share its pages. What is overwritten before that never comes there.

Rule 1. Whatever is in the log is here, and the other way round, until it is in the table too and the log's rows of that generation are deleted:
both happen in one transaction. So what is not here was not left behind in the log either, to come back after a crash.
Rule 2. Nothing can be read before it is committed: `publish`.
Rule 3. A row here may be below that of the table, for nobody looked when it was staged. A reader takes the greater version of the two, this one
if they are the same. So does the statement that brings it there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Final

# bucket, partition, key, tag, value, checksum: a row of the table `records`
Bound = tuple[str, int, bytes, bytes, bytes | None, int]
Shelf = tuple[str, int]  # bucket, partition: what is scanned, and brought to the table, together
_Shelves = dict[
    Shelf, dict[bytes, Bound | None]
]  # by shelf and key; None: all that there is, is in the table

TAG: Final = 3
ROWS_MAX: Final = 8192  # of a generation; there are two
BYTES_MAX: Final = 4 << 20  # of a generation's log
_NONE: Final[dict[bytes, Bound | None]] = {}
_key = itemgetter(2)
_tag = itemgetter(TAG)
_place = itemgetter(0, 1, 2)


class Memtable:
    """What is in the log. It has no disk: whoever drives it writes what it says, in the transaction that is open."""

    __slots__ = (
        "_end",
        "_erased",
        "_fresh",
        "_number",
        "_older",
        "_rows",
        "_rows_max",
        "_size",
        "_staged",
        "_unfolded",
        "settled",
    )

    def __init__(self, rows_max: int = ROWS_MAX) -> None:
        self._rows_max = rows_max
        self._staged: defaultdict[Shelf, dict[bytes, Bound | None]] = defaultdict(dict)
        # staged to be in the table alone; some are staged again since
        self._erased: set[tuple[Shelf, bytes]] = set()
        self._fresh: _Shelves = {}
        self._rows = 0  # in the fresh generation
        self._older: _Shelves = {}
        self._unfolded: list[list[Bound]] = []  # of the older generation, by partition, the first last
        self._size = 0  # of the fresh generation's log
        self._number = self._end = 0  # of the log's rows: the newest, and the older generation's newest
        self.settled = 0  # the log's rows up to here are in the table by the transaction that is open

    # ---- writing ----

    def log(self, size: int) -> int:
        """The number of the log's next row, of so many bytes."""
        self._size += size
        self._number += 1
        return self._number

    def holds(self, shelf: Shelf, key: bytes) -> bool:
        """Whether the log may have something of this key."""
        return any(key in each.get(shelf, _NONE) for each in (self._staged, self._fresh, self._older))

    def put(self, row: Bound) -> bool:
        """Stage a row, unless there is a greater one; whether it was."""
        shelf, key = row[:2], row[2]
        staged = self._staged[shelf]
        found = staged[key] if key in staged else self.get(shelf, key)
        if found is not None and row[TAG] < found[TAG]:
            return False
        staged[key] = row
        return True

    def erase(self, shelf: Shelf, key: bytes) -> list[Bound]:
        """Stage that the table alone has this key; these rows must come there first."""
        staged = self._staged[shelf]
        known = None if (shelf, key) in self._erased else self.get(shelf, key)
        rows = [row for row in (known, staged.get(key)) if row is not None]
        staged[key] = None
        self._erased.add((shelf, key))
        return rows

    def publish(self) -> None:
        """All that was staged is committed."""
        for shelf, key in self._erased:
            self._older.get(shelf, {}).pop(key, None)
        self._erased.clear()
        for shelf, staged in self._staged.items():
            fresh = self._fresh.setdefault(shelf, {})
            self._rows -= len(fresh)
            fresh.update(staged)
            self._rows += len(fresh)
        self._staged.clear()
        if self.settled == self._end:
            self._older = {}
            if self._size >= BYTES_MAX or self._rows >= self._rows_max:
                self._turn_over()

    def _turn_over(self) -> None:
        self._older, self._fresh = self._fresh, {}
        self._size, self._rows, self._end = 0, 0, self._number
        shelves = (
            [row for row in self._older[shelf].values() if row is not None]
            for shelf in sorted(self._older, reverse=True)
        )
        self._unfolded = [shelf for shelf in shelves if shelf]

    def piece(self, count: int) -> list[Bound]:
        """The next rows for the table, so many at most, in its order. With the last, `settled` becomes the older generation's end."""
        rows: list[Bound] = []
        while count > 0 and self._unfolded:
            shelf = sorted(self._unfolded.pop(), key=_key)
            if len(shelf) > count:
                self._unfolded.append(shelf[count:])
                del shelf[count:]
            count -= len(shelf)
            place = shelf[0][:2]
            fresh, staged = self._fresh.get(place, _NONE), self._staged.get(place, _NONE)
            # what is overwritten in the log, or erased since, has no business there any more
            rows += [row for row in shelf if row[2] not in fresh and row[2] not in staged]
        if not self._unfolded:
            self.settled = self._end
        return rows

    # ---- reading ----

    def get(self, shelf: Shelf, key: bytes) -> Bound | None:
        """The committed row here. The table may have a greater one."""
        fresh = self._fresh.get(shelf, _NONE)
        return fresh[key] if key in fresh else self._older.get(shelf, _NONE).get(key)

    def scan(self, shelf: Shelf, after: bytes | None) -> list[Bound]:
        """The committed rows of one shelf behind a key, by key."""
        both = self._older.get(shelf, _NONE) | self._fresh.get(shelf, _NONE)
        return sorted(
            (row for key, row in both.items() if row is not None and (after is None or key > after)), key=_key
        )

    def buckets(self) -> set[str]:
        """Every bucket of which a row is here."""
        return {
            shelf[0]
            for each in (self._older, self._fresh)
            for shelf, rows in each.items()
            if any(row is not None for row in rows.values())
        }

    def all(self) -> Iterator[Bound]:
        """All committed rows, in the table's order."""
        for shelf in sorted(self._older.keys() | self._fresh.keys()):
            yield from self.scan(shelf, None)


def merged(memory: Iterable[Bound], table: Iterable[Bound]) -> Iterator[Bound]:
    """Both in the table's order, of each place the greater version: rule 3."""
    for _, rows in groupby(merge(memory, table, key=_place), key=_place):
        yield max(rows, key=_tag)  # the first of those that are the same
