"""A core in words and in lanes, for a stranger.

process 0: |--write 7 #0--|
process 2:                 |--write 9 #4--|
process 3:                                  |--read 7 #41--|
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from checkers.dead_ends import dead_ends
from checkers.history import History
from checkers.jsonl import encode_value
from checkers.op import MISSING, Op, Type
from checkers.times import ago, at, from_to
from checkers.verdict import Result

DRAWN_MAX: Final = 24  # operations
SHOWN_MAX: Final = 12  # operations of a witness
LABEL_MAX: Final = 48  # characters of a value in lanes
TOLD_MAX: Final = 200  # and in a sentence
_MEANINGS = {
    "thin-air": "returned a value that nobody wrote",
    "aborted-read": "returned a value whose write had failed (or the client called it failed wrongly)",
    "future-read": "returned a value before its write was called",
    "thin-air-cas": "replaced a value that nobody wrote",
    "double-cas": "two compare-and-sets replaced the same value; only one can have found it",
    "false-failure": "a compare-and-set failed although the register held the value that it expected",
    "future-take": "took a value before its add was called",
    "aborted-take": "took a value whose add had failed (or the client called it failed wrongly)",
    "double-take": "one value was taken twice",
    "false-empty": "found nothing although there was something all the time",
    "out-of-order": "what was added first was not taken first",
    "not-last-in-first-out": "these values cannot have been on one stack",
    "not-the-greatest": "took a value while a greater one was there all the time",
    "cas-cycle": "compare-and-sets that replace each other's values in a circle: none can have been first",
}


def sentence(history: History, anomaly: str, core: Sequence[int]) -> str:
    """One sentence that proves the violation by pointing at operations of the history."""
    ops = [history.op(index) for index in core]
    if (stale := _stale(history, ops)) is not None:
        return f"{anomaly}: {stale}"
    if (turned := _turned_back(history, ops)) is not None:
        return f"{anomaly}: {turned}"
    told = ", ".join(_told(history, op) for op in ops)
    if anomaly in _MEANINGS:
        return f"{anomaly}: {_MEANINGS[anomaly]}: {told}"
    return f"{anomaly}: no order that respects real time explains these together: {told}"


def pointed(history: History, core: Sequence[int]) -> str | None:
    """The sentence of a core of a register that is a stale read or a step back; None if it is neither, or a value was written twice."""
    ops = [history.op(index) for index in core]
    written = [repr(op.value) for op in ops if op.f == "write"]
    if len(set(written)) < len(written) or any(op.f not in ("read", "write") for op in ops):
        return None
    return _stale(history, ops) or _turned_back(history, ops)


def shown(value: object) -> str:
    """A value in a sentence; of a very long one the beginning."""
    text = repr(value)
    return text if len(text) <= TOLD_MAX else f"{text[:TOLD_MAX]}… ({len(text):,} characters)"


def explain(history: History, result: Result) -> list[str]:
    """Any result in sentences that point at operations: what was found, then why there is no way out."""
    told = [result.reason]
    certificate = result.certificate
    if certificate is None:
        return told
    if certificate.kind == "witness":
        first = ", ".join(f"#{index}" for index in certificate.ops[:SHOWN_MAX])
        more = ", …" if len(certificate.ops) > SHOWN_MAX else ""
        return [*told, f"the proof is an order of {len(certificate.ops)} operations: {first}{more}"]
    told += [_told(history, history.op(index)) for index in certificate.ops[:DRAWN_MAX]]
    if len(certificate.ops) > DRAWN_MAX:
        told.append(f"and {len(certificate.ops) - DRAWN_MAX} more operations")
    if certificate.edges:
        from checkers.order import chain
        from checkers.order import told as edge_told

        told.append(chain(history, certificate.edges))
        told += [edge_told(history, edge) for edge in certificate.edges]
    return told + dead_ends(history, result)


def _stale(history: History, ops: list[Op]) -> str | None:
    """The sentence of a read that surely missed a newer, acknowledged write."""
    writes = {repr(op.value): op for op in ops if op.f == "write"}
    for read in ops:
        end = history.completion(read.index)
        if read.f != "read" or end is None or end.type is not Type.OK:
            continue
        own = writes.get(repr(end.value))
        own_end = None if own is None else history.completion(own.index)
        for newer in writes.values():
            done = history.completion(newer.index)
            after_own = end.value is None or (
                own_end is not None and own_end.type is Type.OK and own_end.time_ns < newer.time_ns
            )
            if after_own and done is not None and done.type is Type.OK and done.time_ns < read.time_ns:
                return (
                    f"read #{read.index}{_of_key(read)} by process {read.process} returned {shown(end.value)} although "
                    f"write {shown(newer.value)} (#{newer.index}, process {newer.process}) had been acknowledged "
                    f"{ago(read.time_ns - done.time_ns)}before the read began"
                )
    return None


def _turned_back(history: History, ops: list[Op]) -> str | None:
    """The sentence of reads that go from a newer value back to an older one."""
    reads = [
        (op, end)
        for op in ops
        if op.f == "read" and (end := history.completion(op.index)) and end.type is Type.OK
    ]
    writes = {repr(op.value): op for op in ops if op.f == "write"}
    for first, seen in reads:
        for second, back in reads:
            if seen.time_ns >= second.time_ns or repr(seen.value) == repr(back.value):
                continue
            told = (
                f"read #{second.index}{_of_key(second)} by process {second.process} returned {shown(back.value)} although read "
                f"#{first.index} (process {first.process}) had returned {shown(seen.value)} before it began"
            )
            newer, older = writes.get(repr(seen.value)), writes.get(repr(back.value))
            done = None if older is None else history.completion(older.index)
            ended = (
                done is not None
                and done.type is Type.OK
                and newer is not None
                and done.time_ns < newer.time_ns
            )
            if ended or (back.value is None and newer is not None):
                return f"{told}, and {shown(seen.value)} was written after {shown(back.value)}"
            for third, again in reads:
                if back.time_ns < third.time_ns and repr(again.value) == repr(seen.value):
                    return f"{told}, and read #{third.index} returned {shown(seen.value)} again; it was written only once"
    return None


def first_value_asked(history: History, result: Result) -> Any:
    """The value of a read that nobody wrote and that came before every acknowledged write of its key; MISSING if there is none.

    What the object began with would explain it, and only who recorded the history knows that.
    """
    if result.anomaly != "thin-air" or result.certificate is None:
        return MISSING
    for index in result.certificate.ops:
        read, end = history.op(index), history.completion(index)
        if read.f != "read" or end is None or end.type is not Type.OK:
            continue
        key = encode_value(read.key)
        before = (
            op
            for op in history
            if op.type is Type.OK and op.time_ns < read.time_ns and encode_value(op.key) == key
        )
        return MISSING if any(op.f in ("write", "cas") for op in before) else end.value
    return MISSING


def _of_key(op: Op) -> str:
    return "" if op.key is None else f" of key {shown(op.key)}"


def _told(history: History, op: Op) -> str:
    """One operation: what, by whom, when, with what outcome."""
    end = history.completion(op.index)
    if end is None or end.type is not Type.OK:
        word = "failed" if end is not None and end.type is Type.FAIL else "outcome unknown"
        return f"{op.f} {shown(op.value)} #{op.index} by process {op.process} (called at {at(op.time_ns)}, {word})"
    asked, given = op.value in (MISSING, None), end.value in (MISSING, op.value)
    value = (
        shown(end.value)
        if asked
        else shown(op.value)
        if given
        else f"{shown(op.value)} -> {shown(end.value)}"
    )
    return f"{op.f} {value} #{op.index} by process {op.process} ({from_to(op.time_ns, end.time_ns)})"


def draw_core(history: History, result: Result) -> str:
    """The core's operations in lanes, one a process; columns stand for the order of times, not for lengths. "" without a core."""
    if result.certificate is None or result.certificate.kind != "core":
        return ""
    if len(result.certificate.ops) > DRAWN_MAX:
        return f"the core has {len(result.certificate.ops)} operations, too many to draw"
    ops = [history.op(index) for index in result.certificate.ops]
    ends = {op.index: history.completion(op.index) for op in ops}
    marks: list[tuple[int, int]] = [(op.time_ns, 0) for op in ops]
    marks += [(end.time_ns, 1) for end in ends.values() if end is not None and end.type is not Type.INFO]
    times = sorted(set(marks))
    labels = {op.index: _label(op, ends[op.index]) for op in ops}
    width = max(4, max(map(len, labels.values())) + 4)
    column = {mark: n * width for n, mark in enumerate(times)}
    lanes: dict[str, str] = {}
    for op in ops:
        end = ends[op.index]
        closed = None if end is None or end.type is Type.INFO else end
        start = column[op.time_ns, 0]
        stop = len(times) * width if closed is None else column[closed.time_ns, 1]
        bar = "|" + labels[op.index].center(stop - start - 1, "-") + ("- - -" if closed is None else "|")
        name = f"process {op.process}"
        lanes[name] = lanes.get(name, "").ljust(start) + bar
    margin = max(map(len, lanes))
    return "\n".join(f"{name.ljust(margin)}: {lane}" for name, lane in lanes.items())


def _label(op: Op, end: Op | None) -> str:
    back = end.value if end is not None and end.type is Type.OK else MISSING
    value = op.value if back is MISSING else back
    if value is None and op.value is not MISSING:
        value = op.value  # a completion that repeats nothing of its call
    shown = "" if value is MISSING else f" {value!r}"
    if len(shown) > LABEL_MAX:
        shown = shown[:LABEL_MAX] + "…"
    return f"{op.f}{shown} #{op.index}" + (" fail" if end is not None and end.type is Type.FAIL else "")
