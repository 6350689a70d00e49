"""Conflict-free replicated data types: what several replicas were told, in whatever order, and one value of it.

    Change ──► update(state, change, actor) ──► delta          state.join(delta)          at the replica that coordinates
                                                delta or state ──► join(mine, theirs)      at every other

    type            updates            concurrent                                  state
    g-counter       add n >= 0         all count                                   {actor: its own total}
    pn-counter      add n              all count                                   {actor: its own totals}
    lww-register    write              the greater tag wins                        (tag, value)
    mv-register     write              side by side, until one that saw them       causal: {dot: value}
    ew-flag         on, off            on wins                                     causal: {dot: ·} of the ons
    dw-flag         on, off            off wins; begins on                         causal: {dot: ·} of the offs
    or-set          add, remove        add wins                                    causal: {element: {dot: ·}}
    or-map          fields of those    an update wins over a removal of its field  causal: {field: …}

`join` is the least upper bound: commutative, associative, idempotent; `update` only moves up. Equal states have equal
bytes (`encode`), so a digest of the bytes compares replicas. Removals of the causal types are `causal.removal` of the
dots seen; no type keeps tombstones.

From: Shapiro, Preguiça, Baquero, Zawirski, A comprehensive study of convergent and commutative replicated data types
(2011); Bieniusa et al., An optimized conflict-free replicated set (2012), for `or-set`; Almeida, Shoker, Baquero (2018).
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import msgspec

from kvstore.causal import Actor
from kvstore.crdt.base import Change, Type
from kvstore.crdt.counter import Counter
from kvstore.crdt.lww import LwwRegister
from kvstore.crdt.maps import OrMap
from kvstore.crdt.registers import Flag, MvRegister
from kvstore.crdt.sets import OrSet

NO_BUGS: Final[frozenset[str]] = frozenset()
TYPES: Final[dict[str, Type]] = {
    kind.name: kind
    for kind in (
        Counter("g-counter", grows=True),
        Counter("pn-counter", grows=False),
        LwwRegister(),
        MvRegister(),
        Flag("ew-flag", marks=b"on"),
        Flag("dw-flag", marks=b"off"),
        OrSet(),
        OrMap(),
    )
}


def encode(kind: Type, state: Any) -> bytes:
    """The state's canonical bytes: its type's name, then sorted plain data."""
    return msgspec.msgpack.encode([kind.name, *kind.pack(state)])


@lru_cache(maxsize=4096)
def decode(data: bytes) -> tuple[Type, Any]:
    """The type and the state in these bytes. Raises ValueError. States are shared: never change one in place."""
    try:
        name, *packed = msgspec.msgpack.decode(data)
        kind = TYPES[name]
    except (msgspec.DecodeError, TypeError, ValueError, KeyError):
        raise ValueError("these bytes are no state of a known type") from None
    return kind, kind.unpack(packed)


def merge(mine: bytes, theirs: bytes, bugs: frozenset[str] = NO_BUGS) -> bytes:
    """The join of two encoded states of one type."""
    if mine == theirs:
        return mine
    kind, here = decode(mine)
    other, there = decode(theirs)
    if kind is not other:
        raise ValueError(f"a {kind.name} cannot be joined with a {other.name}")
    return encode(kind, kind.join(here, there, bugs))


def digest(data: bytes) -> str:
    """Eight bytes of hash in hex: equal for equal states."""
    return blake2b(data, digest_size=8).hexdigest()


__all__ = ["NO_BUGS", "TYPES", "Actor", "Change", "Type", "decode", "digest", "encode", "merge"]
