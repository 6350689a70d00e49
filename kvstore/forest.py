"""The Merkle trees a node keeps, one for each partition of each bucket that it has compared with somebody.

    overlay.write(record) ──► note(record): old entry out, new entry in        (no tree yet: nothing to do)
    anti-entropy ──► begin ── grow, a page of storage at a time ──► get         built the first time it is asked for

Beside each tree stand the entries of its keys, so that a write needs no read of the old version, and a leaf can name its
keys. That is about 200 bytes a key.

While a tree grows, writes go on. Storage is read page by page and lags behind them, so whatever was written, or erased, since `begin` counts
as it was written, and what storage says of those keys does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

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

    def pages_in(
        self, leaves: Iterable[int], bytes_max: int
    ) -> Iterator[tuple[list[int], list[tuple[bytes, int]]]]:
        """The same in pages: leaves, and their keys, of so many bytes or of one leaf."""
        of_leaf: dict[int, list[tuple[bytes, int]]] = {leaf: [] for leaf in leaves}
        for each in self.keys_in(of_leaf):
            of_leaf[leaf_of(each[0])].append(each)
        page, keys, size = list[int](), list[tuple[bytes, int]](), 0
        for leaf, here in of_leaf.items():
            more = sum(len(key) for key, _ in here)
            if page and size + more > bytes_max:
                yield page, keys
                page, keys, size = [], [], 0
            page.append(leaf)
            keys += here
            size += more
        if page:
            yield page, keys


class Sapling(Grove):
    """One that is not yet whole."""

    __slots__ = ("after", "told")

    def __init__(self) -> None:
        super().__init__()
        self.after: bytes | None = None  # the last key that storage was read to
        self.told: set[bytes] = set()  # keys that are newer here than in storage

    def tell(self, key: bytes, entry: int | None) -> None:
        """`put`, whatever storage says later."""
        self.told.add(key)
        self.put(key, entry)


class Forest:
    """All trees of a node. `kind_of` gives a bucket's class, None for one that is not compared (internal, not open)."""

    def __init__(
        self, cluster: bytes, kind_of: Callable[[str], str | None], bugs: frozenset[str] = frozenset()
    ) -> None:
        self._cluster = cluster
        self._blind = "merkle.ignores_tombstones" in bugs
        self._kind_of = kind_of
        self._groves: dict[tuple[str, int], Grove] = {}
        self._saplings: dict[tuple[str, int], Sapling] = {}

    def note(self, record: Record) -> None:
        """A record was written here."""
        if self._groves or self._saplings:
            place = record.bucket, partition_of(record.key)
            grove = self._groves.get(place)
            if grove is not None:
                grove.put(record.key, self._entry(record))
            elif place in self._saplings:
                self._saplings[place].tell(record.key, self._entry(record))

    def gone(self, bucket: str, key: bytes) -> None:
        """A record was removed for good."""
        place = bucket, partition_of(key)
        grove = self._groves.get(place)
        if grove is not None:
            grove.put(key, None)
        elif place in self._saplings:
            self._saplings[place].tell(key, None)

    def get(self, bucket: str, partition: int) -> Grove | None:
        """The trees of a partition, if they were built."""
        return self._groves.get((bucket, partition))

    def begin(
        self, bucket: str, partition: int, fresh: Callable[[], Iterable[tuple[bytes, Record | None]]]
    ) -> bytes | None:
        """Begin to build, or go on; behind which key to read storage. `fresh`: written or erased (None) and not yet committed."""
        sapling = self._saplings.get((bucket, partition))
        if sapling is None:
            sapling = self._saplings[bucket, partition] = Sapling()
            for key, record in fresh():
                sapling.tell(key, None if record is None else self._entry(record))
        return sapling.after

    def grow(self, bucket: str, partition: int, page: list[Record | Damaged], *, last: bool) -> None:
        """Take in what storage has next; with the last of it the trees are whole.

        A damaged record has no entry: the comparison finds it missing here, and its peers hand it over.
        """
        sapling = self._saplings[bucket, partition]
        for each in page:
            if isinstance(each, Record) and each.key not in sapling.told:
                sapling.put(each.key, self._entry(each))
        if last:
            del self._saplings[bucket, partition]
            grove = self._groves[bucket, partition] = Grove()
            grove.tree, grove.entries = sapling.tree, sapling.entries
        else:
            sapling.after = page[-1].key

    def forget(self, bucket: str, partition: int) -> None:
        """Let go of a partition that this node no longer holds."""
        self._groves.pop((bucket, partition), None)
        self._saplings.pop((bucket, partition), None)

    def _entry(self, record: Record) -> int | None:
        if self._blind and record.value is None:
            return None
        return entry_of(self._cluster, record, by_state=self._kind_of(record.bucket) in STATES)
