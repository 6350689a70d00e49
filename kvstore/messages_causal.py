"""Messages of the classes `siblings` and `crdt`. What replicates a state, or reads one, is Store, Repair and Query.

    coordinator                         one replica, the actor
        │  Apply ──────────────────────────► │   make this change, once, under a dot of yours
        │ ◄───────────────────────── Applied │   done and durable; this is my state now
        │ ◄─────────────────────── OtherLife │   you think of a process that is no more; nothing was done
        │ ◄───────────────────────── Refused │   I cannot, and will not if a double of your message comes

A change is not idempotent, so an actor remembers the requests it has seen. It forgets them when it crashes: `life` is
a number it draws when it starts, and a message to an earlier life is refused.
"""

from __future__ import annotations

import msgspec

from kvstore.causal import Dot
from kvstore.crdt.base import Change


class Apply(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=50):
    """Asks a replica to make a change. `complete`: every other replica's state has been merged into its own before."""

    request: int
    bucket: str
    key: bytes
    partition: int
    epoch: int
    deadline_ms: float
    life: int
    change: Change
    complete: bool = False


class Applied(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=51):
    """The change is durable there. `state` is the replica's, encoded; `dots` are the ones it gave to the change."""

    request: int
    state: bytes
    dots: tuple[Dot, ...] = ()


class OtherLife(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=52):
    """The replica lives another life, namely `life`, and did nothing."""

    request: int
    life: int
