"""What a type is made of, and what a change says."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from kvstore.causal import NOTHING, Actor, Causal, Context


class ChangeError(Exception):
    """The type has no such change, or a bound is broken: one sentence. Nothing was done."""


class Change(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a client asks of the replica that coordinates. Which parts have a meaning, `verb` says.

    `seen` is a packed context: what the client had read. `rid` names a request so that its retry is known.
    """

    verb: str
    items: tuple[bytes, ...] = ()
    field: bytes = b""
    amount: int = 0
    rid: bytes = b""
    seen: Any = None

    @property
    def context(self) -> Context:
        """What the client had seen."""
        return NOTHING if self.seen is None else Context.unpack(self.seen)


class Type(Protocol):
    """One type. States are immutable."""

    name: str

    def empty(self) -> Any:
        """The state before any update."""

    def join(self, mine: Any, theirs: Any, bugs: frozenset[str]) -> Any:
        """The least upper bound."""

    def update(self, state: Any, change: Change, actor: Actor) -> Any:
        """The delta of a change made by this actor. Raises ChangeError."""

    def top(self, state: Any, actor: Actor) -> int:
        """How many updates of the actor the state knows."""

    def values(self, state: Any) -> list[bytes]:
        """What it stands for, as a client sees it."""

    def pack(self, state: Any) -> list[Any]:
        """Plain data for msgpack, the same for equal states."""

    def unpack(self, packed: Any) -> Any:
        """The inverse of `pack`. Raises ValueError."""


class CausalType:
    """What the types have in common whose state is `causal.Causal`."""

    name = ""

    def empty(self) -> Causal:
        """Nothing seen."""
        return Causal()

    def join(self, mine: Causal, theirs: Causal, bugs: frozenset[str]) -> Causal:
        """The least upper bound."""
        return mine.join(theirs)

    def top(self, state: Causal, actor: Actor) -> int:
        """How many dots of the actor the state knows."""
        return state.context.top(actor)

    def pack(self, state: Causal) -> list[Any]:
        """Plain data."""
        return state.pack()

    def unpack(self, packed: Any) -> Causal:
        """The inverse. Raises ValueError."""
        return Causal.unpack(packed)

    def unknown(self, change: Change) -> ChangeError:
        """What to raise for a verb that is not the type's."""
        return ChangeError(f"the type {self.name} has no '{change.verb}'")
