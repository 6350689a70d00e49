"""How each process of the nodes ended: asked to by a fault, by itself while a fault might have made it, or by itself with no reason that we gave.

    asked       SIGKILL or SIGTERM of ours               as planned, unless one that was told to end politely ends otherwise
    answer      a fault of its disk or its memory        an end is one way to answer it: told in the table
    by itself   nothing of this                          told at the top of the page: a crash that nobody asked for

A run brings back what has ended, so the history alone may show nothing of it. `ends` of environment.json is what the worlds saw
(harness/worlds/hosts/endings.py, harness/worlds/sim/node.py); a run of before has none.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from harness.report import words
from harness.report.folder import RunFiles

ANSWERS: Final = frozenset({"disk-full", "read-only", "io-error", "slow-disk", "lying-fsync", "bitflip", "truncate", "snapshot-restore", "memory-pressure"})  # fmt: skip
"""Kinds of fault to which a process may answer by ending."""
AFTER_NS: Final = 1_000_000_000
SIGNALLED: Final = 128  # a shell's status of a process that a signal ended is this and the signal's number
TOLD_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class End:
    """One process. `at_ns` is in the time of the run, None of one that ran when the run was over; `faults` are kinds on its node then."""

    node: str
    pid: int
    at_ns: int | None
    status: int | None
    asked: str
    said: str
    faults: tuple[str, ...]

    @property
    def signal(self) -> str:
        """The name of the signal that ended it; nothing if none did."""
        if self.status is None or self.status <= SIGNALLED:
            return ""
        try:
            return signal.Signals(self.status - SIGNALLED).name
        except ValueError:
            return ""

    @property
    def is_rude(self) -> bool:
        """Told to end by SIGTERM it ended with an error, or by another signal."""
        return self.asked == "TERM" and self.status not in (None, 0) and self.signal != "SIGTERM"

    @property
    def is_unexpected(self) -> bool:
        """Nobody asked for it, and no fault on its node may have made it."""
        return self.at_ns is not None and (self.is_rude or (not self.asked and not ANSWERS & {*self.faults}))

    @property
    def how(self) -> str:
        """In words."""
        if self.at_ns is None:
            return "ran when the run was over"
        told = f"status {self.status}" if self.status is not None else ""
        told = f"{self.signal}, {told}" if self.signal else told
        return "; ".join(each for each in (told, self.said) if each) or "gone"

    @property
    def why(self) -> str:
        """Who wanted it; nothing of one that ran on."""
        if self.is_unexpected:
            return "not as asked" if self.asked else "unasked"
        return "" if self.at_ns is None else f"SIG{self.asked}" if self.asked else "by itself"


def ends_of(run: RunFiles) -> list[End]:
    """All that is known, by time; those that ran on last."""
    began = _began_s(run.environment)
    found = [_end(each, began, run) for each in run.environment.get("ends") or () if began is not None]
    return sorted(found, key=lambda end: (end.at_ns is None, end.at_ns or 0, end.node))


def _began_s(environment: Mapping[str, Any]) -> float | None:
    """The zero of the history, in the time that `at_s` is told in."""
    match environment.get("began"):
        case str(text):
            return datetime.fromisoformat(text).timestamp()
        case int() | float() as seconds:
            return float(seconds)
    return None


def _end(told: Mapping[str, Any], began_s: float, run: RunFiles) -> End:
    at_ns = None if told["running"] or told["at_s"] is None else round((told["at_s"] - began_s) * 1e9)
    faults = () if at_ns is None else tuple(dict.fromkeys(_on(run, str(told["node"]), at_ns)))
    return End(str(told["node"]), int(told["pid"]), at_ns, told["status"], str(told["asked"]), str(told.get("words") or ""), faults)  # fmt: skip


def _on(run: RunFiles, node: str, at_ns: int) -> Iterator[str]:
    """The kinds of fault that struck a node at a time, or until shortly before."""
    for fault in run.faults:
        end_ns = run.end_ns if fault.get("end_ns") is None else int(fault["end_ns"])
        if (
            node in (fault.get("nodes") or ())
            and int(fault.get("start_ns") or 0) <= at_ns <= end_ns + AFTER_NS
        ):
            yield str(fault["kind"])


def alarms(run: RunFiles) -> list[str]:
    """Sentences for the top of the page: each end that nobody asked for."""
    bad = [end for end in ends_of(run) if end.is_unexpected]
    told = [_alarm(end) for end in bad[:TOLD_MAX]]
    if len(bad) > TOLD_MAX:
        told.append(f"So did {len(bad) - TOLD_MAX:,} more: see Processes.")
    return told


def _alarm(end: End) -> str:
    at = f"{(end.at_ns or 0) / 1e9:.2f} s into the run"
    if end.is_rude:
        return f"The process on {end.node} was told to end {at} (SIGTERM), and ended with {end.how}."
    beside = f", during {words.join(end.faults)} there or within a second after" if end.faults else ""
    return f"The process on {end.node} ended by itself {at} ({end.how}){beside}: no fault was to end it."


def in_words(run: RunFiles) -> str:
    """How many ended, and by whose will; of which nodes it is not known."""
    if "ends" not in run.environment:
        return "How the processes of the nodes ended was not recorded in this run."
    ends = [end for end in ends_of(run) if end.at_ns is not None]
    unknown = [node for node in run.nodes if node not in run.environment.get("ends_of", ())]
    bad = sum(end.is_unexpected for end in ends)
    asked = sum(bool(end.asked) and not end.is_rude for end in ends)
    counts = {
        "because a fault or the heal told it to": asked,
        "by itself under a fault of its disk or memory": len(ends) - bad - asked,
        "by itself, unasked": bad,
    }
    told = "No process ended before the run was over."
    if ends:
        parts = [f"{words.number(count)} {what}" for what, count in counts.items() if count]
        told = f"{_ended(len(ends))} before the run was over: {words.join(parts)}{'' if bad else '; none unasked'}."
    return f"{told} Of {words.join(unknown)} it is not known." if unknown else told


def _ended(count: int) -> str:
    return "1 process ended" if count == 1 else f"{count:,} processes ended"


def rows(run: RunFiles) -> Iterator[tuple[str, ...]]:
    """Node, process, when, how, by whose will, and the faults on the node then."""
    for end in ends_of(run):
        at = "–" if end.at_ns is None else f"{end.at_ns / 1e9:.3f} s"
        yield end.node, str(end.pid), at, end.how, end.why, words.join(end.faults) or "–"  # fmt: skip
