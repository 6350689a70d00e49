"""The buckets a node knows, and those it has promised.

    config file ──────────────────────────► open
    KV.BUCKET CREATE ──offer──► promised ──open──► open       both durable before they are acknowledged

Who is promised a bucket and hears of its keys opens it: whoever speaks of them has it open, and so all have promised just that.
Nobody opens one for no more than that another has promised it, for that may be one of two definitions of which neither has all promises.

A promise is never taken back: a name that two clients wanted to define differently at the same time may stay
unusable, and then another name is the way out. What cannot happen is one name with two meanings.
"""

from __future__ import annotations

import msgspec

from kvstore.config import BucketConfig, NodeConfig
from kvstore.durability import ALWAYS, Durability
from kvstore.events import Meta

META = "buckets"


class Stored(msgspec.Struct, array_like=True):
    """What survives a restart."""

    promised: list[BucketConfig]
    opened: list[str]


class Buckets:
    """Open buckets by name; the configured ones also by the number SELECT uses."""

    __slots__ = ("_promised", "_stored", "bugs", "numbered", "opened")

    def __init__(self, config: NodeConfig, stored: bytes | None) -> None:
        self.bugs = config.bugs
        self.numbered = (config.default, *config.buckets)
        self.opened = {bucket.name: bucket for bucket in self.numbered}
        self._stored = msgspec.msgpack.decode(stored, type=Stored) if stored else Stored([], [])
        self._promised = {bucket.name: bucket for bucket in self._stored.promised}
        for name in self._stored.opened:
            self.opened.setdefault(name, self._promised[name])

    def known(self) -> list[BucketConfig]:
        """Every bucket that is open or promised here."""
        return list({**self._promised, **self.opened}.values())

    def promised(self) -> list[BucketConfig]:
        """Those that are promised here, and not open."""
        return [bucket for name, bucket in self._promised.items() if name not in self.opened]

    def counts(self) -> tuple[int, ...]:
        """The numbers of replicas that buckets ask for."""
        return tuple(sorted({bucket.n for bucket in self.known()}))

    def lasting(self, name: str) -> Durability:
        """What the bucket of that name asks of a write; of one that is not open, such as the ring's, everything."""
        found = self.opened.get(name)
        return ALWAYS if found is None else found.lasting

    def conflict(self, bucket: BucketConfig) -> BucketConfig | None:
        """Another definition that already has this name here."""
        known = self.opened.get(bucket.name) or self._promised.get(bucket.name)
        return known if known is not None and known != bucket else None

    def promise(self, bucket: BucketConfig) -> Meta:
        """Accept no other definition under this name; the fact to make durable."""
        if bucket.name not in self._promised:
            self._promised[bucket.name] = bucket
            self._stored.promised.append(bucket)
        return self._meta()

    def open(self, bucket: BucketConfig) -> Meta:
        """Open it for use; the fact to make durable."""
        self.promise(bucket)
        if bucket.name not in self._stored.opened:
            self._stored.opened.append(bucket.name)
        self.opened.setdefault(bucket.name, bucket)
        return self._meta()

    def _meta(self) -> Meta:
        return Meta(META, msgspec.msgpack.encode(self._stored))
