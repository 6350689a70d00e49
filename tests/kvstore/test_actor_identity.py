"""The table of the actor identities: what happens when a replica forgets one key and goes on giving out dots.

Random schedules of one key at three replicas: writes with the context of an earlier read, merges of whole states, and
now and then a replica that loses the key. The oracle keeps, for each write, the set of writes it has replaced. A lost
sibling is an acknowledged write that some replica held at the end of its schedule, that nobody replaced, and that is
gone once all states are merged.

    lost in 20,000     per key   node-wide   (node, incarnation)   (node, key epoch)
    vector               3,199       1,464                     0                   0
    ours                 3,217           -                     0                   0

Two containers: the bare version vector of the textbooks, and ours, whose context is a set of dots. QUORATE_FUZZ sets
the number of schedules; `make nightly` takes 20,000.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from kvstore.actors import BLOCK, Actors
from kvstore.causal import NOTHING, Actor, Causal, Context, put

SCHEDULES = min(int(os.environ.get("QUORATE_FUZZ", "1500")), 20_000)
NODES = ("a", "b", "c")


class Vector:
    """The textbook's container: a version vector and the values under dots."""

    def __init__(self) -> None:
        self.seen: dict[Actor, int] = {}
        self.dots: dict[tuple[str, int, int], int] = {}

    def copy(self) -> Vector:
        made = Vector()
        made.seen, made.dots = dict(self.seen), dict(self.dots)
        return made

    def top(self, actor: Actor) -> int:
        return self.seen.get(actor, 0)

    def context(self) -> Vector:
        return self.copy()

    def put(self, actor: Actor, n: int, value: int, context: Vector) -> None:
        self.dots = {dot: v for dot, v in self.dots.items() if dot[2] > context.top(dot[:2])}
        self._see(context.seen)
        self.seen[actor] = max(self.top(actor), n)
        self.dots[(*actor, n)] = value

    def sync(self, other: Vector) -> None:
        mine = {d: v for d, v in self.dots.items() if d in other.dots or d[2] > other.top(d[:2])}
        theirs = {d: v for d, v in other.dots.items() if d in self.dots or d[2] > self.top(d[:2])}
        self.dots = {**mine, **theirs}
        self._see(other.seen)

    def _see(self, seen: dict[Actor, int]) -> None:
        for actor, n in seen.items():
            self.seen[actor] = max(n, self.top(actor))

    def values(self) -> set[int]:
        return set(self.dots.values())


class Exact:
    """Ours behind the same face."""

    def __init__(self, state: Causal | None = None) -> None:
        self.state = state or Causal()

    def copy(self) -> Exact:
        return Exact(self.state)

    def top(self, actor: Actor) -> int:
        return self.state.context.top(actor)

    def context(self) -> Exact:
        return self

    def put(self, actor: Actor, n: int, value: int, context: Exact) -> None:
        seen = context.state.context
        delta = Causal(Context(seen.vector, [*seen.cloud, (*actor, n)]), {(*actor, n): b"%d" % value})
        if n == self.top(actor) + 1:
            assert delta == put(self.state, actor, lambda dot: {dot: b"%d" % value}, seen=seen)
        self.state = self.state.join(delta)

    def sync(self, other: Exact) -> None:
        self.state = self.state.join(other.state)

    def values(self) -> set[int]:
        return {int(value) for value in self.state.store.values()}


@dataclass
class Replica:
    node: str
    store: Vector | Exact
    actors: Actors
    epoch: int = 0
    counter: int = 0  # node-wide
    lives: int = 0
    known: set[int] = field(default_factory=set)


Allocate = Callable[[Replica, "Vector | Exact"], tuple[Actor, int]]


def per_key(replica: Replica, context: Vector | Exact) -> tuple[Actor, int]:
    actor = (replica.node, 0)
    return actor, replica.store.top(actor) + 1


def node_wide(replica: Replica, context: Vector | Exact) -> tuple[Actor, int]:
    replica.counter += 1
    return (replica.node, 0), replica.counter


def incarnation(replica: Replica, context: Vector | Exact) -> tuple[Actor, int]:
    actor = (replica.node, replica.lives)
    return actor, replica.store.top(actor) + 1


