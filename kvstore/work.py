"""What an op on a bucket of class `siblings` or `crdt` carries beyond `Op` (it is `op.more`), and how it is shown.

    KV.GET  -> {values: [v, …], ctx}     KV.PUT -> {acks, ctx}     KV.RAW -> {replica: {values, digest}}     GET -> v, or -SIBLINGS n

The context a read gives out covers all that was read. That of a write covers what the client passed and its own update,
and not what else its replica holds: the client has not seen that, and must not replace it with its next write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kvstore import crdt
from kvstore.causal import NOTHING, Causal, Context, Dot, Store, dots_of
from kvstore.contexts import TokenError, seal_context
from kvstore.crdt import Change, Type
from kvstore.events import Failure, Value
from kvstore.flows.steps import Op

if TYPE_CHECKING:
    from kvstore.node import Node

Select = Callable[[Store], Iterable[Dot]]


class Work:
    """State of one op. `kind` is the bucket's type."""

    __slots__ = (
        "change",
        "dots",
        "kind",
        "lives",
        "name",
        "reachable",
        "secret",
        "seen",
        "select",
        "state",
    )

    def __init__(self, node: Node, type_name: str) -> None:
        self.name = node.name
        self.secret = node.config.secret
        self.lives = node.lives
        self.reachable = node.reachable
        self.kind: Type = crdt.TYPES[type_name]
        self.change: Change | None = None  # for an actor to make
        self.seen: Context | None = None  # the client's context
        self.select: Select = dots_of  # what of a store a removal is about
        self.state: Any = self.kind.empty()  # what was read, or the actor's after the update
        self.dots: tuple[Dot, ...] = ()  # given to the update

    @property
    def takes_context(self) -> bool:
        """Has CTX a meaning for this type?"""
        return isinstance(self.state, Causal)

    @property
    def context(self) -> Context:
        """What the client has seen once it has the answer."""
        if self.change is None:
            return self.state.context if isinstance(self.state, Causal) else NOTHING
        seen = self.seen or NOTHING
        return Context(seen.vector, [*seen.cloud, *self.dots])

    def single(self) -> Value:
        """The one value, for a command that knows of one only."""
        if self.kind.name in ("or-set", "or-map"):
            return Failure("WRONGCLASS", f"the bucket's type is {self.kind.name}; read the key with KV.GET")
        values = self.kind.values(self.state)
        if len(values) > 1:
            return Failure("SIBLINGS", f"{len(values)} values stand beside each other; read them with KV.GET")
        return values[0] if values else None

    def shown(self, op: Op) -> Value:
        """The answer to KV.GET."""
        values: list[Value] = list(self.kind.values(self.state))
        try:
            return {"values": values, "tag": None, **self._sealed(op)}
        except TokenError as error:
            return Failure("BADARG", f"{error}; GET reads the value alone")

    def sealed(self, op: Op, answer: dict[str, Value]) -> Value:
        """The answer to a write, with its context; with none if that is too long, for the write has been done."""
        try:
            return {**answer, **self._sealed(op)}
        except TokenError:
            return {**answer, "ctx": None}

    def raw(self, data: bytes | None) -> Value:
        """One replica's state, for KV.RAW. Equal digests mean equal states."""
        if data is None:
            return {"values": [], "digest": None}
        kind, state = crdt.decode(data)
        return {"values": list(kind.values(state)), "digest": crdt.digest(data).encode()}

    def _sealed(self, op: Op) -> dict[str, Value]:
        if not self.takes_context:
            return {"ctx": None}
        return {"ctx": seal_context(self.secret, op.bucket.name, op.key, self.context)}
