"""The Merkle trees a node keeps, one for each partition of each bucket that it has compared with somebody.

    overlay.write(record) ──► note(record): old entry out, new entry in        (no tree yet: nothing to do)
    anti-entropy ──► tree(bucket, partition): built from storage the first time

Beside each tree stand the entries of its keys, so that a write needs no read of the old version, and a leaf can name its
keys. That is about 200 bytes a key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kvstore.events import Damaged, Record
from kvstore.merkle import Tree, entry_of, leaf_of
from kvstore.ring import partition_of

STATES = frozenset({"siblings", "crdt"})  # classes whose versions are compared by what they hold


class Grove:
    """One partition of one bucket: its tree, and each key's entry."""

    __slots__ = ("entries", "tree")

    def __init__(self) -> None:
        self.tree = Tree()
        self.entries: dict[bytes, int] = {}

    def put(self, key: bytes, entry: int | None) -> None:
        """The key has this entry from now on; None: the record is gone."""
        leaf = leaf_of(key)
        old = self.entries.pop(key, None)
        if old is not None:
            self.tree.toggle(leaf, old)
        if entry is not None:
            self.entries[key] = entry
            self.tree.toggle(leaf, entry)

    def keys_in(self, leaves: Iterable[int]) -> list[tuple[bytes, int]]:
        """The keys of some leaves with their entries, by key."""
        wanted = frozenset(leaves)
        return sorted(each for each in self.entries.items() if leaf_of(each[0]) in wanted)


class Forest:
    """All trees of a node. `kind_of` gives a bucket's class, None for one that is not compared (internal, not open)."""

    def __init__(
        self, cluster: bytes, kind_of: Callable[[str], str | None], bugs: frozenset[str] = frozenset()
    ) -> None:
        self._cluster = cluster
        self._blind = "merkle.ignores_tombstones" in bugs
        self._kind_of = kind_of
        self._groves: dict[tuple[str, int], Grove] = {}

    def note(self, record: Record) -> None:
        """A record was written here."""
        if self._groves:
            grove = self._groves.get((record.bucket, partition_of(record.key)))
            if grove is not None:
                grove.put(record.key, self._entry(record))

    def gone(self, bucket: str, key: bytes) -> None:
        """A record was removed for good."""
        grove = self._groves.get((bucket, partition_of(key)))
        if grove is not None:
            grove.put(key, None)

    def get(self, bucket: str, partition: int) -> Grove | None:
        """The trees of a partition, if they were built."""
        return self._groves.get((bucket, partition))

    def build(
        self, bucket: str, partition: int, stored: Iterable[Record | Damaged], fresh: Iterable[Record]
    ) -> Grove:
        """Build from what is stored, then from what is written and not yet committed.

        A damaged record has no entry: the comparison finds it missing here, and its peers hand it over.
        """
        grove = Grove()
        for each in stored:
            if isinstance(each, Record):
                grove.put(each.key, self._entry(each))
        for record in fresh:
            grove.put(record.key, self._entry(record))
        self._groves[bucket, partition] = grove
        return grove

    def forget(self, bucket: str, partition: int) -> None:
        """Let go of a partition that this node no longer holds."""
        self._groves.pop((bucket, partition), None)

    def _entry(self, record: Record) -> int | None:
        if self._blind and record.value is None:
            return None
        return entry_of(self._cluster, record, by_state=self._kind_of(record.bucket) in STATES)
