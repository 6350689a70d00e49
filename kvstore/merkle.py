"""What a replica holds of one partition, as a tree of hashes that two replicas can compare top down.

                    root                 64 bits = XOR of the branches
              ┌──────┼──────┐
           branch         branch         32, each the XOR of its leaves
         ┌───┼───┐      ┌───┼───┐
       leaf    leaf   leaf     leaf      1,024, each the XOR of its entries

An entry is a hash of key and version. XOR makes a write two or three operations whatever the size of the partition:
take the old version's entry out, put the new one's in. Two replicas differ where hashes differ; each step down asks
for 32 hashes of 8 bytes, and a leaf names its keys (Merkle 1987; Dynamo, SOSP'07, section 4.7; the XOR form is
Riak's Tictac AAE).

Tombstones are entries as any other: a replica that misses a deletion must be found. The tree is not stored; it is
built when a node loads its records and kept up per write.

Hashes are keyed with the cluster's id: nobody outside can choose keys that cancel out.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from kvstore.events import Record

FANOUT = 32
LEAVES = FANOUT * FANOUT
_KEYED_MAX = 64  # bytes of key blake2b takes


def leaf_of(key: bytes) -> int:
    """The leaf a key belongs to, whatever its version."""
    return int.from_bytes(blake2b(key, digest_size=2).digest(), "big") % LEAVES


def entry_of(cluster: bytes, record: Record, *, by_state: bool) -> int:
    """64 bits that stand for a key and its version.

    `by_state`: the class merges states (siblings, crdt), so the version is the value itself; else it is the tag.
    """
    h = blake2b(digest_size=8, key=cluster[:_KEYED_MAX])
    h.update(len(record.key).to_bytes(4, "big"))
    h.update(record.key)
    if not by_state:
        tag = record.tag
        h.update(b"%d %b %d" % (tag.hlc, tag.node.encode(), tag.incarnation))
        if tag.touched or tag.expires_ms:
            h.update(b" %d %d" % (tag.touched, tag.expires_ms))
            return int.from_bytes(h.digest(), "big")  # its value may be dropped once it has expired
    h.update(b"-" if record.value is None else b"+" + record.value)
    return int.from_bytes(h.digest(), "big")


_NO_LEAVES = array("Q", bytes(8 * LEAVES))  # of every tree without an entry; never changed
_NO_BRANCHES = array("Q", bytes(8 * FANOUT))


class Tree:
    """The hashes of one partition of one bucket: 8.4 KB, once there is an entry."""

    __slots__ = ("_branches", "_leaves", "root")

    def __init__(self) -> None:
        self._leaves, self._branches = _NO_LEAVES, _NO_BRANCHES
        self.root = 0

    def toggle(self, leaf: int, entry: int) -> None:
        """Put an entry in, or take it out: XOR does not care which."""
        if self._leaves is _NO_LEAVES:
            self._leaves, self._branches = _NO_LEAVES[:], _NO_BRANCHES[:]
        self._leaves[leaf] ^= entry
        self._branches[leaf // FANOUT] ^= entry
        self.root ^= entry

    def branches(self) -> tuple[int, ...]:
        """The 32 hashes under the root."""
        return tuple(self._branches)

    def leaves(self, branch: int) -> tuple[int, ...]:
        """The 32 hashes under a branch."""
        return tuple(self._leaves[branch * FANOUT : (branch + 1) * FANOUT])

    def leaf(self, leaf: int) -> int:
        """One leaf's hash."""
        return self._leaves[leaf]


def differing(mine: Sequence[int], theirs: Sequence[int]) -> Iterator[int]:
    """The places at which two rows of hashes differ."""
    return (place for place, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b)
