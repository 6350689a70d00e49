"""From a bad prefix of thousands of operations to the few that matter, without ever making a good history bad.

    prefix ──► start late ──► ddmin over units ──► one by one ──► core
      each arrow removes operations by a rule below, and the search must still say INVALID; its shorter bad prefix is kept too

The rules. If what is left is INVALID, so was the history:

    prefix       cut at an instant; what is still open may be left out, but if it happened it returned what it did
    observer     an operation that changes nothing in any state: a read, a contains, a take that found nothing
    cluster      register: a value with all that wrote, read or replaced it, and the values that replaced it
                 container: an element with all that added, took or showed it; an add is never parted from its remove
    unseen       register: one write of a value that nothing left has read or expects
    late start   register: what had returned before an acknowledged write was called, with the reads beside that write; no successful
                 compare-and-set may be beside it. What is left before it are blind writes, and they fit anywhere; so the last write of
                 each value that is still read stays

A failed compare-and-set that counts as an observation leaves only `prefix` and `observer`. Never: a write without its reads, an enqueue without
its dequeue, an interval made shorter. Pure: the clock is passed in. Reference: Zeller & Hildebrandt, Simplifying and isolating failure-inducing
input, 2002, for ddmin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from checkers.history import History
from checkers.jsonl import encode_op, encode_value
from checkers.op import MISSING, Op, Type

Answer = dict[str, Any]
Ask = Callable[
    [History, int], Answer | None
]  # a history and ms: the search's answer if it is INVALID, else None
Clock = Callable[[], float]
OBSERVERS: Final = ("read", "get", "contains")
TAKERS: Final = ("dequeue", "pop", "poll")
REGISTERS: Final = ("register", "cas-register")
NIL: Final = encode_value(None)
CONTAINERS: Final = ("queue", "stack", "priority-queue", "append-list", "grow-set", "set")


@dataclass(frozen=True, slots=True)
class Core:
    """What is left: impossible as it is, and already at the instant `until_ns`. `answer` is the search's, in the history's own indices."""

    ops: tuple[int, ...]
    until_ns: int
    answer: Answer
    minimal: bool  # nothing more can be removed by the rules; False when time was up
    tests: int


class Operation(NamedTuple):
    """A call, and its completion if there is one."""

    call: Op
    end: Op | None

    @property
    def ok(self) -> bool:
        """It returned."""
        return self.end is not None and self.end.type is Type.OK

    @property
    def result(self) -> Any:
        """What it returned; MISSING if nobody knows."""
        return self.end.value if self.end is not None and self.ok else MISSING


Observes = Callable[[Operation], bool]


def observes_in(model: str, failed_cas: bool) -> Observes:
    """Which operations of a built-in model change nothing, whatever the state."""

    def observes(operation: Operation) -> bool:
        f, result = operation.call.f, operation.result
        if f in OBSERVERS:
            return True
        if f == "cas":
            return failed_cas and operation.end is not None and operation.end.type is Type.FAIL
        if f == "txn":
            return all(kind == "read" for kind, _, _ in operation.call.value)
        return model in CONTAINERS and f in TAKERS and operation.ok and result is None

    return observes


@dataclass
class Shrinker:
    """One bad key on its way down. `model` None: an object that is not ours, of which only `observes` is known."""

    history: History
    model: str | None
    observes: Observes
    failed_cas: bool
    ask: Ask
    clock: Clock
    deadline_s: float
    tests: int = 0
    _records: dict[int, tuple[Operation, bytes, bytes]] = field(default_factory=dict)

    def core(self, answer: Answer) -> Core:
        """Shrink the prefix that the search found. Its answer's indices are the history's.

        If that knew the future, it is no prefix that is bad by itself: begin with the whole key.
        """
        best = Core(tuple(answer["ops"]), self._until(answer), answer, False, 0)
        if not answer["minimal"]:
            key = self.history.op(answer["blocking"]).key
            calls = [op for op in self.history if op.type is Type.INVOKE and isinstance(op.process, int)]
            whole = tuple(op.index for op in calls if encode_value(op.key) == encode_value(key))
            best = Core(whole, max(op.time_ns for op in self.history), answer, False, 0)
        if not self._in_time():
            return best
        if self.model in REGISTERS and not self.failed_cas:
            best = self._start_late(best)
        while self._in_time():
            before = best.ops
            for units in (self._clusters, self._unseen, self._observed):
                best = self._without(best, units)
            if best.ops == before:
                return Core(best.ops, best.until_ns, best.answer, self._in_time(), self.tests)
        return Core(best.ops, best.until_ns, best.answer, False, self.tests)

    def _in_time(self) -> bool:
        return self.clock() < self.deadline_s

    def _until(self, answer: Answer) -> int:
        end = self.history.completion(answer["blocking"])
        assert end is not None, "what blocks has returned"
        return end.time_ns

    def operation(self, index: int) -> Operation:
        """The operation that was called so."""
        return self._record(index)[0]

    def _record(self, index: int) -> tuple[Operation, bytes, bytes]:
        if index not in self._records:
            call, end = self.history.op(index), self.history.completion(index)
            lines = [
                b"" if op is None else encode_op(msgspec.structs.replace(op, index=-1)) for op in (call, end)
            ]
            self._records[index] = (Operation(call, end), lines[0], lines[1])
        return self._records[index]

    def _try(self, ops: Iterable[int], until_ns: int) -> Core | None:
        """What is left of these if they are bad no later than at that instant, cut where the search found them bad."""
        if not self._in_time():
            return None
        kept = sorted(ops)
        events: list[tuple[int, bytes]] = []
        for index in kept:
            operation, call, end = self._record(index)
            events.append((index, call))
            if operation.end is not None:
                events.append((operation.end.index, end))
        events.sort()
        self.tests += 1
        names = [index for index, _ in events]
        smaller = History.parse(b"".join(line for _, line in events))
        answer = self.ask(smaller, max(1, round(1000 * (self.deadline_s - self.clock()))))
        if answer is None or not answer["minimal"]:
            return None
        stuck = [(state, [names[at] for at in order]) for state, order in answer["stuck"]]
        answer = {**answer, "ops": [names[at] for at in answer["ops"]], "stuck": stuck}
        answer["blocking"] = names[answer["blocking"]]
        until = self._until(answer)
        return Core(tuple(answer["ops"]), until, answer, False, self.tests) if until <= until_ns else None

    def _start_late(self, best: Core) -> Core:
        """Forget the beginning: from the last writes back, in steps that double, the first write from which it is bad."""
        known = [self.operation(index) for index in best.ops]
        done = [one for one in known if one.ok and one.end is not None and one.end.time_ns <= best.until_ns]
        writes = sorted((one for one in done if one.call.f == "write"), key=lambda one: -one.call.time_ns)
        step = 1
        while step <= len(writes) and self._in_time():
            start = writes[step - 1]
            step *= 2
            left = _after(start, known)
            found = None if left is None else self._try(left, best.until_ns)
            if found is not None:
                return found
        return best

    def _without(self, best: Core, units: Callable[[Core], list[frozenset[int]]]) -> Core:
        """ddmin: leave out halves of the units, quarters, …, at last single ones, as long as it stays bad."""
        parts = units(best)
        size = max(1, len(parts) // 2)
        while parts:
            at, removed = 0, False
            while at < len(parts) and self._in_time():
                gone = frozenset().union(*parts[at : at + size])
                found = self._try(set(best.ops) - gone, best.until_ns)
                if found is None:
                    at += size
                    continue
                best, removed = found, True
                del parts[at : at + size]
                left = frozenset(best.ops)
                parts = [part & left for part in parts]
                at = min(at, len(parts))
                parts = [*(part for part in parts[:at] if part), *(part for part in parts[at:] if part)]
                at = min(at, len(parts))
            if (size == 1 and not removed) or not self._in_time():
                break
            size = max(1, size // 2)
        return best

    def _observed(self, best: Core) -> list[frozenset[int]]:
        """Each operation that changes nothing."""
        return [frozenset((index,)) for index in best.ops if self.observes(self.operation(index))]

    def _unseen(self, best: Core) -> list[frozenset[int]]:
        """Each write of a value that nothing left has read or expects."""
        if self.model not in REGISTERS or self.failed_cas:
            return []
        known = {index: self.operation(index) for index in best.ops}
        seen = {value for one in known.values() if (value := _seen(one)) is not None}
        return [
            frozenset((index,))
            for index, one in known.items()
            if one.call.f == "write" and encode_value(one.call.value) not in seen
        ]

    def _clusters(self, best: Core) -> list[frozenset[int]]:
        """Each value with all that touches it."""
        known = {index: self.operation(index) for index in best.ops}
        if self.failed_cas and any(one.call.f == "cas" for one in known.values()):
            return []
        if self.model in REGISTERS:
            return register_clusters(known)
        return container_clusters(known) if self.model in CONTAINERS else []


def _after(start: Operation, known: Sequence[Operation]) -> set[int] | None:
    """What is left of a register's operations by the rule `late start`; None if a compare-and-set forbids it.

    Of what had returned, the last write of each value that is still read is kept: a read must not look as if nobody wrote its value.
    """
    assert start.end is not None, "an acknowledged write has returned"
    begin, done = start.call.time_ns, start.end.time_ns
    left: list[Operation] = []
    writers: dict[str, Operation] = {}
    for one in sorted(known, key=lambda one: one.call.time_ns):
        if one.ok and one.end is not None and one.end.time_ns < begin:
            if one.call.f == "cas":
                writers.pop(encode_value(one.call.value[1]), None)
            elif one.call.f == "write":
                writers[encode_value(one.call.value)] = one
        elif not one.ok or one.call.time_ns > done or one.call.f == "write":
            left.append(one)
        elif one.call.f == "cas":
            return None
    sources = _sources(left, writers)
    return None if sources is None else {one.call.index for one in (*left, *sources)}


def _sources(left: Sequence[Operation], writers: dict[str, Operation]) -> list[Operation] | None:
    """Those of the writers without which a value that is left would look as if nobody wrote it; None if there is no such writer.

    A compare-and-set writes its value only where somebody has written what it expects: not itself, nor another that waits for it.
    """
    there = {encode_value(one.call.value) for one in left if one.call.f == "write"} | {NIL}
    cases = [tuple(map(encode_value, one.call.value)) for one in left if one.call.f == "cas"]
    wanted = {value for one in left if (value := _seen(one)) is not None}
    kept: list[Operation] = []
    while True:
        while more := {new for old, new in cases if old in there} - there:
            there |= more
        missing = sorted(wanted - there)
        if not missing:
            return kept
        made = {new for _, new in cases}
        value = next((value for value in missing if value not in made), missing[0])
        if value not in writers:
            return None
        kept.append(writers[value])
        there.add(value)


def _seen(one: Operation) -> str | None:
    """The value that a register's operation found or expects."""
    if one.call.f == "cas":
        return encode_value(one.call.value[0])
    return encode_value(one.result) if one.call.f == "read" and one.ok else None


