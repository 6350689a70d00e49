"""What each fault did to the clients: how much was still acknowledged, the longest silence, and how soon all was well again.

    fault         ├──────────────────────┤ healed
    calls    ok ok ok  fail fail  ok  fail  fail ok ok ok ok … 20 in a row
                 └──── silence ────┘         └ recovered: the call of the first of them, after the heal

    acknowledged   calls that began during the fault and ended ok, of all that began
    silence        the longest time within the fault in which no operation was acknowledged
    recovered      from the end of the fault to the first of 20 calls in a row that ended ok

Another fault that is going on when this one ends delays its recovery; that is told. A fault that did not bite says nothing and is left out.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.report.folder import Bar

IN_A_ROW: Final = 20
SILENCE_NS: Final = 100_000_000
SILENCES_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Outage:
    """One fault, by its place in the run's list. `recovered_ns` is None if it did not come to that; `beside` are kinds that went on at its end."""

    fault: int
    calls: int
    acknowledged: int
    silence_ns: int
    recovered_ns: int | None
    beside: tuple[str, ...]


def outages(bars: Sequence[Bar], faults: Sequence[Mapping[str, Any]], end_ns: int) -> Iterator[Outage]:
    """Of each fault that bit, in their order; `bars` by time of call."""
    starts = [bar.start_ns for bar in bars]
    answers = sorted(bar.end_ns for bar in bars if bar.outcome == "ok" and bar.end_ns is not None)
    runs = runs_of_ok(bars)
    for place, fault in enumerate(faults):
        if not fault.get("bit"):
            continue
        low = int(fault.get("start_ns") or 0)
        high = end_ns if fault.get("end_ns") is None else int(fault["end_ns"])
        during = bars[bisect_left(starts, low) : bisect_left(starts, high)]
        first = bisect_left(runs, bisect_left(starts, high))
        yield Outage(
            place,
            len(during),
            sum(bar.outcome == "ok" for bar in during),
            silence_ns(answers, low, high),
            starts[runs[first]] - high if first < len(runs) and fault.get("end_ns") is not None else None,
            tuple(dict.fromkeys(str(other["kind"]) for other in faults if other is not fault and lasts_at(other, high))),
        )  # fmt: skip


def runs_of_ok(bars: Sequence[Bar]) -> list[int]:
    """The places from which on so many calls in a row ended ok, ascending."""
    found, length = [], 0
    for place in range(len(bars) - 1, -1, -1):
        length = length + 1 if bars[place].outcome == "ok" else 0
        if length >= IN_A_ROW:
            found.append(place)
    return found[::-1]


def silence_ns(answers: Sequence[int], low: int, high: int) -> int:
    """The longest time between low and high without an answer."""
    inside = answers[bisect_left(answers, low) : bisect_left(answers, high)]
    return max((after - before for before, after in itertools.pairwise([low, *inside, high])), default=0)


def silences(
    bars: Sequence[Bar], faults: Sequence[Mapping[str, Any]]
) -> list[tuple[int, int, tuple[str, ...]]]:
    """The longest times in which a call was waiting and none was acknowledged: from, to, and the faults that bit meanwhile; the longest first. `bars` by time of call."""
    answers = sorted(bar.end_ns for bar in bars if bar.outcome == "ok" and bar.end_ns is not None)
    starts = [bar.start_ns for bar in bars]
    waiting_ns = list(itertools.accumulate((bar.end_ns or bar.given_up_ns or bar.start_ns for bar in bars), max))  # fmt: skip
    found = []
    for low, high in itertools.pairwise([*starts[:1], *answers]) if answers else ():
        first = bisect_left(starts, low)  # called after the last answer; some call before may still wait
        began = low if first and waiting_ns[first - 1] > low else starts[min(first, len(starts) - 1)]
        if high - began >= SILENCE_NS:
            kinds = (str(fault["kind"]) for fault in faults if any(lasts_at(fault, at) for at in (began, high - 1)) or (began <= int(fault.get("start_ns") or 0) < high and fault.get("bit")))  # fmt: skip
            found.append((began, high, tuple(dict.fromkeys(kinds))))
    return sorted(found, key=lambda each: (each[0] - each[1], each[0]))[:SILENCES_SHOWN]


def lasts_at(fault: Mapping[str, Any], time_ns: int) -> bool:
    """Whether a fault that bit goes on at this time."""
    if not fault.get("bit") or int(fault.get("start_ns") or 0) > time_ns:
        return False
    return fault.get("end_ns") is None or int(fault["end_ns"]) > time_ns
