"""The engine's twin for the simulator: the same contract, and a crash that loses what was not synced.

    stage(a)  stage(b)  sync()   stage(c, loose)  sync()   stage(d)   crash
    └──────────────────────┘     └─────────────────────┘   └──────┘
          survives surely         c can be read; nothing, c, or c and d survive: a prefix, as in a write-ahead log

A record can be damaged (`corrupt`), which a read then reports as the real engine does; which of them a read met is kept. `sync` never fails
here: a node whose fsync failed ends, so to its peers it is a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from functools import partial
from random import Random

from kvstore.engine import Row
from kvstore.events import ANY_SIZE, CorruptRecord, Damaged, Erase, Meta, Record, Snapshot, size_of
from kvstore.ring import partition_of


class MemoryEngine:
    """An Engine (see `kvstore.engine`) whose disk is this object:

    keep it over a crash, and start a new node on it.
    """

    def __init__(self) -> None:
        self._records: dict[tuple[str, bytes], Record] = {}
        self._keys: dict[tuple[str, int], set[bytes]] = {}  # the keys of each partition
        self._meta: dict[str, bytes] = {}
        self._staged: list[tuple[tuple[Row, ...], bool]] = []  # and whether they are loose
        self._undo: list[
            list[Callable[[], None]]
        ] = []  # what takes each batch back that can be read and is not durable
        self._corrupt: set[tuple[str, bytes]] = set()
        self._met: set[tuple[str, bytes]] = set()  # of what was ever damaged, what a read met

    def __eq__(self, other: object) -> bool:
        """Whether the same is committed in both."""
        if not isinstance(other, MemoryEngine):
            return NotImplemented
        return (self._records, self._meta) == (other._records, other._meta)

    def get(self, bucket: str, key: bytes) -> Record | None:
        """The committed record, None when there is none. Raises CorruptRecord."""
        if self._corrupt and (bucket, key) in self._corrupt:
            self._met.add((bucket, key))
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

    def scan(
        self, bucket: str, partition: int, after: bytes | None, limit: int, bytes_max: int = ANY_SIZE
    ) -> list[Record | Damaged]:
        """At most `limit` committed records of one partition, and about `bytes_max`, by key, beginning behind `after`."""
        here = self._keys.get((bucket, partition), set())
        keys = sorted(key for key in here if after is None or key > after)
        found: list[Record | Damaged] = []
        for key in keys[:limit]:
            if (bucket, key) in self._corrupt:
                self._met.add((bucket, key))
                found.append(Damaged(bucket, key))
            else:
                found.append(self._records[bucket, key])
            bytes_max -= size_of(found[-1:])
            if bytes_max <= 0:
                break
        return found

    def buckets(self) -> list[str]:
        """Every bucket that has a committed record, sorted."""
        return sorted({bucket for bucket, _ in self._records})

    def stage(self, rows: Iterable[Row], *, loose: bool = False) -> None:
        """Write rows as one batch that a crash may yet lose."""
        self._staged.append((tuple(rows), loose))

    def sync(self) -> None:
        """Make everything staged readable, and durable with all before it, unless all that is staged is loose."""
        durable = False
        for _, loose in self._staged:
            durable = durable or not loose
        for rows, _ in self._staged:
            undo: list[Callable[[], None]] | None = None if durable else []
            self._apply(rows, undo)
            if undo is not None:
                self._undo.append(undo)
        self._staged.clear()
        if durable:
            self._undo.clear()

    def commit(self, rows: Iterable[Row]) -> None:
        """`stage`, then `sync`."""
        self.stage(rows)
        self.sync()

    def close(self) -> None:
        """Give up what is only staged."""
        self._staged.clear()

    def crash(self, rng: Random) -> int:
        """Lose power:

        durable rows stay; of the other batches a prefix drawn from `rng` stays. Returns the lost count.
        """
        unsafe = len(self._undo) + len(self._staged)
        kept = rng.randint(0, unsafe)
        for undo in reversed(self._undo[kept:]):
            for each in reversed(undo):
                each()
        del self._staged[max(0, kept - len(self._undo)) :]
        self.sync()
        self._undo.clear()  # what has survived is on the disk
        return unsafe - kept

    def copied(self, snapshot: Snapshot) -> MemoryEngine:
        """A disk with a snapshot restored on it."""
        made = MemoryEngine()
        kept = [row for row in self._records.values() if row.bucket not in snapshot.without_buckets]
        facts = [Meta(name, value) for name, value in self._meta.items() if name not in snapshot.without]
        made.commit([*kept, *facts, *snapshot.facts])
        made._corrupt = {place for place in self._corrupt if place in made._records}
        return made

    def wipe(self) -> None:
        """Forget everything: the disk was replaced by an empty one."""
        self._records.clear()
        self._keys.clear()
        self._meta.clear()
        self._staged.clear()
        self._undo.clear()
        self._corrupt.clear()
        self._met.clear()

    def corrupt(self, bucket: str, key: bytes) -> None:
        """Damage a committed record, until a version at least as new is written over it."""
        assert (bucket, key) in self._records, "only a committed record can be damaged"
        self._corrupt.add((bucket, key))
        self._met.discard((bucket, key))

    def rot(
        self, share: float, rng: Random, spared: AbstractSet[Hashable] = frozenset()
    ) -> frozenset[tuple[str, bytes]]:
        """Damage this share of the committed records that are whole and not spared, drawn from `rng`, but one at least if there is any; which."""
        whole = sorted(self._records.keys() - self._corrupt - spared)
        struck = rng.sample(whole, min(len(whole), max(1, round(share * len(whole)))))
        for place in struck:
            self.corrupt(*place)
        return frozenset(struck)

    def look(self) -> dict[tuple[str, bytes], Record]:
        """Every committed record by bucket and key, damaged or not. It is no read: what is damaged is not met by it."""
        return dict(self._records)

    @property
    def damaged(self) -> frozenset[tuple[str, bytes]]:
        """The records that are damaged now."""
        return frozenset(self._corrupt)

    @property
    def met(self) -> frozenset[tuple[str, bytes]]:
        """The records that a read, or a scan, found damaged, whether or not they were mended since."""
        return frozenset(self._met)

    def _apply(self, rows: tuple[Row, ...], undo: list[Callable[[], None]] | None) -> None:
        """Take the rows in; to `undo`, if it is wanted, goes what takes them back."""
        for row in rows:
            if isinstance(row, Meta):
                if undo is not None:
                    undo.append(partial(self._set_meta, row.name, self._meta.get(row.name)))
                self._meta[row.name] = row.value
                continue
            place = (row.bucket, row.key)
            old = self._records.get(place)
            if isinstance(row, Erase) if old is None else old.tag > row.tag:
                continue
            if undo is not None:
                undo.append(partial(self._set, place, old, damaged=place in self._corrupt))
            self._set(place, None if isinstance(row, Erase) else row)

    def _set_meta(self, name: str, value: bytes | None) -> None:
        self._meta.pop(name, None)
        if value is not None:
            self._meta[name] = value

    def _set(self, place: tuple[str, bytes], record: Record | None, *, damaged: bool = False) -> None:
        known = place in self._records
        if record is None:
            if known:
                del self._records[place]
                self._keys[place[0], partition_of(place[1])].discard(place[1])
        else:
            self._records[place] = record
            if not known:
                self._keys.setdefault((place[0], partition_of(place[1])), set()).add(place[1])
        if damaged:
            self._corrupt.add(place)
        elif self._corrupt:
            self._corrupt.discard(place)


def _place(place: tuple[str, bytes]) -> tuple[str, int, bytes]:
    return place[0], partition_of(place[1]), place[1]
