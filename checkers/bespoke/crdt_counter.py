"""g-counter and pn-counter: every replica adds on its own; reads may lag, and in the end all agree on the sum.

    read         within [subtractions called before it returned, additions called before it returned]: what was acknowledged may still be missing
    final-read   after the faults are healed and the replicas had time to agree: the sum of the acknowledged adds, plus that of some subset of
                 those whose outcome is unknown or that ran during the read (a bit set of reachable sums)
    diverged     two final-reads differ, and no subset of the adds that may have come between them makes the difference (`agreement`)

From: Shapiro, Preguiça, Baquero, Zawirski, A comprehensive study of convergent and commutative replicated data types (2011), 3.1; Maelstrom's
pn-counter workload. Mended: Jepsen's lower bound, all that was acknowledged so far, is wrong for a counter that is only eventually consistent.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from checkers.bespoke.agreement import AGREE, DIVERGED, Step, agreement, between
from checkers.bespoke.calls import Call, Unfit, integer, named
from checkers.bespoke.judging import Finding, Outcome, judged, too_late
from checkers.history import History
from checkers.verdict import Result

FUNCTIONS: Final = ("add", "read", "final-read")
BITS_MAX: Final = 1 << 22


def check_pn_counter(history: History) -> Result:
    """Additions and subtractions."""
    return judged("pn-counter", history, FUNCTIONS, _judge)


def check_g_counter(history: History) -> Result:
    """Additions only."""
    return judged("g-counter", history, FUNCTIONS, _judge_growing)


def _judge_growing(calls: list[Call]) -> Outcome:
    for add in named(calls, "add"):
        if integer(add.value, add) < 0:
            raise Unfit(f"add #{add.index} is of {add.value}; a g-counter only grows: use 'pn-counter'")
    return _judge(calls)


def _judge(calls: list[Call]) -> Outcome:
    adds = [add for add in named(calls, "add") if add.possible]
    for add in adds:
        integer(add.value, add)
    reads = [read for read in named(calls, "read", "final-read") if read.ok]
    findings, unsure = [], 0
    for read in reads:
        seen = [add for add in adds if add.call <= read.ret]
        low = sum(min(0, add.value) for add in seen)
        high = sum(max(0, add.value) for add in seen)
        if not low <= integer(read.result, read) <= high:
            sentence = f"{read.f} #{read.index} returned {read.result}; adds called before it returned make {low} to {high}"
            findings.append(Finding("out-of-range", sentence, [read]))
        elif read.f == "final-read":
            reachable = _reachable(read, seen)
            unsure += reachable is None
            if reachable is False:
                findings.append(_wrong_sum(read, seen))
    at_rest = named(reads, "final-read")
    finals = len(at_rest)
    untested: str | None = None
    if not findings and not unsure:
        findings, untested = agreement(at_rest, partial(_step, adds), lambda one, other: adds)
    if not finals:
        untested = "there is no final-read, so whether the replicas agree on the sum was not tested"
    elif unsure:
        untested = f"{unsure} final reads have adds of unknown outcome that are too large to try every sum"
    stats = {"add-count": len(adds), "read-count": len(reads), "final-read-count": finals}
    idle = None
    if not any(read.result for read in reads):
        untested = untested or too_late(adds, at_rest)
    if not any(add.ok for add in adds) and not any(read.result for read in reads):
        idle = "no add was acknowledged and none was seen, so nothing was tested"
    return Outcome(f"{finals} final reads are sums that are possible", findings, untested, stats, idle)


def _reachable(read: Call, seen: Sequence[Call]) -> bool | None:
    """Is the value the sure adds plus some of the others? None: too large to try."""
    sure = sum(add.value for add in seen if add.before(read))
    return _is_sum(read.result - sure, [add.value for add in seen if not add.before(read)])


def _is_sum(number: int, maybe: Sequence[int]) -> bool | None:
    """Is it the sum of some of these? None: too large to try."""
    lowest = sum(min(0, value) for value in maybe)
    want, width = number - lowest, sum(map(abs, maybe))
    if not 0 <= want <= width:
        return False
    if width > BITS_MAX:
        return None
    sums = 1
    for value in maybe:
        sums |= sums << abs(value)
    return bool(sums >> want & 1)


def _step(adds: Sequence[Call], first: Call, second: Call) -> Step:
    """Which adds make the difference between two final reads?"""
    may = [add for add in adds if between(add, first, second)]
    sure = [add for add in may if first.before(add) and add.before(second)]
    difference = second.result - first.result - sum(add.value for add in sure)
    free = [add for add in may if add not in sure and add.value]
    acknowledged = [add.value for add in free if add.ok]
    by_acknowledged = _is_sum(difference, acknowledged)
    if by_acknowledged:
        return AGREE
    by_any = _is_sum(difference, [add.value for add in free])
    if by_acknowledged is None or by_any is None:
        told = f"final-reads #{first.index} and #{second.index} differ"
        raise Unfit(f"{told}, and the adds that may have come between are too large to try every sum")
    return [add for add in free if not add.ok] if by_any else DIVERGED


def _wrong_sum(read: Call, seen: Sequence[Call]) -> Finding:
    sure = [add for add in seen if add.before(read)]
    maybe = len(seen) - len(sure)
    with_others = f", alone or with some of {maybe} others" if maybe else ""
    total = sum(add.value for add in sure)
    sentence = (
        f"final-read #{read.index} returned {read.result}; the acknowledged adds make {total}{with_others}"
    )
    return Finding("wrong-sum", sentence, [*seen, read])
