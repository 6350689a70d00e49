"""Trouble: what a fault does to the packets of some links, in words that fit both worlds. Pure.

    links = {n2: {n1, n3}}       n1 ──►╳ n2        each is stopped at the receiver, a link is one way
                                 n3 ──►╳ n2
    drop    with probability `share` a packet is dropped; of 1.0 it is a cut

A world gives back for each link how many packets it saw and how many it touched: the evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from harness.nemesis.grudges import Grudge

DROP: Final = "drop"


class Touch(NamedTuple):
    """What a trouble did on one link: packets (in the simulator messages) that it saw, and those that it touched."""

    seen: int
    hit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One trouble. `number` tells it from others that go on at the same time; a packet meets them all."""

    number: int
    kind: str
    links: Grudge
    share: float = 1.0


Touches = Mapping[str, Touch]
"""By link, `src->dst`."""
