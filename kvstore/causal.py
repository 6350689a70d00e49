"""Which updates a replica has seen, and which of them still stand: version vectors, dots, and the one join of both.

    dot       (node, epoch, n): the n-th update of one key by one *actor*, a node in one of its epochs
    context   every dot seen: a version vector, and the few dots above it that came before their predecessors
    store     the dots that still stand, each with a value, or a tree of such:

        siblings       {dot: value}                       what nobody who saw it has replaced
        set            {element: {dot: ·}}                the adds nobody has removed
        map            {field: {dot: ·} or {element: …}}  both at once, under one context

    join      a dot stays if both sides have it, or if one has it and the other's context does not cover it:
              the other never saw it. What is covered and not there was replaced or removed.

A removal leaves nothing behind but the context, and a *delta* is a state as small as its update: its context
holds exactly the dots the update makes and removes. That is why a context is not a bare vector: the vector
{a: 5} would claim the dots 1 to 4 too, and joined with a replica that never had them it would lose them.

Rule: an actor never gives out one dot twice. A replica that may have forgotten what it gave out takes a new
epoch: see `kvstore.actors`.

From: Preguiça, Baquero, Almeida, Fonte, Gonçalves, Dotted version vectors (2010); Almeida, Shoker, Baquero, Delta
state replicated data types (2018), section 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Actor = tuple[str, int]
Dot = tuple[str, int, int]
Store = dict[Any, Any]  # {Dot: bytes | None}, or {bytes: Store}


class Context:
    """A set of dots. Immutable; equal sets have equal parts.

    `vector` maps an actor to the n up to which all its dots are in; `cloud` holds the others.
    """

    __slots__ = ("cloud", "vector")

    def __init__(self, vector: dict[Actor, int] | None = None, cloud: Iterable[Dot] = ()) -> None:
        self.vector = dict(vector or {})
        above: list[Dot] = []
        for dot in sorted(set(cloud)):
            actor, top = dot[:2], self.vector.get(dot[:2], 0)
            if dot[2] == top + 1:
                self.vector[actor] = dot[2]
            elif dot[2] > top:
                above.append(dot)
        self.cloud = frozenset(above)

    def covers(self, dot: Dot) -> bool:
        """Was this update seen?"""
        return dot[2] <= self.vector.get(dot[:2], 0) or dot in self.cloud

    def within(self, other: Context) -> bool:
        """Has the other seen all of it?"""
        return all(other.vector.get(actor, 0) >= n for actor, n in self.vector.items()) and all(
            map(other.covers, self.cloud)
        )

    def join(self, other: Context) -> Context:
        """What either has seen."""
        vector = dict(self.vector)
        for actor, n in other.vector.items():
            if n > vector.get(actor, 0):
                vector[actor] = n
        return Context(vector, self.cloud | other.cloud)

    def top(self, actor: Actor) -> int:
        """The highest n of an actor in it; 0 if there is none."""
        return max([self.vector.get(actor, 0), *(dot[2] for dot in self.cloud if dot[:2] == actor)])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Context) and (self.vector, self.cloud) == (other.vector, other.cloud)

    def __hash__(self) -> int:
        return hash((tuple(sorted(self.vector.items())), self.cloud))

    def __repr__(self) -> str:
        return f"Context({self.vector}, {sorted(self.cloud)})"

    def pack(self) -> list[list[Dot]]:
        """Plain data, the same for equal contexts."""
        return [sorted((node, epoch, n) for (node, epoch), n in self.vector.items()), sorted(self.cloud)]

    @classmethod
    def unpack(cls, packed: Any) -> Context:
        """The inverse of `pack`. Raises ValueError on anything else."""
        try:
            vector, cloud = packed
            return cls({dot[:2]: dot[2] for dot in map(_dot, vector)}, map(_dot, cloud))
        except (TypeError, ValueError) as error:
            raise ValueError(f"this is no context: {error}") from None


NOTHING = Context()


class Causal:
    """A store under its context: the state of a replica, or the delta of an update. Immutable."""

    __slots__ = ("context", "store")

    def __init__(self, context: Context = NOTHING, store: Store | None = None) -> None:
        self.context = context
        self.store: Store = {} if store is None else store

    def join(self, other: Causal) -> Causal:
        """What follows from both: commutative, associative, idempotent."""
        store = joined(self.store, self.context, other.store, other.context)
        return Causal(self.context.join(other.context), store)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Causal) and (self.context, self.store) == (other.context, other.store)

    def __hash__(self) -> int:
        return hash(self.context)

    def __repr__(self) -> str:
        return f"Causal({self.context}, {self.store})"

    def pack(self) -> list[Any]:
        """Plain data, the same for equal states."""
        return [*self.context.pack(), pack_store(self.store)]

    @classmethod
    def unpack(cls, packed: Any) -> Causal:
        """The inverse of `pack`. Raises ValueError."""
        try:
            vector, cloud, store = packed
            return cls(Context.unpack((vector, cloud)), _unpack_store(store))
        except TypeError as error:
            raise ValueError(f"this is no causal state: {error}") from None


def joined(mine: Store, seen: Context, theirs: Store, their_seen: Context) -> Store:
    """The join's rule, dot by dot; a branch with nothing left is dropped."""
    kept: Store = {}
    for key, here in mine.items():
        if type(key) is tuple:
            if key in theirs or not their_seen.covers(key):
                kept[key] = here
        elif below := joined(here, seen, theirs.get(key, {}), their_seen):
            kept[key] = below
    for key, there in theirs.items():
        if key in mine:
            continue
        if type(key) is tuple:
            if not seen.covers(key):
                kept[key] = there
        elif below := joined({}, seen, there, their_seen):
            kept[key] = below
    return kept


def dots_of(store: Store) -> Iterator[Dot]:
    """Every dot in a store."""
    for key, below in store.items():
        if type(key) is tuple:
            yield key
        else:
            yield from dots_of(below)


def put(
    state: Causal,
    actor: Actor,
    make: Callable[[Dot], Store],
    replaced: Iterable[Dot] = (),
    seen: Context = NOTHING,
) -> Causal:
    """The delta of an update: the actor's next dot stands in `make(dot)`, for the `replaced` dots and all of `seen`."""
    dot = (*actor, state.context.top(actor) + 1)
    return Causal(Context(seen.vector, [*seen.cloud, *replaced, dot]), make(dot))


def removal(dots: Iterable[Dot]) -> Causal:
    """The delta of a removal. It needs no actor and may meet a replica that never had these dots."""
    return Causal(Context({}, dots))


def pack_store(store: Store) -> list[Any]:
    """Leaves as [node, epoch, n, value], branches as [key, below], sorted."""
    return [
        [*key, store[key]] if type(key) is tuple else [key, pack_store(store[key])] for key in sorted(store)
    ]


def _unpack_store(packed: Any) -> Store:
    store: Store = {}
    for entry in packed:
        if len(entry) == 4:
            store[_dot(entry[:3])] = entry[3]
        else:
            key, below = entry
            if not isinstance(key, bytes):
                raise ValueError(f"{key!r} is no key of a store")
            store[key] = _unpack_store(below)
    return store


def _dot(packed: Any) -> Dot:
    node, epoch, n = packed
    if not (isinstance(node, str) and isinstance(epoch, int) and isinstance(n, int) and n > 0):
        raise ValueError(f"{packed!r} is no dot")
    return node, epoch, n
