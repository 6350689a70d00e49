"""mv-register: concurrent writes stay side by side as siblings until a write that saw them replaces them.

    write {"value": v, "seen": [a, b]}     the writer had read siblings a and b and passed their context on
    read, final-read -> [v, w]             siblings; a final-read is made after the heal, when the replicas had time to agree

    a is below v if v saw a, or saw something that a is below. Values are unique.

    obsolete-sibling   a read shows a and v, and a is below v (this is how siblings explode)
    duplicate-sibling  a read shows one value twice: its write took effect twice
    lost-update        an acknowledged write is not in a final-read and not below anything in it
    resurrection       mv-register-session: a session read something, and later neither that nor a write that saw it
    diverged           two final-reads differ, and no write that may have come between them explains it (`agreement`)
    unexpected, aborted-read, future-read     see `origins`

From: Shapiro et al., A comprehensive study of CRDTs (2011), 3.2.3; Preguiça, Baquero, Almeida, Fonte, Gonçalves, Dotted version vectors (2010).
Jepsen has no such checker. Contexts themselves are opaque to the checker: what was read with them says the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from functools import partial
from typing import Any

from checkers.bespoke.agreement import AGREE, DIVERGED, Step, agreement, between, step_by, worse
from checkers.bespoke.calls import Call, Unfit, items, named, order, plain, shown, token
from checkers.bespoke.judging import Finding, Outcome, judged, too_late
from checkers.bespoke.origins import Origins
from checkers.history import History
from checkers.verdict import Result

FUNCTIONS = ("write", "read", "final-read")


def check_mv_register(history: History) -> Result:
    """Siblings, and what the final reads must still show."""
    return judged("mv-register", history, FUNCTIONS, lambda calls: _judge(calls, sessions=False))


def check_mv_register_session(history: History) -> Result:
    """The same, and a session never goes back: only for stores that promise it."""
    return judged("mv-register-session", history, FUNCTIONS, lambda calls: _judge(calls, sessions=True))


class _Versions:
    """Writes by value, and what each has below it."""

    def __init__(self, writes: list[Call]) -> None:
        self.origins = Origins()
        self._seen: dict[Hashable, list[Hashable]] = {}
        self._below: dict[Hashable, frozenset[Hashable]] = {}
        for write in writes:
            if not isinstance(write.value, dict) or not isinstance(write.value.get("seen"), list):
                raise Unfit(f'write #{write.index} has no {{"value": …, "seen": […]}}')
            value = token(write.value.get("value"))
            if value in self._seen:
                raise Unfit(f"{shown(write.value)} is written twice; write each value once")
            self._seen[value] = list(map(token, write.value["seen"]))
            self.origins.calls[value] = [write]
        for write in writes:
            value = token(write.value.get("value"))
            if value in self.below(value):
                raise Unfit(
                    f"write #{write.index} saw itself: {shown(write.value)}; give what it had read before"
                )

    def below(self, value: Hashable) -> frozenset[Hashable]:
        """All that the value replaces, directly or not."""
        if value not in self._below:
            found: set[Hashable] = set()
            stack = list(self._seen.get(value, ()))
            while stack:
                one = stack.pop()
                if one not in found:
                    found.add(one)
                    stack += self._seen.get(one, ())
            self._below[value] = frozenset(found)
        return self._below[value]

    def chain(self, newer: Hashable, older: Hashable) -> list[Call]:
        """The writes by which the newer value replaces the older: each saw the one before. The shortest chain."""
        came: dict[Hashable, Hashable] = {}
        queue = [newer]
        for one in queue:
            for seen in self._seen.get(one, ()):
                if seen not in came:
                    came[seen] = one
                    queue.append(seen)
        values = [older]
        while values[-1] != newer:
            values.append(came[values[-1]])
        return [self.origins.calls[one][0] for one in values if one in self.origins.calls]


def _judge(calls: list[Call], *, sessions: bool) -> Outcome:
    versions = _Versions(named(calls, "write"))
    reads = [read for read in named(calls, "read", "final-read") if read.ok]
    finals = named(reads, "final-read")
    findings: list[Finding] = []
    resurrected = _resurrections(reads, versions)
    for read in finals:
        findings += _lost(read, versions)
    for read in reads:
        values = [token(item) for item in items(read)]
        findings += [wrong for value in values if (wrong := versions.origins.wrong(value, read)) is not None]
        findings += _obsolete(read, values, versions)
        for value, count in Counter(values).items():
            if count > 1:
                sentence = f"{read.f} #{read.index} returned {shown(plain(value))} {count} times"
                findings.append(
                    Finding("duplicate-sibling", sentence, [*versions.origins.calls.get(value, ()), read])
                )
    if sessions:
        findings += resurrected
    unsure: str | None = None
    if not findings:
        findings, unsure = agreement(finals, partial(_step, versions), lambda *both: _writes(versions, *both))
    stats: dict[str, Any] = {
        "write-count": len(versions.origins.calls),
        "read-count": len(reads),
        "final-read-count": len(finals),
        "max-sibling-count": max((len(read.result) for read in reads), default=0),
        "resurrection-count": len(resurrected),
    }
    untested = unsure if finals else "there is no final-read, so lost updates were not tested"
    idle = None
    if not any(read.result for read in reads):
        untested = untested or too_late(named(calls, "write"), finals)
    if not any(map(versions.origins.acked, versions.origins.calls)) and not any(
        read.result for read in reads
    ):
        idle = "no write was acknowledged and none was seen, so nothing was tested"
    return Outcome(
        f"{len(finals)} final reads show or replace every acknowledged write", findings, untested, stats, idle
    )


def _lost(read: Call, versions: _Versions) -> list[Finding]:
    shows = set(map(token, items(read)))
    covered = shows.union(*map(versions.below, shows))
    findings = []
    for value, (write,) in versions.origins.calls.items():
        if write.before(read) and value not in covered:
            sentence = (
                f"write {shown(plain(value))} #{write.index} was acknowledged, and final-read #{read.index} shows neither it "
                f"nor a write that saw it"
            )
            findings.append(Finding("lost-update", sentence, [write, read]))
    return findings


def _step(versions: _Versions, first: Call, second: Call) -> Step:
    """Does the second final read show what the first did, or what replaced it? And what is new came between."""
    before, after = (set(map(token, items(read))) for read in (first, second))
    covered = after.union(*map(versions.below, after))
    if before - covered:
        return DIVERGED
    found: Step = AGREE
    for value in order(after - before):
        writes = versions.origins.possible(value)
        found = worse(found, step_by([write for write in writes if between(write, first, second)]))
    return found


def _writes(versions: _Versions, first: Call, second: Call) -> list[Call]:
    values = order(set(map(token, [*items(first), *items(second)])))
    return [write for value in values for write in versions.origins.possible(value)]


def _obsolete(read: Call, values: list[Hashable], versions: _Versions) -> list[Finding]:
    findings = []
    for newer in values:
        for older in values:
            if older in versions.below(newer):
                writes = versions.chain(newer, older)
                sentence = f"{read.f} #{read.index} shows {shown(plain(older))} beside {shown(plain(newer))}, which had replaced it"
                findings.append(Finding("obsolete-sibling", sentence, [*writes, read]))
    return findings


def _resurrections(reads: list[Call], versions: _Versions) -> list[Finding]:
    """Reads of a session that have lost something that it had read. What they show, or what that replaces, is what they have."""
    findings = []
    known: dict[int, dict[Hashable, Call]] = {}
    for read in reads:
        before = known.setdefault(read.process, {})  # the values that the session has read last, and where
        values = list(map(token, items(read)))
        covered = set(values).union(*map(versions.below, values))
        gone = next((value for value in before if value not in covered), None)
        if gone is not None:
            first = before[gone]
            writes = [call for value in (gone, *values) for call in versions.origins.calls.get(value, ())]
            sentence = (
                f"{read.f} #{read.index} of process {read.process} shows neither {shown(plain(gone))}, which the process "
                f"had read in #{first.index}, nor a write that saw it"
            )
            findings.append(Finding("resurrection", sentence, [*writes, first, read]))
        else:
            before.clear()
        before.update((value, read) for value in values if value not in before)
    return findings
