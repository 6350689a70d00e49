"""Troubles at work in the simulated network: what each does to a message, and how often it did.

    drop    looked at on arrival: with probability `share` the message is dropped

Each draws from a random stream of its own, so that what else happens in a run stays the same with and without it.
"""

from __future__ import annotations

import random

from harness.worlds.trouble import Touch, Touches, Trouble


class LinkTrouble:
    """One trouble: counts what it sees on its links and what it touches."""

    def __init__(self, trouble: Trouble, rng: random.Random) -> None:
        self._share = trouble.share
        self._draw = rng.random
        self._counts = {
            (src, dst): [0, 0] for dst in sorted(trouble.links) for src in sorted(trouble.links[dst])
        }

    def stops(self, src: str, dst: str) -> bool:
        """Whether a message that arrives now is dropped."""
        counts = self._counts.get((src, dst))
        if counts is None:
            return False
        counts[0] += 1
        dropped = self._share >= 1 or self._draw() < self._share
        counts[1] += dropped
        return dropped

    def touches(self) -> Touches:
        """What it did, by link."""
        return {f"{src}->{dst}": Touch(*counts) for (src, dst), counts in self._counts.items()}
