"""Trouble: what a fault does to the packets of some links, in words that fit both worlds. Pure.

    links = {n2: {n1, n3}}       n1 ──►╳ n2        a link is one way
                                 n3 ──►╳ n2
    drop    with probability `share` a packet is dropped; of 1.0 it is a cut
    reset   with probability `share` a packet ends its connection: both ends see a reset, what is on its way is lost
    rate    no more than `rate_kbit` go over a link in a second; the others wait, for a second at most, or are dropped
    delay   every packet is `delay_ms` late, give or take `jitter_ms` (uniform)
    duplicate   with probability `share` a packet arrives twice
    reorder     with probability `share` a packet is held for `delay_ms`, and others pass it
    corrupt     with probability `share` one bit of what a packet carries is flipped; its checksum is wrong then, or made `right` again

A world gives back for each link how many packets it saw and how many it touched: the evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from harness.nemesis.grudges import Grudge

DROP: Final = "drop"
RESET: Final = "reset"
RATE: Final = "rate"
DELAY: Final = "delay"
DUPLICATE: Final = "duplicate"
REORDER: Final = "reorder"
CORRUPT: Final = "corrupt"
QUEUED: Final = (DELAY, DUPLICATE, REORDER, CORRUPT)
"""What a host does by a program of ours."""
QUEUE_S: Final = 1.0  # of a slow link: who would wait longer is dropped


class Touch(NamedTuple):
    """What a trouble did on one link: packets (in the simulator messages) that it saw, and those that it touched.

    `held_ms`: how long those were held on average, where a world can measure it.
    """

    seen: int
    hit: int
    held_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One trouble. `number` tells it from others that go on at the same time; a packet meets them all."""

    number: int
    kind: str
    links: Grudge
    share: float = 1.0
    rate_kbit: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    mends_checksum: bool = False


Touches = Mapping[str, Touch]
"""By link, `src->dst`."""
