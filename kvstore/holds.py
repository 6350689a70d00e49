"""Promises in hand: what spares a node the prepare of its next change of a key (`kvstore.caspaxos.Held`, rule 5).

    accept b, "and promise b' " ──► a majority accepts both ──► put(b', state)         change ──► take ──► accept b' at once

It is memory only, and safe to lose. A promise was made by the replicas of one plan of the ring: under another it is worthless. It is
taken out to be used, so no ballot is used twice. While a partition moves nothing is held.
"""

from __future__ import annotations

from typing import Final

from kvstore.caspaxos import Held
from kvstore.document import META
from kvstore.flows.steps import Op
from kvstore.view import Plan, View

HELD_MAX: Final = 4096
HELD_VALUE_BYTES_MAX: Final = 2048  # of each: 8 MiB in all


class Holds:
    """What is held, by bucket and key; the oldest goes first."""

    __slots__ = ("_held", "_view")

    def __init__(self, view: View) -> None:
        self._view = view
        self._held: dict[tuple[str, bytes], tuple[Plan, Held]] = {}

    def put(self, op: Op, held: Held) -> None:
        """A quorum of `op.plan` has promised."""
        plan = op.plan
        if (
            plan is None
            or plan.moving
            or op.partition == META
            or len(held.value or b"") > HELD_VALUE_BYTES_MAX
        ):
            return
        if len(self._held) >= HELD_MAX:
            del self._held[next(iter(self._held))]
        self._held[op.bucket.name, op.key] = (plan, held)

    def take(self, op: Op) -> Held | None:
        """What is held for the key of this op, for it alone; None if nothing is, or the ring has changed since."""
        found = self._held.pop((op.bucket.name, op.key), None)
        if found is None:
            return None
        plan, held = found
        return held if self._view.plan(op.partition, op.bucket.n) is plan else None
