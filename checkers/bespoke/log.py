"""append-log: records get offsets, and readers see them in that order without holes.

    append v -> [offset, v]      poll -> [[offset, v], …], a piece of the log      read -> the same, the log from its beginning

    inconsistent-offset   one offset, two values            duplicate          one value, two offsets
    nonmonotonic-poll     offsets in a poll that do not grow
    gap                   a poll returned records around an offset that is known to hold one, and not that one
    nonmonotonic-append   an append got a smaller offset than one that was known before it was called, by its append or by a reader
    lost                  acknowledged, and the last read called after that does not show it

Offsets may have holes (transaction markers, crashed appends): `hole-count` only counts them. Reads that lag are counted in `stale-read-count`.
Each value is appended once; a log with several partitions has one key each.

From: Jepsen, `jepsen.tests.kafka` (jepsen/src/jepsen/tests/kafka.clj): lost-write, poll-skip, nonmonotonic-poll, inconsistent-offsets, duplicate.
Mended: sends are compared in real time and not only within a process.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import Any

from checkers.bespoke.calls import Call, Unfit, argument, integer, named, plain, shown, token
from checkers.bespoke.judging import Finding, Outcome, judged
from checkers.bespoke.origins import Origins
from checkers.history import History
from checkers.verdict import Result

_Record = tuple[int, Hashable]


def check_append_log(history: History) -> Result:
    """Offsets, holes, duplicates, losses."""
    return judged("append-log", history, ("append", "poll", "read"), _judge)


def _record(value: Any, call: Call) -> _Record:
    if not isinstance(value, list) or len(value) != 2:
        raise Unfit(f"{call.f} #{call.index} returned {shown(value)}; [offset, value] expected")
    return integer(value[0], call), token(value[1])


def _judge(calls: list[Call]) -> Outcome:
    origins = Origins.of(named(calls, "append"))
    if again := next((adds for adds in origins.calls.values() if len(adds) > 1), None):
        raise Unfit(f"{shown(again[0].value)} is appended twice; append each value once")
    seen: list[tuple[Call, list[_Record]]] = []
    for call in calls:
        if call.ok and call.f == "append":
            offset, value = _record(call.result, call)
            if value != argument(call):
                raise Unfit(f"append #{call.index} returned another value than it was given")
            seen.append((call, [(offset, value)]))
        elif call.ok:
            if not isinstance(call.result, list):
                raise Unfit(f"{call.f} #{call.index} returned {shown(call.result)}; a list expected")
            seen.append((call, [_record(item, call) for item in call.result]))
    known: dict[int, Call] = {}
    findings = _inconsistent(seen, origins, known)
    findings += _unordered(seen, known)
    findings += _back(calls, seen)
    lost, stale = _lost(calls)
    findings = lost + findings
    polls = [call for call, _ in seen if call.f != "append"]
    stats = {
        "append-count": len(origins.calls),
        "poll-count": len(polls),
        "lost-count": len(lost),
        "stale-read-count": stale,
        "hole-count": max(known) - min(known) + 1 - len(known) if known else 0,
    }
    read = any(records for call, records in seen if call.f != "append")
    untested = None if read else "no record was read, so nothing was tested"
    return Outcome(
        f"{len(known)} offsets fit what {len(polls)} polls and reads show", findings, untested, stats
    )


def _inconsistent(
    seen: Sequence[tuple[Call, list[_Record]]], origins: Origins, known: dict[int, Call]
) -> list[Finding]:
    """One offset with two values, one value at two offsets, values from nowhere. Fills `known`: a call that shows each offset."""
    findings: list[Finding] = []
    value_at: dict[int, Hashable] = {}
    place_of: dict[Hashable, tuple[int, Call]] = {}
    for call, records in seen:
        for offset, value in records:
            if (wrong := origins.wrong(value, call)) is not None:
                findings.append(wrong)
            first = known.setdefault(offset, call)
            if (other := value_at.setdefault(offset, value)) != value:
                sentence = f"offset {offset} is {shown(plain(other))} in {first.f} #{first.index} and {shown(plain(value))} in {call.f} #{call.index}"
                findings.append(Finding("inconsistent-offset", sentence, [first, call]))
            place, where = place_of.setdefault(value, (offset, call))
            if place != offset:
                sentence = f"{shown(plain(value))} is at offset {place} in {where.f} #{where.index} and at {offset} in {call.f} #{call.index}"
                findings.append(Finding("duplicate", sentence, [where, call]))
    return findings


def _unordered(seen: Sequence[tuple[Call, list[_Record]]], known: dict[int, Call]) -> list[Finding]:
    """Polls that do not go forward, or pass over an offset that holds a record."""
    findings = []
    places = {offset: at for at, offset in enumerate(sorted(known))}
    ordered = sorted(known)
    for call, records in seen:
        offsets = [offset for offset, _ in records]
        if call.f == "read" and offsets and places[offsets[0]] > 0:
            findings.append(_gap(call, ordered[0], known))
        for one, two in pairwise(offsets):
            if two <= one:
                sentence = f"{call.f} #{call.index} returned offset {two} after {one}"
                findings.append(Finding("nonmonotonic-poll", sentence, [call]))
            elif places[two] != places[one] + 1:
                findings.append(_gap(call, ordered[places[one] + 1], known))
    return findings


def _gap(call: Call, missed: int, known: dict[int, Call]) -> Finding:
    shows = known[missed]
    sentence = f"{call.f} #{call.index} passed over offset {missed}, which {shows.f} #{shows.index} shows"
    return Finding("gap", sentence, [shows, call])


def _back(calls: Sequence[Call], seen: Sequence[tuple[Call, list[_Record]]]) -> list[Finding]:
    """Appends whose offsets contradict real time. That of one without an answer is known if somebody read it."""
    place_of: dict[Hashable, tuple[int, Call]] = {}
    for call, records in seen:
        for offset, value in records:
            if call.f == "append" or value not in place_of:
                place_of[value] = (offset, call)
    tops = [(max(offset for offset, _ in records), call) for call, records in seen if records]
    tops.sort(key=lambda top: top[1].ret)
    findings: list[Finding] = []
    highest: tuple[int, Call] | None = None
    at = 0
    for append in named(calls, "append"):
        while at < len(tops) and tops[at][1].before(append):
            highest = tops[at] if highest is None or tops[at][0] > highest[0] else highest
            at += 1
        place = place_of.get(argument(append)) if append.possible else None
        if highest is not None and place is not None and place[0] < highest[0]:
            (offset, call), (high, before) = place, highest
            told = f"append #{append.index} got offset {offset} after {before.f} #{before.index} had shown {high}"
            findings.append(Finding("nonmonotonic-append", told, [before, append, call]))
    return findings


def _lost(calls: Sequence[Call]) -> tuple[list[Finding], int]:
    """Acknowledged appends that the last read lacks; and how many earlier reads lacked one."""
    reads = [call for call in named(calls, "read") if call.ok]
    appends = sorted(named(calls, "append"), key=lambda call: call.ret)
    findings, stale = [], 0
    for read in reads:
        shows = {_record(item, read)[1] for item in read.result}
        missing = [append for append in appends if append.before(read) and argument(append) not in shows]
        stale += bool(missing) and read is not reads[-1]
        if read is reads[-1]:
            for append in missing:
                sentence = f"append {shown(append.value)} #{append.index} was acknowledged, and the last read #{read.index} does not show it"
                findings.append(Finding("lost", sentence, [append, read]))
    return findings, stale
