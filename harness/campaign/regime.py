r"""How often a finding shows *now*: a bug that was made rare must not be judged by the rate it had before.

    night        1      2      3      4        5
    hits/runs   0/20  10/20   8/20   1/40     2/40
                       └──────────┘  └───────────┘
                         earlier         now         3 of 80: so many clean runs are needed to call it resolved

From the last night that shows it backwards, nights are pooled as long as they may well have the same rate: neither the night nor the pool shows the
finding significantly more seldom than the other (Fisher's exact test at 1 %, one-sided each way).

References: Fisher, The Design of Experiments, 1935; `harness.intervals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.intervals import fisher_less

LEVEL: Final = 0.01
Count = tuple[int, int]  # runs that show it, runs


@dataclass(frozen=True, slots=True)
class Regime:
    """What the rate is estimated from, and what was before the rate changed."""

    now: Count
    earlier: Count

    @property
    def rarer(self) -> bool:
        """Does it show more seldom than it used to?"""
        return self.earlier[1] > 0 and fisher_less(*self.now, *self.earlier) < LEVEL


def regime(nights: Sequence[Count]) -> Regime:
    """Of the nights up to the last one that shows the finding, in order."""
    now, place = (0, 0), len(nights)
    while place and (now[1] == 0 or _alike(now, nights[place - 1])):
        place -= 1
        now = _sum([now, nights[place]])
    return Regime(now, _sum(nights[:place]))


def _alike(pool: Count, night: Count) -> bool:
    return fisher_less(*pool, *night) >= LEVEL and fisher_less(*night, *pool) >= LEVEL


def _sum(counts: Sequence[Count]) -> Count:
    return sum(hits for hits, _ in counts), sum(runs for _, runs in counts)
