"""What a history says of t-visibility: of the reads that began t after a write was acknowledged, how many missed it?

    w acknowledged ──── t ────► read called          counted if no other write of the key overlaps w or the read, or lies between

so that "the last write" is one and the same for everybody. These are the conditions under which PBS predicts; other reads are left out.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from checkers import History
from checkers.bespoke.calls import Call, calls_of, token
from harness.intervals import wilson


@dataclass(frozen=True, slots=True)
class Seen:
    """A read: how long after the acknowledgement it began, in ms, and whether it missed the write (by its index).

    Reads of one write hit or miss together more often than chance: take one a write where independence matters.
    """

    t_ms: float
    stale: bool
    write: int = -1


@dataclass(frozen=True, slots=True)
class Bin:
    """Reads with from_ms <= t < to_ms; `low` and `high` are the 95 % interval of the share that is stale."""

    from_ms: float
    to_ms: float
    reads: int
    stale: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """Stale reads, of all."""
        return self.stale / self.reads


def observed(history: History) -> list[Seen]:
    """Every read that counts, over all keys."""
    return observed_in(calls_of(history))


def observed_in(calls: Iterable[Call]) -> list[Seen]:
    """The same, of calls in their order."""
    by_key: dict[Hashable, list[Call]] = {}
    for call in calls:
        by_key.setdefault(token(call.key), []).append(call)
    return [seen for calls_of_key in by_key.values() for seen in _of_key(calls_of_key)]


def _of_key(calls: Sequence[Call]) -> list[Seen]:
    writes = [call for call in calls if call.f == "write" and call.possible]  # in order of call
    starts = [write.call for write in writes]
    latest = float("-inf")  # the end of the last of the writes before
    alone = []
    for place, write in enumerate(writes):
        after = starts[place + 1] if place + 1 < len(writes) else float("inf")
        alone.append(write.ok and latest < write.call and write.ret < after)
        latest = max(latest, write.ret)
    found = []
    for read in calls:
        if read.f != "read" or not read.ok:
            continue
        place = bisect_left(starts, read.call) - 1
        if place < 0 or not alone[place] or not writes[place].before(read):
            continue
        if place + 1 < len(writes) and starts[place + 1] <= read.ret:
            continue
        write = writes[place]
        found.append(Seen((read.call - write.ret) / 1e6, read.result != write.value, write.index))
    return found


def binned(reads: Sequence[Seen], edges_ms: Sequence[float]) -> list[Bin]:
    """Bins between the edges; those without a read are left out."""
    found = []
    for low_ms, high_ms in itertools.pairwise(edges_ms):
        inside = [read.stale for read in reads if low_ms <= read.t_ms < high_ms]
        if inside:
            found.append(Bin(low_ms, high_ms, len(inside), sum(inside), *wilson(sum(inside), len(inside))))
    return found
