"""The engine's twin for the simulator: the same contract, and a crash that loses what was not synced.

    stage(a)  stage(b)  sync()   stage(c)  stage(d)   crash
    └──────────────────────┘     └────────────────┘
          survives surely         nothing, c, or c and d survive: a prefix, as in a write-ahead log

A record can be damaged (`corrupt`), which a read then reports as the real engine does. `sync` never fails
here: a node whose fsync failed ends, so to its peers it is a crash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

from kvstore.engine import Row
from kvstore.events import CorruptRecord, Damaged, Erase, Meta, Record
from kvstore.ring import partition_of


class MemoryEngine:
    """An Engine (see `kvstore.engine`) whose disk is this object:

    keep it over a crash, and start a new node on it.
    """

    def __init__(self) -> None:
        self._records: dict[tuple[str, bytes], Record] = {}
        self._keys: dict[tuple[str, int], set[bytes]] = {}  # the keys of each partition
        self._meta: dict[str, bytes] = {}
        self._staged: list[tuple[Row, ...]] = []
        self._corrupt: set[tuple[str, bytes]] = set()

    def get(self, bucket: str, key: bytes) -> Record | None:
        """The committed record, None when there is none. Raises CorruptRecord."""
        if self._corrupt and (bucket, key) in self._corrupt:
            raise CorruptRecord(f"The record of key {key!r} in bucket {bucket} does not match its checksum.")
        return self._records.get((bucket, key))

    def meta(self, name: str) -> bytes | None:
        """A committed fact about the node itself."""
        return self._meta.get(name)

    def records(self) -> Iterator[Record]:
        """Every committed record, ordered by bucket, partition and key.

        Raises CorruptRecord at the first damaged one.
        """
        for bucket, key in sorted(self._records, key=_place):
            record = self.get(bucket, key)
            assert record is not None
            yield record

    def scan(self, bucket: str, partition: int, after: bytes | None, limit: int) -> list[Record | Damaged]:
        """At most `limit` committed records of one partition, by key, beginning behind `after`."""
        here = self._keys.get((bucket, partition), set())
        keys = sorted(key for key in here if after is None or key > after)
        return [
            Damaged(bucket, key) if (bucket, key) in self._corrupt else self._records[bucket, key]
            for key in keys[:limit]
        ]

    def buckets(self) -> list[str]:
        """Every bucket that has a committed record, sorted."""
        return sorted({bucket for bucket, _ in self._records})

    def stage(self, rows: Iterable[Row]) -> None:
        """Write rows as one batch that a crash may yet lose."""
        self._staged.append(tuple(rows))

    def sync(self) -> None:
        """Make everything staged durable and readable."""
        for rows in self._staged:
            self._apply(rows)
        self._staged.clear()

    def commit(self, rows: Iterable[Row]) -> None:
        """`stage`, then `sync`."""
        self.stage(rows)
        self.sync()

    def close(self) -> None:
        """Give up what is only staged."""
        self._staged.clear()

    def crash(self, rng: Random) -> int:
        """Lose power:

        synced rows stay; of the staged batches a prefix drawn from `rng` stays. Returns the lost count.
        """
        kept = rng.randint(0, len(self._staged))
        lost = len(self._staged) - kept
        del self._staged[kept:]
        self.sync()
        return lost

    def wipe(self) -> None:
        """Forget everything: the disk was replaced by an empty one."""
        self._records.clear()
        self._keys.clear()
        self._meta.clear()
        self._staged.clear()
        self._corrupt.clear()

    def corrupt(self, bucket: str, key: bytes) -> None:
        """Damage a committed record, until a version at least as new is written over it."""
        assert (bucket, key) in self._records, "only a committed record can be damaged"
        self._corrupt.add((bucket, key))

    def _apply(self, rows: tuple[Row, ...]) -> None:
        for row in rows:
            if isinstance(row, Meta):
                self._meta[row.name] = row.value
                continue
            place = (row.bucket, row.key)
            old = self._records.get(place)
            if isinstance(row, Erase):
                if old is not None and old.tag <= row.tag:
                    del self._records[place]
                    self._keys[row.bucket, partition_of(row.key)].discard(row.key)
                    self._corrupt.discard(place)
            elif old is None or row.tag >= old.tag:
                if old is None:
                    self._keys.setdefault((row.bucket, partition_of(row.key)), set()).add(row.key)
                self._records[place] = row
                self._corrupt.discard(place)


def _place(place: tuple[str, bytes]) -> tuple[str, int, bytes]:
    return place[0], partition_of(place[1]), place[1]
