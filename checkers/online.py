r"""Watching a history of registers while it grows: necessary conditions, each in O(log n), so that a run can end at its first violation.

    a value that was returned    was written by somebody, and not by a call that surely failed        thin-air, aborted-read
    a value that is too old      its write had been acknowledged before another was called that was known to have happened
                                 before the read began: acknowledged, or read by somebody              stale-read

        write 1 |---|   write 2 |---|                     known when the read begins: 2
                                       read -> 1 |---|     1 ended before 2 was called: 1 can never come back

What is said here is always true (a subset of what `checkers.register` finds); silence proves nothing. Keys on which a value is written twice, or
something else is done than reading and writing, are not watched.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable
from dataclasses import dataclass, field

from checkers.bespoke.calls import token
from checkers.op import MISSING, Op, Type


@dataclass(slots=True)
class _Write:
    """A write by its value: when it was called, when it ended ok, whether it surely failed."""

    call_ns: int
    index: int
    ret_ns: int | None = None
    failed: bool = False


@dataclass(slots=True)
class _Key:
    """`known` rises in time: (when it was known, the latest call of a write known by then, that write)."""

    writes: dict[Hashable, _Write] = field(default_factory=dict)
    known_ns: list[int] = field(default_factory=list)
    known: list[_Write] = field(default_factory=list)
    watched: bool = True


class RegisterWatch:
    """Give it every record in order: `see(op)` returns the first violation in one sentence, and None until then and after."""

    def __init__(self) -> None:
        self._keys: dict[Hashable, _Key] = {}
        self._open: dict[int | str, Op] = {}
        self.found: str | None = None

    def see(self, op: Op) -> str | None:
        """Look at one record."""
        if self.found is not None or not isinstance(op.process, int):
            return None
        key = self._keys.setdefault(_stand_in(op.key), _Key())
        if op.f not in ("read", "write"):
            key.watched = False  # it may have written, too
            return None
        if op.type is Type.INVOKE:
            self._open[op.process] = op
            if op.f == "write":
                self._called(key, op)
            return None
        call = self._open.pop(op.process, None)
        if call is not None and key.watched:
            self.found = self._ended(key, call, op)
        return self.found

    def _called(self, key: _Key, op: Op) -> None:
        value = _stand_in(op.value)
        if value in key.writes or op.value is MISSING or op.value is None:
            key.watched = False  # no value tells which write it is of
        key.writes[value] = _Write(op.time_ns, op.index)

    def _ended(self, key: _Key, call: Op, end: Op) -> str | None:
        if call.f == "write":
            write = key.writes[_stand_in(call.value)]
            if end.type is Type.OK:
                write.ret_ns = end.time_ns
                self._know(key, end.time_ns, write)
            write.failed = end.type is Type.FAIL
            return None
        if end.type is not Type.OK or end.value is MISSING:
            return None
        own = key.writes.get(_stand_in(end.value))
        told = f"read #{call.index} of key {call.key!r} by process {call.process} returned {end.value!r}"
        if end.value is not None and own is None:
            return f"thin-air: {told}, which nobody had asked to write"
        if own is not None and own.failed:
            return f"aborted-read: {told}, but write #{own.index} had failed"
        newest = self._newest(key, call.time_ns)
        if newest is not None:
            too_old = end.value is None or (
                own is not None and own.ret_ns is not None and own.ret_ns < newest.call_ns
            )
            if too_old:
                return f"stale-read: {told}, although write #{newest.index} was known to have happened before the read began"
        if own is not None:
            self._know(key, end.time_ns, own)
        return None

    @staticmethod
    def _know(key: _Key, at_ns: int, write: _Write) -> None:
        """From now on it is known that this write has happened; records come in the order of time."""
        latest = write if not key.known or write.call_ns > key.known[-1].call_ns else key.known[-1]
        key.known_ns.append(at_ns)
        key.known.append(latest)

    @staticmethod
    def _newest(key: _Key, before_ns: int) -> _Write | None:
        place = bisect_left(key.known_ns, before_ns)
        return key.known[place - 1] if place else None


def _stand_in(value: object) -> Hashable:
    """Equal for equal values of one type, hashable for any."""
    return MISSING if value is MISSING else token(value)
