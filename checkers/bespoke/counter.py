"""counter: adds and reads; each read lies between what must have been added and what may have been.

    lower = acknowledged before the read was called (and every subtraction called before it returned)
    upper = called before the read returned (and every subtraction acknowledged before it was called)

counter-exact, which asks for linearizability and not for bounds, is `core/src/exact/counting.rs`.

From: Jepsen, `checker/counter` (jepsen/src/jepsen/checker.clj), with its `reads` and `errors` as [lower, value, upper]. Mended: subtractions are
allowed; a failed add counts nowhere; no read at all is UNKNOWN.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from checkers.bespoke.calls import Call, integer, named
from checkers.bespoke.judging import Finding, Outcome, judged
from checkers.history import History
from checkers.verdict import Result

FUNCTIONS: Final = ("add", "read")


def check_counter(history: History) -> Result:
    """Bounds of every read."""
    return judged("counter", history, FUNCTIONS, _judge_bounds)


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
        done = sorted(adds, key=lambda add: add.ret)  # what is in doubt has returned at no time
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
    """A read out of bounds, and the adds that it missed: those that weigh most first, no more than needed."""
    if read.result > high:
        sentence = (
            f"read #{read.index} returned {read.result}, and all adds it can have seen make {high} at most"
        )
        return Finding("above-upper-bound", sentence, [*_missed(read, adds, -1), read])
    sentence = f"read #{read.index} returned {read.result}, and adds acknowledged before it was called make {low} at least"
    return Finding("below-lower-bound", sentence, [*_missed(read, adds, 1), read])


def _missed(read: Call, adds: Sequence[Call], sign: int) -> list[Call]:
    """Adds of this sign that it must have seen, and all of the other sign that it may have: they explain nothing.

    None if it is out of bounds whatever else was added: then it is the call that returned what is not there.
    """
    others = [add for add in adds if sign * add.value < 0 and add.call <= read.ret]
    reached = sum(sign * add.value for add in others)
    if reached > sign * read.result:
        return []
    core = others
    for add in sorted(adds, key=lambda add: -sign * add.value):
        if reached > sign * read.result:
            break
        if sign * add.value > 0 and add.before(read):
            core.append(add)
            reached += sign * add.value
    return core
