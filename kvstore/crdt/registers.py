"""mv-register and the flags: values, or bare marks, that stand under dots of their own.

A flag is an or-set of one element. A boolean beside a version vector would not do: of two concurrent changes it
could not tell which one a third had seen.
"""

from __future__ import annotations

from kvstore.causal import Actor, Causal, put
from kvstore.crdt.base import CausalType, Change


class MvRegister(CausalType):
    """Concurrent writes stand side by side as siblings. The class `siblings` is this type."""

    name = "mv-register"

    def update(self, state: Causal, change: Change, actor: Actor) -> Causal:
        """Write a value for everything in the client's context: without one, it becomes a sibling of all there is."""
        if change.verb != "put":
            raise self.unknown(change)
        return put(state, actor, lambda dot: {dot: change.items[0]}, seen=change.context)

    def values(self, state: Causal) -> list[bytes]:
        """The siblings, in the order of their dots."""
        return [state.store[dot] for dot in sorted(state.store)]


class Flag(CausalType):
    """on or off. `marks` is the change that leaves a mark and so wins over a concurrent one of the other kind."""

    def __init__(self, name: str, *, marks: bytes) -> None:
        self.name = name
        self.marks = marks

    def update(self, state: Causal, change: Change, actor: Actor) -> Causal:
        """Leave a mark in place of those that are there."""
        if change.verb != "mark":
            raise self.unknown(change)
        return put(state, actor, lambda dot: {dot: None}, replaced=state.store)

    def values(self, state: Causal) -> list[bytes]:
        """1 for on, 0 for off; nothing for a flag that was never touched."""
        if state == self.empty():
            return []
        return [b"1" if bool(state.store) == (self.marks == b"on") else b"0"]
