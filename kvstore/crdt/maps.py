"""or-map: named fields, each a register, a set or a flag, all under one context.

    {b"r:name": {dot: b"Ann", dot: b"Anne"},  b"s:tags": {b"x": {dot: ·}},  b"f:paid": {dot: ·}}

A removed field is reset: what the remover saw of it goes, what was concurrent stays, and with it the field. One field is
a name *and* a type, so that two clients who first use a name at the same time cannot give it two meanings; they then
have two fields. Dots are not shared between fields, or a removal of one would take the other with it (riak_dt #90).

There are no counters in maps. An actor's total stands under one dot, and an increment moves it to a new one; a removal
that did not see the increment would then remove nothing of it, although it saw all but one (riak_dt #53).
"""

from __future__ import annotations

from typing import Final

from kvstore.causal import Actor, Causal, put
from kvstore.crdt.base import CausalType, Change
from kvstore.crdt.sets import added

REGISTER: Final = b"r:"
SET: Final = b"s:"
FLAG: Final = b"f:"


class OrMap(CausalType):
    """A map of fields. `values` is the field names; a command shows what is in them with `shown`."""

    name = "or-map"

    def update(self, state: Causal, change: Change, actor: Actor) -> Causal:
        """`set` a register field, `add` to a set field, or `mark` a flag field (on), in place of what is seen there."""
        if change.verb == "set":
            key, value = REGISTER + change.field, change.items[0]
            return put(state, actor, lambda dot: {key: {dot: value}}, replaced=state.store.get(key, {}))
        if change.verb == "mark":
            key = FLAG + change.field
            return put(state, actor, lambda dot: {key: {dot: None}}, replaced=state.store.get(key, {}))
        if change.verb == "add":
            key = SET + change.field
            delta = added(state, state.store.get(key, {}), change.items, actor)
            return Causal(delta.context, {key: delta.store})
        raise self.unknown(change)

    def values(self, state: Causal) -> list[bytes]:
        """The fields, sorted, each with its type before it."""
        return sorted(state.store)


def shown(state: Causal) -> dict[bytes, list[bytes]]:
    """Each field's values: a register's siblings, a set's elements, b"1" for a flag that is on."""
    made: dict[bytes, list[bytes]] = {}
    for key in sorted(state.store):
        store = state.store[key]
        if key.startswith(SET):
            made[key] = sorted(store)
        elif key.startswith(FLAG):
            made[key] = [b"1"]
        else:
            made[key] = [store[dot] for dot in sorted(store)]
    return made
