"""Which nodes hold a key: 256 equal partitions, an owner table, preference lists.

    key ──crc16──► slot 0..16383 ──►> 6──► partition 0..255 ──owner table──► first owner, then the next
                                                                            distinct owners clockwise

This is the third placement of Dynamo (SOSP'07, section 6.2: "Q/S tokens per node, equal-sized partitions"):
the hash space is cut once and for all, and only the table of owners changes, under a growing *epoch*. A
partition is the unit of everything that moves. The slot is Redis Cluster's, so `{tag}` in a key co-locates
keys here too.

Rejected: random tokens (a membership change re-cuts the ranges), jump hash (no arbitrary leave), rendezvous
per key (no table to agree on, worse balance).

`python -m kvstore.ring n1 n2 n3` draws a ring.
"""

from __future__ import annotations

import sys
from binascii import crc_hqx
from collections.abc import Iterable, Sequence

PARTITIONS = 256
SLOTS = 16384
_SHIFT = 6  # 16384 slots / 256 partitions = 64 slots each


def hashtag(key: bytes) -> bytes:
    """The part of the key that is hashed: what stands in its first non-empty {braces}, or all of it."""
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            return key[start + 1 : end]
    return key


def slot_of(key: bytes) -> int:
    """The key's Redis Cluster slot."""
    return crc_hqx(hashtag(key) if b"{" in key else key, 0) & (SLOTS - 1)


def partition_of(key: bytes) -> int:
    """The key's partition."""
    return slot_of(key) >> _SHIFT


def walk(owners: Sequence[str], partition: int, n: int) -> tuple[str, ...]:
    """The first n distinct owners clockwise from a partition, or all of them if there are fewer."""
    nearest = tuple(owners[partition : partition + n])
    if len(nearest) == n == len(set(nearest)):  # nearly always: a claim keeps owners apart
        return nearest
    return tuple(dict.fromkeys((*owners[partition:], *owners[:partition])))[:n]


class Ring:
    """An owner for each partition, valid for one epoch. Immutable."""

    __slots__ = ("_preferences", "epoch", "members", "owners")

    def __init__(self, owners: Iterable[str], epoch: int = 1) -> None:
        self.owners = tuple(owners)
        if len(self.owners) != PARTITIONS:
            raise ValueError(f"A ring has {PARTITIONS} owners, not {len(self.owners)}.")
        self.epoch = epoch
        self.members = tuple(sorted(set(self.owners)))
        self._preferences: dict[int, tuple[tuple[str, ...], ...]] = {}

    @classmethod
    def striped(cls, members: Iterable[str], epoch: int = 1) -> Ring:
        """The first assignment, when all members are known: partition p to member p modulo their number."""
        names = sorted(set(members))
        return cls((names[p % len(names)] for p in range(PARTITIONS)), epoch)

    def preferences(self, n: int) -> tuple[tuple[str, ...], ...]:
        """For each partition its replicas: the first n distinct owners clockwise, or all members if fewer."""
        table = self._preferences.get(n)
        if table is None:
            table = self._preferences[n] = tuple(walk(self.owners, p, n) for p in range(PARTITIONS))
        return table

    def replicas(self, key: bytes, n: int) -> tuple[str, ...]:
        """The key's preference list of at most n distinct nodes."""
        return self.preferences(n)[partition_of(key)]

    def counts(self) -> dict[str, int]:
        """How many partitions each member owns."""
        return {member: self.owners.count(member) for member in self.members}


def draw(ring: Ring, n: int = 3) -> str:
    """The ring as text: one letter per partition, and what each member carries."""
    letters = {member: chr(ord("a") + i % 26) for i, member in enumerate(ring.members)}
    rows = [f"ring, epoch {ring.epoch}: {PARTITIONS} partitions, one letter each", ""]
    for start in range(0, PARTITIONS, 64):
        rows.append(f"{start:>5} {''.join(letters[o] for o in ring.owners[start : start + 64])}")
    rows.append("")
    held = dict.fromkeys(ring.members, 0)
    for replicas in ring.preferences(n):
        for replica in replicas:
            held[replica] += 1
    for member, owned in ring.counts().items():
        rows.append(
            f"    {letters[member]} = {member}: owns {owned}, holds a replica of {held[member]} (n = {n})"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    print(draw(Ring.striped(sys.argv[1:] or ["n1", "n2", "n3", "n4", "n5"])))
