"""Why a few operations on a register are impossible: two values that it would have to hold at the same time.

    write 1 |--|                   |--| read 1       forward zone of 1: from the first answer f to the last call s it surely is the value
                f══════════════════s
    write 2            |----|                        backward zone of 2: all its operations overlap, and at one instant of [s, f] it is the value
                       s────f

Two forward zones that overlap, or a backward zone strictly inside a forward one, cannot be. Whole histories are judged so in Rust
(`core/src/zones.rs`); this is for the operations of one core, to be drawn and told. Values that compare-and-sets replaced one by the other are one
chain with one zone. Reference: Gibbons & Korach, Testing shared memories, 1997.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from checkers.bespoke.calls import Call, plain, token

REGISTER = ("read", "write", "cas")
INITIAL = token(None)


@dataclass(frozen=True, slots=True)
class Zone:
    """A value, or a chain of them: `first` is the operation that returned first, at `f_ns`, and `last` the one called last, at `s_ns`.

    Of the value before any write `f_ns` is minus infinity, and `first` None.
    """

    values: tuple[Any, ...]
    f_ns: float
    s_ns: float
    first: int | None
    last: int | None

    @property
    def forward(self) -> bool:
        """Is it surely the value from f to s?"""
        return self.f_ns < self.s_ns

    @property
    def span_ns(self) -> tuple[float, float]:
        """From when to when."""
        return min(self.f_ns, self.s_ns), max(self.f_ns, self.s_ns)


def conflict(calls: Sequence[Call]) -> tuple[Zone, Zone] | None:
    """Two zones that are in each other's way, a forward one first; None if there are none, or the calls are not of one register with unique values."""
    taken = [call for call in calls if call.ok or (call.possible and call.f != "read")]
    if not taken or any(call.f not in REGISTER for call in calls) or len({token(call.key) for call in calls}) > 1:  # fmt: skip
        return None
    before = replaced(taken)
    if before is None:
        return None
    chains: dict[Hashable, list[Call]] = {}
    for call in taken:
        value = token(written(call) if call.f != "read" else call.result)
        while value in before:
            value = before[value]
        chains.setdefault(value, []).append(call)
    zones = [zone_of(root, chain) for root, chain in chains.items()]
    pairs = [(one, other) if one.forward else (other, one) for one, other in combinations(zones, 2)]
    return next((pair for pair in pairs if clash(*pair)), None)


def clash(one: Zone, other: Zone) -> bool:
    """Can the two not be? They overlap, or the other lies strictly inside: one inequality tells both, for f and s of a backward zone are turned."""
    return one.forward and one.f_ns < other.s_ns and other.f_ns < one.s_ns


def replaced(taken: Sequence[Call]) -> Mapping[Hashable, Hashable] | None:
    """For each value that a compare-and-set wrote, the one it replaced; None if values are not unique, or go in a circle."""
    writers = [token(written(call)) for call in taken if call.f != "read"]
    before = {token(call.value[1]): token(call.value[0]) for call in taken if call.f == "cas"}
    if len(set(writers)) < len(writers) or INITIAL in writers:
        return None
    for value in before:
        at, steps = value, 0
        while at in before:
            at, steps = before[at], steps + 1
            if steps > len(before):
                return None
    return before


def written(call: Call) -> Any:
    """What a write or a compare-and-set wrote."""
    return call.value[1] if call.f == "cas" else call.value


def zone_of(root: Hashable, chain: Sequence[Call]) -> Zone:
    """The zone of the operations of one value, or of one chain."""
    first, last = min(chain, key=lambda call: call.ret), max(chain, key=lambda call: call.call)
    values = dict.fromkeys([root, *(token(written(call)) for call in chain if call.f == "cas")])
    shown = tuple(plain(value) for value in values)
    if root == INITIAL:
        return Zone(shown, -math.inf, last.call, None, last.index)
    return Zone(shown, first.ret, last.call, first.index, last.index)
