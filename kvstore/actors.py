"""The identities under which this node makes dots. No dot is ever given out twice, whatever is forgotten.

    epoch   ┌── 31 random bits: this disk ──┬── 32 bits of counter ──┐      actor = (node, epoch); RESP's integers have a sign

    lease (durable)   0 ────────── 10000 ────────── 20000        taken in blocks, each fsynced before its first use
    given out         ●●●●●            crash ──► the next life begins at the end of the block

A replica keeps an epoch per key, in the tag of its record: `Tag(revision, node, epoch)`. While the record is there,
its dots are counted on. A new epoch is taken when the node cannot know what it gave out before:

    the record is absent, or was absent when others' state came in     tag.node is ""
    a context, or a state that comes in, has more dots of this actor    "local amnesia"
    the record was unreadable                                           it is rewritten without an epoch
    the disk is another one, or a restored copy                         the random bits differ
    the node has started anew, and its bucket does not wait for fsyncs  the counter is of an earlier life

Without this, acknowledged siblings are lost (riak_kv #679): a counter that starts again gives an old dot to a new
value, and everybody who saw the old one takes the new one for replaced. The random bits are there because an empty
disk has forgotten its counter too.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from kvstore.events import Meta

META = "actors"
BLOCK = 10_000
_BITS = 32


class Rng(Protocol):
    """The part of random.Random used here."""

    def random(self) -> float:
        """A number in [0, 1)."""


class Actors:
    """Gives out epochs. `stored` is the fact it made durable in an earlier life, None on an empty disk."""

    __slots__ = ("_born", "_disk", "_lease", "_leased", "_next", "_rng")

    def __init__(self, stored: bytes | None, rng: Rng) -> None:
        self._rng = rng
        self._disk, self._next = msgspec.msgpack.decode(stored, type=tuple[int, int]) if stored else (0, 0)
        self._born = self._lease = self._leased = (
            self._next
        )  # at the start; durable; the newest one asked for

    def fresh(self) -> int | None:
        """An epoch never given out before, or None: `renew`, and ask again once that is durable."""
        if self._next >= self._lease:
            return None
        self._next += 1
        return self._disk << _BITS | self._next

    def ours(self, epoch: int) -> bool:
        """Was it given out on this disk?"""
        return self._disk != 0 and epoch >> _BITS == self._disk

    def of_this_life(self, epoch: int) -> bool:
        """Was it given out on this disk, since the node started?"""
        return self.ours(epoch) and epoch & (1 << _BITS) - 1 > self._born

    def renew(self) -> Meta | None:
        """The fact to make durable if few epochs are left and it is not on its way; `leased` when it is durable."""
        if self._leased - self._next > BLOCK // 2 or self._leased > self._lease:
            return None
        if self._disk == 0:
            self._disk = 1 + int(self._rng.random() * ((1 << _BITS - 1) - 1))
        self._leased += BLOCK
        return Meta(META, msgspec.msgpack.encode((self._disk, self._leased)))

    def leased(self) -> None:
        """The fact that `renew` gave is durable."""
        self._lease = self._leased
