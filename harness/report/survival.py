"""What became of the writes that were acknowledged: were they there when the keys were read at the end?

    write w   |--| ok           last reads: called after every fault was over and every write of the key acknowledged
    write w'         |--| ok             |--| w'   |--| w'     w: replaced by one that came after it, kept
    a fault        ▒▒▒▒▒▒▒▒              |--| w    |--| w      w': lost, each last read is surely older

    kept       every last read returns it, or a write that may have come after it
    came back  kept, but a read between returned something surely older
    partly     some of the last reads do, others are surely older: not all replicas have it
    lost       every last read is surely older: the acknowledgement was not true
    unread     no last read of its key succeeded, so nobody knows

"Surely older" is weak on purpose, as in `checkers.staleness`: the read returned a write that had been acknowledged before w was called, or nothing. Of
siblings, whose writes name what they have seen, it is exact: neither w nor anything that has seen w is returned.
Jepsen's checker `set-full` counts the same of the elements of a set (stable, lost, never read).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from checkers.bespoke.calls import token
from checkers.op import MISSING
from harness.report.folder import Bar

KEPT, BACK, PARTLY, LOST, UNREAD = "kept", "came back", "partly", "lost", "unread"
FATES: Final = (KEPT, BACK, PARTLY, LOST, UNREAD)
READS: Final = ("read", "final-read")
OTHERS: Final = ("digest", "snapshot")  # tell of replicas, and change nothing
BEFORE_NS: Final = 1_000_000_000  # acknowledged so shortly before a fault, a write is in its reach


@dataclass(frozen=True, slots=True)
class Survival:
    """`fate` of each acknowledged write by its index; `near` counts those in the reach of each kind of fault that bit, and how many such faults there were.

    `doubtful`: writes of unknown outcome, and how many of them a read returned; `refused`: the same of those that surely failed.
    """

    fate: Mapping[int, str]
    returned: int  # acknowledged writes that some read returned
    near: Mapping[str, tuple[int, Counter[str]]]
    doubtful: tuple[int, int]
    refused: tuple[int, int]

    @property
    def counts(self) -> Counter[str]:
        """How many have each fate."""
        return Counter(self.fate.values())

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        near = {kind: {"faults": count, **counts} for kind, (count, counts) in self.near.items()}
        return {"writes": dict(self.counts), "returned": self.returned, "near": near, "lost": self.of(LOST), "partly": self.of(PARTLY), "doubtful": self.doubtful, "refused": self.refused}  # fmt: skip

    def of(self, fate: str) -> list[int]:
        """The writes with this fate, by index."""
        return sorted(index for index, known in self.fate.items() if known == fate)


def survival(bars: Sequence[Bar], faults: Sequence[Mapping[str, Any]], end_ns: int) -> Survival | None:
    """Of a history of registers, or of siblings, with one write for each value of a key; None of any other."""
    by_key = sorted_out(bars)
    if by_key is None:
        return None
    over_ns = max((ends_ns(fault, end_ns) for fault in faults), default=0)
    fate, times_ns = dict[int, str](), list[int]()
    written_so, seen = Counter[str](), Counter[str]()  # writes by outcome; those of them that a read returned
    for writes, reads in by_key.values():
        key = Siblings(writes, reads) if siblings(writes) else Register(writes, reads)
        acknowledged = [write for write in writes.values() if write.outcome == "ok"]
        quiet_ns = max([over_ns, *(known_ns(write) for write in acknowledged)])
        last = [read for read in reads if read.start_ns > quiet_ns]
        final = [read for read in last if read.f == "final-read"] or last
        times_ns += map(known_ns, acknowledged)
        fate.update(zip((write.index for write in acknowledged), key.fates(acknowledged, final), strict=True))
        written_so.update(write.outcome for write in writes.values())
        seen.update(writes[value].outcome for value in writes.keys() & key.returned)
    if not fate:
        return None
    doubtful, refused = ((written_so[outcome], seen[outcome]) for outcome in ("info", "fail"))
    return Survival(fate, seen["ok"], dict(near(times_ns, list(fate.values()), faults, end_ns)), doubtful, refused)  # fmt: skip


Writes = dict[Hashable, Bar]
"""The writes of a key, by what they wrote."""


def sorted_out(bars: Sequence[Bar]) -> dict[Hashable, tuple[Writes, list[Bar]]] | None:
    """For each key its writes by value and its reads that succeeded; None where there are other operations, or a value comes twice."""
    found = dict[Hashable, tuple[Writes, list[Bar]]]()
    for bar in bars:
        if bar.f in OTHERS:
            continue
        key = bar.key if type(bar.key) is int else token(bar.key)
        writes, reads = found.get(key) or found.setdefault(key, ({}, []))
        if bar.f == "write":
            value = written(bar)
            if value is None or value in writes:
                return None
            writes[value] = bar
        elif bar.f not in READS:
            return None
        elif bar.outcome == "ok":
            reads.append(bar)
    return found


def written(bar: Bar) -> Hashable:
    """What a write wrote, without what it had seen; None if that is not known."""
    value = bar.value["value"] if is_sibling(bar) else bar.value
    return value if type(value) is int else None if value is None or value is MISSING else token(value)


def is_sibling(bar: Bar) -> bool:
    """Whether a write names what it has seen."""
    return isinstance(bar.value, Mapping) and {"value", "seen"} <= bar.value.keys()


def siblings(writes: Writes) -> bool:
    """Whether a key holds siblings: each of its writes names what it has seen."""
    return bool(writes) and all(map(is_sibling, writes.values()))


def known_ns(bar: Bar) -> int:
    """When an acknowledged write was acknowledged."""
    return bar.start_ns if bar.end_ns is None else bar.end_ns


def ends_ns(fault: Mapping[str, Any], end_ns: int) -> int:
    """When a fault ended; one that did not lasts until the end of the run."""
    return end_ns if fault.get("end_ns") is None else int(fault["end_ns"])


class Register:
    """A key that holds one value. Each read is as old as the acknowledgement of the write that it returned."""

    def __init__(self, writes: Writes, reads: Sequence[Bar]) -> None:
        self._reads = [(read.start_ns, age) for read in reads if (age := self._age(writes, read)) is not None]
        self.returned = {token(read.value) for read in reads}
        self._calls = [call for call, _ in self._reads]
        self._oldest = [math.inf]  # of the reads from each place on
        for _, age in reversed(self._reads):
            self._oldest.append(min(age, self._oldest[-1]))
        self._oldest.reverse()
        self._writes = writes

    @staticmethod
    def _age(writes: Writes, read: Bar) -> float | None:
        """When what it returned was acknowledged: never, of nothing; at no known time, if that is in doubt; None of a value that nobody wrote."""
        if read.value is None:
            return -math.inf
        write = writes.get(token(read.value))
        return None if write is None else math.inf if write.outcome != "ok" else known_ns(write)

    def fates(self, acknowledged: Sequence[Bar], last: Sequence[Bar]) -> Iterator[str]:
        """In the order of the writes."""
        ages = [age for read in last if (age := self._age(self._writes, read)) is not None]
        for write in acknowledged:
            if not ages:
                yield UNREAD
            elif min(ages) < write.start_ns:
                yield LOST if max(ages) < write.start_ns else PARTLY
            else:
                after = bisect_right(self._calls, known_ns(write))
                yield BACK if self._oldest[after] < write.start_ns else KEPT


class Siblings:
    """A key that holds all writes that no other has seen. A set of writes is a number with a bit for each."""

    def __init__(self, writes: Writes, reads: Sequence[Bar]) -> None:
        self._bit = {value: 1 << place for place, value in enumerate(writes)}
        self._past = dict[Hashable, int]()  # of each write: itself and all that it knew of
        for value, write in writes.items():
            self._past[value] = self._bit[value] | self._union(write.value["seen"])
        self.returned = {token(value) for read in reads for value in read.value or ()}
        self._reads = reads

    def _union(self, values: Collection[Any]) -> int:
        found = 0
        for value in values or ():
            found |= self._past.get(token(value), 0)
        return found

    def fates(self, acknowledged: Sequence[Bar], last: Sequence[Bar]) -> Iterator[str]:
        """In the order of the writes."""
        ends = [self._union(read.value) for read in last]
        everywhere, anywhere = ~0, 0
        for end in ends:
            everywhere &= end
            anywhere |= end
        missed, done = 0, 0  # by some read on the way; acknowledged until then
        order = sorted(acknowledged, key=known_ns)
        place = 0
        for read in self._reads:
            while place < len(order) and known_ns(order[place]) < read.start_ns:
                done |= self._bit[written(order[place])]
                place += 1
            missed |= done & ~self._union(read.value)
        for write in acknowledged:
            bit = self._bit[written(write)]
            if not ends:
                yield UNREAD
            elif not bit & anywhere:
                yield LOST
            elif not bit & everywhere:
                yield PARTLY
            else:
                yield BACK if bit & missed else KEPT


def near(times_ns: Sequence[int], fates: Sequence[str], faults: Sequence[Mapping[str, Any]], end_ns: int) -> Iterator[tuple[str, tuple[int, Counter[str]]]]:  # fmt: skip
    """For each kind of fault that bit: how many there were, and the fates of the writes acknowledged shortly before one or while it lasted."""
    at_ns, what = np.array(times_ns, dtype=np.int64), np.array([FATES.index(fate) for fate in fates])
    for kind in dict.fromkeys(str(fault["kind"]) for fault in faults if fault.get("bit")):
        of_kind = [fault for fault in faults if fault.get("bit") and str(fault["kind"]) == kind]
        reached = np.zeros(len(at_ns), dtype=bool)
        for fault in of_kind:
            reached |= (at_ns >= int(fault.get("start_ns") or 0) - BEFORE_NS) & (
                at_ns <= ends_ns(fault, end_ns)
            )
        counts = np.bincount(what[reached], minlength=len(FATES))
        yield kind, (len(of_kind), Counter({fate: int(count) for fate, count in zip(FATES, counts, strict=True) if count}))  # fmt: skip
