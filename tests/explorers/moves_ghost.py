"""A proposal whose proposer dies half way: promises of one majority, accepts of whom the schedule likes."""

from __future__ import annotations

import random

from msgspec import Struct

from kvstore.config import majority
from kvstore.envelope import Rid, opened, sealed
from kvstore.events import NO_TAG, Tag
from kvstore.messages_cas import Accept, Accepted, Prepare, Promise
from tests.explorers.moves_node import BUCKET, KEY

GHOST = "ghost"


class Ghost:
    """Writes `value` if there is none (compare-and-set), else has what it met accepted anew."""

    def __init__(self, number: int, rng: random.Random, weak: bool) -> None:
        self.most = 1 if weak and rng.random() < 0.7 else 9  # accepts before it dies
        self.number = number
        self.value = b"%d" % number
        self.ballot = Tag((1 << 30) + rng.randint(1, 9), f"ghost{number}", 1)
        self.promises: dict[str, Promise] = {}
        self.accepts: set[str] = set()
        self.state: bytes | None = None  # to be accepted, once a majority has promised
        self.took = self.chosen = self.ended = False
        self.need = 0

    def next(self, name: str, size: int) -> Prepare | Accept | None:
        """What it says next to that acceptor, one of `size`."""
        self.need = majority(size)
        body = (BUCKET.name, KEY, 0, 1, 1e6, self.ballot)
        if self.state is not None:
            done = name in self.accepts or len(self.accepts) >= self.most
            return None if done else Accept(2, *body, self.state)
        return None if name in self.promises else Prepare(1, *body)

    def told(self, name: str, answer: Struct) -> None:
        """An acceptor's answer; a nack tells a ghost nothing."""
        if isinstance(answer, Promise) and self.state is None:
            self.promises[name] = answer
            if len(self.promises) == self.need:
                best = max(self.promises.values(), key=lambda promise: promise.tag)
                met = opened(best.value)
                self.took = best.tag == NO_TAG or met.value is None
                self.state = (
                    sealed(met.changed(Rid(self.value, 1), self.value, 0)) if self.took else best.value
                )
        elif isinstance(answer, Accepted):
            self.accepts.add(name)
            self.chosen = len(self.accepts) >= self.need
