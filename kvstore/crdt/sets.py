"""or-set: an add wins over a concurrent removal, because the removal cannot have seen the add's dot (ORSWOT).

    A  add x ─► {x: {a1}} ───────────────► add x ─► {x: {a2}}     the new dot takes the place of those seen
    B              └─► remove x ─► {} under {a1}                  join: a2 is not covered at B, so x stays

Two historical mistakes of this join can be switched on; both are caught by its laws on reachable states
(`tests/kvstore/test_crdt_laws.py`):

    orswot.union_if_both        an element on both sides keeps all its dots (riak_dt #82): not associative
    orswot.dominance_shortcut   the side with the greater clock is taken whole (riak_dt #78): a removal moves no clock
"""

from __future__ import annotations

from kvstore.causal import Actor, Causal, Context, Store
from kvstore.crdt.base import CausalType, Change


class OrSet(CausalType):
    """A set of byte strings."""

    name = "or-set"

    def update(self, state: Causal, change: Change, actor: Actor) -> Causal:
        """Add elements, each under a dot of its own: one removed must not take another with it."""
        if change.verb != "add":
            raise self.unknown(change)
        return added(state, state.store, change.items, actor)

    def join(self, mine: Causal, theirs: Causal, bugs: frozenset[str]) -> Causal:
        """The least upper bound."""
        if "orswot.dominance_shortcut" in bugs:
            if theirs.context.within(mine.context):
                return mine
            if mine.context.within(theirs.context):
                return theirs
        made = mine.join(theirs)
        if "orswot.union_if_both" in bugs:
            store = dict(made.store)
            for element in mine.store.keys() & theirs.store.keys():
                store[element] = {**mine.store[element], **theirs.store[element]}
            return Causal(made.context, store)
        return made

    def values(self, state: Causal) -> list[bytes]:
        """The elements, sorted."""
        return sorted(state.store)


def added(state: Causal, store: Store, elements: tuple[bytes, ...], actor: Actor) -> Causal:
    """The delta that adds the elements to `store`, a set somewhere in `state`."""
    top = state.context.top(actor)
    fresh: Store = {}
    covered = []
    for n, element in enumerate(dict.fromkeys(elements), top + 1):
        dot = (*actor, n)
        fresh[element] = {dot: None}
        covered += [dot, *store.get(element, {})]
    return Causal(Context({}, covered), fresh)