def key_epoch(replica: Replica, context: Vector | Exact) -> tuple[Actor, int]:
    """`kvstore.actors`' rule."""
    actor = (replica.node, replica.epoch)
    if not replica.epoch or context.top(actor) > replica.store.top(actor):
        while (epoch := replica.actors.fresh()) is None:
            assert replica.actors.renew() is not None
            replica.actors.leased()
        replica.epoch = epoch
        actor = (replica.node, epoch)
    return actor, replica.store.top(actor) + 1


def loses_a_sibling(seed: int, allocate: Allocate, container: type[Vector] | type[Exact]) -> bool:
    rng = random.Random(seed)
    replicas = [Replica(node, container(), Actors(None, rng)) for node in NODES]
    replaces: dict[int, frozenset[int]] = {}
    reads: list[tuple[Vector | Exact, frozenset[int]]] = [(container(), frozenset())]
    forgets = rng.randrange(4, 14)
    for step in range(16):
        one, other = rng.sample(replicas, 2)
        if step == forgets:
            one.store, one.epoch, one.known = container(), 0, set()
            one.lives += 1
        elif rng.random() < 0.45:
            context, seen = rng.choice(reads[-4:])
            actor, n = allocate(one, context)
            one.store.put(actor, n, step, context)
            replaces[step] = seen
            one.known.add(step)
        elif rng.random() < 0.6:
            one.store.sync(other.store.copy())
            one.known |= other.known
        else:
            seen = frozenset(one.known).union(*(replaces[value] for value in one.known))
            reads.append((one.store.copy(), seen))
    survivors = set().union(*(replica.known for replica in replicas))
    replaced = set[int]().union(*(replaces[value] for value in survivors))
    merged = container()
    for replica in replicas:
        merged.sync(replica.store)
    return bool(survivors - replaced - merged.values())


ROWS = [
    (per_key, Vector, True),
    (node_wide, Vector, True),
    (incarnation, Vector, False),
    (key_epoch, Vector, False),
    (per_key, Exact, True),
    (incarnation, Exact, False),
    (key_epoch, Exact, False),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("allocate", "container", "guilty"), ROWS, ids=[f"{a.__name__}-{c.__name__}" for a, c, _ in ROWS]
)
def test_table_of_actor_identities(
    allocate: Allocate, container: type[Vector] | type[Exact], guilty: bool
) -> None:
    lost = sum(loses_a_sibling(seed, allocate, container) for seed in range(SCHEDULES))
    assert (lost > 0) is guilty, f"{lost} of {SCHEDULES} schedules lost an acknowledged sibling"


def test_no_epoch_is_given_out_twice_over_crashes_and_empty_disks() -> None:
    rng = random.Random(3)
    given: list[int] = []
    stored = None
    for life in range(40):
        if life % 7 == 6:
            stored = None  # an empty disk
        actors = Actors(stored, rng)
        for _ in range(rng.randrange(3)):
            while (epoch := actors.fresh()) is None:
                meta = actors.renew()
                assert meta is not None
                stored = meta.value
                actors.leased()
            given.append(epoch)
            assert actors.ours(epoch)
    assert len(given) > 30
    assert len(set(given)) == len(given)


def test_an_epoch_waits_for_its_lease() -> None:
    actors = Actors(None, random.Random(1))
    assert actors.fresh() is None
    meta = actors.renew()
    assert meta is not None
    assert actors.renew() is None  # it is on its way
    assert actors.fresh() is None  # and not durable yet
    actors.leased()
    assert len({actors.fresh() for _ in range(BLOCK)} - {None}) == BLOCK
    assert actors.fresh() is None
    assert actors.renew() is not None
    assert NOTHING.top(("a", 1)) == 0


def test_an_epoch_is_an_integer_that_resp_can_carry() -> None:
    class Highest:
        def random(self) -> float:
            return 1.0 - 2.0**-53

    actors = Actors(None, Highest())
    assert actors.renew() is not None
    actors.leased()
    epoch = actors.fresh()
    assert epoch is not None
    assert 1 << 62 < epoch < 1 << 63
