"""g-counter and pn-counter: every actor adds to totals of its own; the value is the sum of all.

    {(n1, 7): (3 updates, +5, -1, last request ids),  (n2, 4): (1, +2, -0, …)}      value 6      join: the entry with more updates

An entry is written by one actor only, so of two versions of it the one with more updates contains the other.

Adding is not idempotent: a client that repeats a request whose answer it did not get would count twice. A request may
therefore carry an id; an entry remembers its last 16, and an add whose id is among them changes nothing. The id chooses
the actor too (`flows.causal`), so that a repetition comes to where the first may have been, as long as that is a replica.
"""

from __future__ import annotations

from typing import Any, Final

from kvstore.causal import Actor
from kvstore.crdt.base import Change, ChangeError

RIDS_MAX: Final = 16
TOTAL_MAX: Final = (1 << 63) - 1

Entry = tuple[int, int, int, tuple[bytes, ...]]  # updates, added, subtracted, request ids
State = dict[Actor, Entry]
_NEW: Final[Entry] = (0, 0, 0, ())


class Counter:
    """One of the two counters. `grows`: additions only."""

    def __init__(self, name: str, *, grows: bool) -> None:
        self.name = name
        self._grows = grows

    def empty(self) -> State:
        """Zero."""
        return {}

    def join(self, mine: State, theirs: State, bugs: frozenset[str]) -> State:
        """Of each actor the entry with more updates."""
        made = dict(mine)
        for actor, entry in theirs.items():
            if entry[0] > made.get(actor, _NEW)[0]:
                made[actor] = entry
        return made

    def update(self, state: State, change: Change, actor: Actor) -> State:
        """Add `amount`; the delta is the actor's new entry."""
        if change.verb != "add":
            raise ChangeError(f"the type {self.name} has no '{change.verb}'")
        if self._grows and change.amount < 0:
            raise ChangeError(f"a {self.name} only grows; {change.amount} needs a pn-counter")
        if change.rid and self.knows(state, change.rid):
            return {}
        updates, added, taken, rids = state.get(actor, _NEW)
        added, taken = added + max(change.amount, 0), taken + max(-change.amount, 0)
        if max(added, taken) > TOTAL_MAX or abs(self.value(state) + change.amount) > TOTAL_MAX:
            raise ChangeError("the counter would exceed 64 bits")
        if change.rid:
            rids = (*rids, change.rid)[-RIDS_MAX:]
        return {actor: (updates + 1, added, taken, rids)}

    def knows(self, state: State, rid: bytes) -> bool:
        """Was the request with this id carried out?"""
        return any(rid in entry[3] for entry in state.values())

    def requests(self, state: State, actor: Actor) -> tuple[bytes, ...]:
        """The ids of the last requests that this actor has carried out."""
        return state.get(actor, _NEW)[3]

    def value(self, state: State) -> int:
        """The sum."""
        return sum(added - taken for _, added, taken, _ in state.values())

    def top(self, state: State, actor: Actor) -> int:
        """How many updates of the actor the state knows."""
        return state.get(actor, _NEW)[0]

    def values(self, state: State) -> list[bytes]:
        """The sum as text; nothing if nobody ever added."""
        return [b"%d" % self.value(state)] if state else []

    def pack(self, state: State) -> list[Any]:
        """Entries, sorted."""
        return [[[*actor, *state[actor]] for actor in sorted(state)]]

    def unpack(self, packed: Any) -> State:
        """The inverse. Raises ValueError."""
        try:
            (entries,) = packed
            made: State = {}
            for node, epoch, updates, added, taken, rids in entries:
                made[str(node), int(epoch)] = (int(updates), int(added), int(taken), tuple(map(bytes, rids)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"this is no counter: {error}") from None
        return made
