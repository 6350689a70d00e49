"""counter: adds and reads; each read lies between what must have been added and what may have been.

    lower = acknowledged before the read was called (and every subtraction called before it returned)
    upper = called before the read returned (and every subtraction acknowledged before it was called)

counter-exact: adds of 1 only, and then linearizable or not, exactly. The k-th increment happens within [L_k, U_k]: L_k the last call of a read that
returned less than k, U_k the first return of one that returned k or more. Increments and slots must match: slots 1..K (K the largest read) with any
increments, and all ok increments with any slots. As L and U grow, each increment fits a range of slots, so Glover's greedy decides.

From: Jepsen, `checker/counter` (jepsen/src/jepsen/checker.clj), with its `reads` and `errors` as [lower, value, upper]. Mended: subtractions are
allowed; a failed add counts nowhere; no read at all is UNKNOWN. Exact: Glover, Maximum matching in a convex bipartite graph (1967); Mendelsohn and
Dulmage (1958) to join the two matchings.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from checkers.bespoke.calls import Call, Unfit, integer, named
from checkers.bespoke.judging import Finding, Outcome, judged
from checkers.history import History
from checkers.verdict import Result

FUNCTIONS: Final = ("add", "read")


def check_counter(history: History) -> Result:
    """Bounds of every read."""
    return judged("counter", history, FUNCTIONS, _judge_bounds)


def check_counter_exact(history: History) -> Result:
    """Linearizability of a counter with increments of 1."""
    return judged("counter-exact", history, FUNCTIONS, _judge_exact)


def _parts(calls: Sequence[Call]) -> tuple[list[Call], list[Call]]:
    """Adds that may have happened, and ok reads."""
    adds = [add for add in named(calls, "add") if add.possible]
    for add in adds:
        integer(add.value, add)
    reads = [read for read in named(calls, "read") if read.ok]
    for read in reads:
        integer(read.result, read)
    return adds, reads


class _Sums:
    """Sums of adds called by, or returned before, an instant."""

    def __init__(self, adds: Sequence[Call]) -> None:
        self._calls = [add.call for add in adds]
        done = sorted((add for add in adds if add.ok), key=lambda add: add.ret)
        self._rets = [add.ret for add in done]
        self._called = [[0, *accumulate(max(0, s * add.value) for add in adds)] for s in (1, -1)]
        self._done = [[0, *accumulate(max(0, s * add.value) for add in done)] for s in (1, -1)]

    def bounds(self, read: Call) -> tuple[int, int]:
        """The least and the most that the read may return."""
        called, done = bisect_right(self._calls, read.ret), bisect_left(self._rets, read.call)
        return (
            self._done[0][done] - self._called[1][called],
            self._called[0][called] - self._done[1][done],
        )


def _judge_bounds(calls: list[Call]) -> Outcome:
    adds, reads = _parts(calls)
    sums, findings = _Sums(adds), []
    triples = []
    errors = []
    for read in reads:
        low, high = sums.bounds(read)
        triples.append([low, read.result, high])
        if low <= read.result <= high:
            continue
        errors.append(triples[-1])
        findings.append(_outside(read, low, high, adds))
    untested = None if reads else "no read succeeded, so nothing was tested"
    stats = {"reads": triples, "errors": errors}
    return Outcome(f"{len(reads)} reads lie within their bounds", findings, untested, stats)


def _outside(read: Call, low: int, high: int, adds: Sequence[Call]) -> Finding:
    """A read out of bounds. Too low: the adds it missed, largest first, no more than needed. Too high: the read alone."""
    if read.result > high:
        sentence = (
            f"read #{read.index} returned {read.result}, and all adds it can have seen make {high} at most"
        )
        return Finding("above-upper-bound", sentence, [read])
    core = [add for add in adds if add.value < 0 and add.call <= read.ret]
    least = sum(add.value for add in core)
    for add in sorted(adds, key=lambda add: -add.value):
        if least > read.result:
            break
        if add.value > 0 and add.before(read):
            core.append(add)
            least += add.value
    sentence = f"read #{read.index} returned {read.result}, and adds acknowledged before it was called make {low} at least"
    return Finding("below-lower-bound", sentence, [*core, read])


def _judge_exact(calls: list[Call]) -> Outcome:
    adds, reads = _parts(calls)
    stats = {"increment-count": len(adds), "read-count": len(reads)}
    if not reads:
        return Outcome("", untested="no read succeeded, so nothing was tested", stats=stats)
    outside = _judge_bounds(calls)
    if outside.findings:
        return Outcome("", outside.findings, stats={**stats, **outside.stats})
    if odd := next((add for add in adds if add.value != 1), None):
        raise Unfit(
            f"add #{odd.index} is of {odd.value}; the exact check is for increments of 1: use 'counter' for bounds"
        )
    findings = _mismatch(adds, reads)
    return Outcome("an order of increments and reads that fits exists", findings, stats=stats)


def _mismatch(adds: Sequence[Call], reads: Sequence[Call]) -> list[Finding]:
    """The slots' times and the two matchings."""
    size, top = len(adds), max(read.result for read in reads)
    low: list[float] = [-math.inf] * (size + 2)
    high: list[float] = [math.inf] * (size + 2)
    for read in reads:
        low[read.result + 1] = max(low[read.result + 1], read.call)
        high[read.result] = min(high[read.result], read.ret)
    low = list(accumulate(low, max))
    high = list(accumulate(reversed(high), min))[::-1]
    if any(low[k] > high[k] for k in range(1, size + 1)):
        return [_crossed(reads)]
    spans = {
        add.index: (bisect_left(high, add.call, 1, size + 1), bisect_right(low, add.ret, 1, size + 1) - 1)
        for add in adds
    }
    if _covers_slots(adds, spans, top) and _covers_increments([add for add in adds if add.ok], spans, size):
        return []
    sentence = "no assignment of increments to the counts that reads show respects the times of their calls and returns"
    return [Finding("count-mismatch", sentence, [*adds, *reads])]