def register_clusters(known: dict[int, Operation]) -> list[frozenset[int]]:
    """For each value: what wrote it, read it or put it there by compare-and-set, with the clusters of all that replaced it."""
    touching: dict[str, set[int]] = {}
    replaced: dict[str, set[str]] = {}
    for index, one in known.items():
        if one.call.f == "cas":
            old, new = map(encode_value, one.call.value)
            replaced.setdefault(old, set()).add(new)
            touching.setdefault(new, set()).add(index)
        elif one.call.f == "write":
            touching.setdefault(encode_value(one.call.value), set()).add(index)
        elif (value := _seen(one)) is not None:
            touching.setdefault(value, set()).add(index)
    clusters = []
    for value in {**touching, **replaced}:
        closed, todo = {value}, [value]
        while todo:
            fresh = replaced.get(todo.pop(), set()) - closed
            closed |= fresh
            todo += fresh
        clusters.append(frozenset(index for one in closed for index in touching.get(one, ())))
    return list(dict.fromkeys(clusters))


def container_clusters(known: dict[int, Operation]) -> list[frozenset[int]]:
    """For each element: all that added it, took it, asked for it, or showed it."""
    touching: dict[str, set[int]] = {}
    for index, one in known.items():
        f, result = one.call.f, one.result
        if f == "read":
            elements = result if one.ok else []
        elif f in TAKERS:
            elements = [] if result is MISSING or result is None else [result]
        else:
            elements = [one.call.value]
        for element in elements:
            touching.setdefault(encode_value(element), set()).add(index)
    return [frozenset(cluster) for cluster in touching.values()]
