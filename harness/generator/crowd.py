"""Crowd: while a key is hot, a share of the operations goes to it. How much went there in truth is counted from what was called.

    Context.key(5)      the load's own draw     2 0 4 1 3 0 2 …
    begin(share=0.9)    hot is place 3          3 3 0 3 3 3 3 …      drawn from a stream of its own: the load draws as before
    end                                         4 1 3 0 2 2 1 …

What is hot is one of the load's places, not a key: a load that gives its keys up for fresh ones goes on with the fresh one. Popular keys are what a
partitioned store fears most, for all of their work is that of a few nodes. Reference: DeCandia et al., "Dynamo" (2007), section 6.2, "popular keys".
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, NamedTuple

from checkers.op import Op, Type


class Crowding(NamedTuple):
    """What was called while a key was hot: which `keys` were, how many operations were `on_it`, `of` how many; `usual`: the share of a key that is not."""

    keys: tuple[Any, ...]
    on_it: int
    of: int
    usual: float

    @property
    def share(self) -> float:
        """The share that was seen."""
        return self.on_it / self.of if self.of else 0.0


class Crowd:
    """Of one run. Of two hot keys at a time the one that began last is hot."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._hot: dict[int, tuple[float, float]] = {}  # by fault: share, and which place, from 0 to below 1
        self._given: dict[int, set[Any]] = {}
        self._called: dict[int, Counter[Any]] = {}
        self._places = 0  # among which the load draws

    def begin(self, number: int, share: float, place: float) -> None:
        """From now on."""
        self._hot[number] = share, place
        self._given[number], self._called[number] = set(), Counter()

    def end(self, number: int) -> Crowding:
        """No longer. Of a load whose keys are written down it is the one that was used most."""
        self._hot.pop(number, None)
        given, called = self._given.pop(number, set()), self._called.pop(number, Counter())
        keys = tuple(sorted(given)) or tuple(key for key, _ in called.most_common(1))
        usual = 1 / self._places if self._places else 0.0
        return Crowding(keys, sum(called[key] for key in keys), called.total(), usual)

    def key(self, drawn: int, places: int, first: int) -> int:
        """The key for an operation, which was to be the one at the place `drawn` of those that begin with `first`."""
        self._places = places
        for number, (share, place) in reversed(self._hot.items()):
            hot = first + int(place * places)
            self._given[number].add(hot)
            return hot if self._rng.random() < share else first + drawn
        return first + drawn

    def see(self, op: Op) -> None:
        """A record of the history."""
        if op.type is Type.INVOKE and op.key is not None:
            for called in self._called.values():
                called[op.key] += 1