def _crossed(reads: Sequence[Call]) -> Finding:
    """Two reads, the later one smaller."""
    highest: Call | None = None
    by_return = sorted(reads, key=lambda read: read.ret)
    at = 0
    for read in reads:
        while at < len(by_return) and by_return[at].ret < read.call:
            if highest is None or by_return[at].result > highest.result:
                highest = by_return[at]
            at += 1
        if highest is not None and highest.result > read.result:
            sentence = f"read #{read.index} returned {read.result} after read #{highest.index} had returned {highest.result}"
            return Finding("went-back", sentence, [highest, read])
    raise AssertionError("slots cross only where two reads do")


def _covers_slots(adds: Sequence[Call], spans: dict[int, tuple[int, int]], top: int) -> bool:
    """Can slots 1..top each have an increment of its own?"""
    jobs = sorted(spans[add.index] for add in adds)
    heap: list[int] = []
    at = 0
    for slot in range(1, top + 1):
        while at < len(jobs) and jobs[at][0] <= slot:
            heapq.heappush(heap, jobs[at][1])
            at += 1
        while heap and heap[0] < slot:
            heapq.heappop(heap)
        if not heap:
            return False
        heapq.heappop(heap)
    return True


def _covers_increments(adds: Sequence[Call], spans: dict[int, tuple[int, int]], size: int) -> bool:
    """Can these increments each have a slot of its own?"""
    jobs = sorted(spans[add.index] for add in adds)
    heap: list[int] = []
    at = 0
    for slot in range(1, size + 1):
        while at < len(jobs) and jobs[at][0] <= slot:
            heapq.heappush(heap, jobs[at][1])
            at += 1
        if heap and heapq.heappop(heap) < slot:
            return False
    return not heap and at == len(jobs)
