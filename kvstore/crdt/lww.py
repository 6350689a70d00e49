"""lww-register: the write with the greater tag wins. Writes need no actor, only a clock: see `kvstore.hlc`."""

from __future__ import annotations

from typing import Any

from kvstore.causal import Actor
from kvstore.crdt.base import Change, ChangeError
from kvstore.events import NO_TAG, Tag

State = tuple[Tag, bytes | None]


class LwwRegister:
    """The pair of a tag and the value written under it; None is a tombstone."""

    name = "lww-register"

    def empty(self) -> State:
        """Never written."""
        return NO_TAG, None

    def join(self, mine: State, theirs: State, bugs: frozenset[str]) -> State:
        """The greater tag. No tag is given to two values."""
        return theirs if theirs[0] > mine[0] else mine

    def update(self, state: State, change: Change, actor: Actor) -> State:
        """Its writes are made by the coordinator's clock, not by an actor."""
        raise ChangeError(f"the type {self.name} has no '{change.verb}'")

    def top(self, state: State, actor: Actor) -> int:
        """It has no actors."""
        return 0

    def values(self, state: State) -> list[bytes]:
        """The value, if there is one."""
        return [] if state[1] is None else [state[1]]

    def pack(self, state: State) -> list[Any]:
        """Tag and value."""
        return [state[0][:3], state[1]]

    def unpack(self, packed: Any) -> State:
        """The inverse. Raises ValueError."""
        try:
            (hlc, node, incarnation), value = packed
        except (TypeError, ValueError) as error:
            raise ValueError(f"this is no lww-register: {error}") from None
        return Tag(hlc, node, incarnation), value
