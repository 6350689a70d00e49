"""The nodes of `moves`: the store's own, with everything they do of their own accord switched off, and one rule left out if asked for."""

from __future__ import annotations

import random
from itertools import count

from kvstore.acceptor import PROMISES, Acceptor
from kvstore.config import BucketConfig, bucket, node_config
from kvstore.document import Document, packed
from kvstore.driver import Driver
from kvstore.engine_memory import MemoryEngine
from kvstore.events import Clock, Effect, Event, Meta, Record
from kvstore.node import Node
from kvstore.ring import partition_of
from kvstore.transfer import Transfer
from kvstore.view import Plan, View

KEY = next(key for key in (b"k%d" % number for number in count()) if partition_of(key) == 0)
BUCKET = bucket("default", "cas")
NEVER_MS = 3_600_000.0  # as much as a node takes; no schedule is as long
RULES = (  # those that can be left out here; besides them, the flags `join.*` of `kvstore.bugs`
    "no_streaming",
    "no_promises_streamed",
    "states_before_promises",
    "copies_before_promises",
    "no_accept_anew",
    "prepare_old_only",
)


class Idle(Driver):
    """Drives nothing: that is left to the explorer."""

    def tick(self) -> None:
        pass


class StatesFirst(Transfer):
    """Streams states before promises."""

    def _streamed(self, bucket: BucketConfig) -> tuple[str, ...]:
        return (bucket.name, PROMISES + bucket.name)


class NoPromises(Transfer):
    """Streams states alone."""

    def _streamed(self, bucket: BucketConfig) -> tuple[str, ...]:
        self._bound.update({(bucket.name, partition): epoch for partition, epoch in self._pulls})
        return (bucket.name,)


class Careless(Transfer):
    """Takes copies at any time."""

    def refuses(self, name: str, key: bytes) -> bool:
        return False


class Content(Acceptor):
    """Thinks that it lacks nothing, so nothing is accepted anew."""

    __slots__ = ()

    def lacks(self, record: Record) -> bool:
        return False


class OldPromises(View):
    """Asks the old replicas alone to promise and to accept."""

    __slots__ = ()

    def _made(self, partition: int, n: int) -> Plan:
        plan = super()._made(partition, n)
        return plan._replace(writes=plan.reads * 2) if plan.moving else plan


TRANSFERS: dict[str, type[Transfer]] = {
    "no_promises_streamed": NoPromises,
    "states_before_promises": StatesFirst,
    "copies_before_promises": Careless,
}


class Machine:
    """A disk that syncs at once, the node on it, and what the node has asked to be woken for."""

    def __init__(self, name: str, names: list[str], document: Document, without: str) -> None:
        self.name, self.without = name, without
        self.disk = MemoryEngine()
        self.disk.commit([Meta("incarnation", b"0"), Meta("ring", packed(document))])
        bugs = frozenset([without]) if without.startswith("join.") else frozenset()
        self.config = node_config(
            name, {each: f"{each}:1" for each in names}, default=BUCKET, bugs=bugs, heartbeat_ms=NEVER_MS, gossip_ms=0.0,
            anti_entropy_ms=0.0, scrub_ms=0.0, max_clock_skew_ms=NEVER_MS,
        )  # fmt: skip
        self.life = 0
        self.timers: list[tuple[float, int]] = []
        self.node: Node

    def start(self, now_ms: float) -> list[Effect]:
        """A new life on the same disk."""
        self.life += 1
        self.timers.clear()
        node = self.node = Node(self.config, self.disk, random.Random(self.life))
        node.driver = Idle(node)
        if self.without in TRANSFERS:
            node.transfer = TRANSFERS[self.without](node)
            node.replica.unbound = node.transfer.refuses
        if self.without == "no_accept_anew":
            node.acceptor.__class__ = Content
        if self.without == "prepare_old_only":
            node.view.__class__ = OldPromises
        return node.start(Clock(now_ms, now_ms))

    def step(self, now_ms: float, event: Event) -> list[Effect]:
        """One event."""
        return self.node.step(Clock(now_ms, now_ms), event)
