"""Faults that went on at the same time: where their lines in the timetable lie over each other.

    partition  ├────────────────┤
    kill               ├──────────────┤        8 to 12 s  partition and kill
    pause                   ├─┤                10 to 11 s with pause too

Of faults that bit only. What a run says of a kind of fault it says of that kind together with what went on beside it; where nothing overlapped, how
faults work together was not tested.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from harness.report import words

SHOWN: Final = 20


class Overlap(NamedTuple):
    """A time in which the same two faults or more went on: their places in the run's list."""

    start_ns: int
    end_ns: int
    faults: tuple[int, ...]


def overlaps(faults: Sequence[Mapping[str, Any]], end_ns: int) -> list[Overlap]:
    """By time."""
    spans = [
        (int(fault.get("start_ns") or 0), end_ns if fault.get("end_ns") is None else int(fault["end_ns"]), place)
        for place, fault in enumerate(faults)
        if fault.get("bit")
    ]  # fmt: skip
    moments = sorted({moment for start, end, _ in spans for moment in (start, end)})
    parts = (Overlap(low, high, tuple(place for start, end, place in spans if start <= low and high <= end)) for low, high in pairwise(moments))  # fmt: skip
    return [part for part in parts if len(part.faults) > 1]


def in_words(faults: Sequence[Mapping[str, Any]], end_ns: int) -> str:
    """For how long two or more went on, and how many at most; nothing where there is one fault or none."""
    if sum(bool(fault.get("bit")) for fault in faults) < 2:
        return ""
    found = overlaps(faults, end_ns)
    if not found:
        return "No two faults that bit went on at the same time: how faults work together was not tested."
    whole = sum(part.end_ns - part.start_ns for part in found) / 1e9
    most = max(len(part.faults) for part in found)
    return f"For {words.number(whole)} s two faults or more went on at the same time, {most} at most."


def rows(faults: Sequence[Mapping[str, Any]], end_ns: int) -> Iterator[tuple[str, ...]]:
    """From, to, for how long, and which; the longest, by time."""
    found = overlaps(faults, end_ns)
    longest = sorted(found, key=lambda part: part.start_ns - part.end_ns)[:SHOWN]
    for part in sorted(longest):
        which = [f"{faults[place]['kind']} of {', '.join(map(str, faults[place].get('nodes') or [])) or 'no node'}" for place in part.faults]  # fmt: skip
        yield f"{part.start_ns / 1e9:.3f} s", f"{part.end_ns / 1e9:.3f} s", f"{words.number((part.end_ns - part.start_ns) / 1e6)} ms", words.join(which)  # fmt: skip
