"""Final reads that differ are never VALID, unless an acknowledged update came between; and INVALID only where no order of the updates gives them.

The oracle tries every order of the calls that respects time, with updates of unknown outcome anywhere after their call, or nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from histories import one_by_one
from hypothesis import example, given, settings
from hypothesis import strategies as st

from checkers import History, Op, Type, Verdict, check

VALID, INVALID, UNKNOWN = Verdict.VALID, Verdict.INVALID, Verdict.UNKNOWN
FINAL = "final-read"
INFO = (None, "info")


@dataclass(frozen=True)
class Did:
    """A call from `at` to `end`."""

    f: str
    value: Any
    at: int
    end: int
    kind: Type = Type.OK

    def before(self, other: Did) -> bool:
        return self.kind is Type.OK and self.end < other.at


def history_of(calls: Sequence[Did]) -> History:
    records = []
    for process, call in enumerate(calls):
        given = call.value if call.f != FINAL else None
        records.append(Op(-1, call.at, process, Type.INVOKE, call.f, None, given))
        result = call.value if call.f == FINAL else given
        records.append(Op(-1, call.end, process, call.kind, call.f, None, result))
    return History.from_ops(sorted(records, key=lambda op: op.time_ns))


def orders(left: Sequence[Did]) -> Iterator[tuple[Did, ...]]:
    """Every order that respects time. What need not have happened may be left out."""
    if all(call.kind is not Type.OK for call in left):
        yield ()
    for call in left:
        if not any(other.before(call) for other in left if other is not call):
            for rest in orders([other for other in left if other is not call]):
                yield (call, *rest)


def counts(order: Sequence[Did]) -> bool:
    total = 0
    for call in order:
        if call.f == FINAL and call.value != total:
            return False
        total += call.value if call.f == "add" else 0
    return True


def elements(order: Sequence[Did]) -> bool:
    """A remove takes away what was acknowledged before its call, and of the rest whatever it has seen. One element."""
    states = [frozenset[Did]()]
    for call in order:
        if call.f == "add":
            states = [state | {call} for state in states]
        elif call.f == "remove":
            states = [left for state in states for left in kept(state, call)]
        else:
            states = [state for state in states if bool(state) == bool(call.value)]
    return bool(states)


def kept(state: frozenset[Did], remove: Did) -> Iterator[frozenset[Did]]:
    free = [add for add in state if not add.before(remove)]
    for bits in range(1 << len(free)):
        yield frozenset(add for place, add in enumerate(free) if bits >> place & 1)


def drawn(values: st.SearchStrategy[Any], *functions: str) -> st.SearchStrategy[list[Did]]:
    """Two to three final reads, up to three updates."""

    @st.composite
    def made(draw: st.DrawFn) -> list[Did]:
        reads = draw(st.integers(2, 3))
        updates = [draw(st.sampled_from(functions)) for _ in range(draw(st.integers(1, 3)))]
        times = iter(draw(st.permutations(range(2 * (reads + len(updates))))))
        calls = []
        for f in [*updates, *[FINAL] * reads]:
            at, end = sorted((next(times), next(times)))
            kind = Type.OK if f == FINAL else draw(st.sampled_from((Type.OK, Type.INFO, Type.FAIL)))
            value = draw(st.integers(-3, 3)) if functions == ("add",) and f == "add" else 7
            calls.append(Did(f, draw(values) if f == FINAL else value, at, end, kind))
        return calls

    return made()


def agrees_with(calls: Sequence[Did], model: str, fits: Any) -> None:
    """The verdict is one that the oracle allows."""
    could = any(map(fits, orders([call for call in calls if call.kind is not Type.FAIL])))
    result = check(history_of(calls), model)
    if result.verdict is INVALID:
        assert not could, result.reason
        assert result.certificate is not None
    moving = any(
        call.f != FINAL and call.kind is Type.OK and not call.before(read)
        for read in calls if read.f == FINAL for call in calls
    )  # fmt: skip
    if not could and not moving:
        assert result.verdict is not VALID, result.reason
    shown = {str(call.value) for call in calls if call.f == FINAL}
    if len(shown) > 1 and not moving:
        assert result.verdict is not VALID, (
            "final reads differ, and nothing that was acknowledged came between"
        )


@settings(max_examples=400, deadline=None)
@given(drawn(st.integers(-3, 3), "add"))
@example([Did("add", 1, 0, 1, Type.INFO), Did(FINAL, 1, 2, 3), Did(FINAL, 0, 4, 5)])
@example([Did("add", 1, 0, 1, Type.INFO), Did(FINAL, 0, 2, 3), Did(FINAL, 1, 4, 5)])
@example([Did("add", 1, 0, 5), Did(FINAL, 0, 1, 2), Did(FINAL, 1, 3, 4)])
def test_counters(calls: list[Did]) -> None:
    agrees_with(calls, "pn-counter", counts)


@settings(max_examples=400, deadline=None)
@given(drawn(st.sampled_from(([], [7])), "add", "remove"))
@example([Did("add", 7, 0, 3), Did("remove", 7, 1, 2), Did(FINAL, [7], 4, 5), Did(FINAL, [], 6, 7)])
@example([Did("add", 7, 0, 1, Type.INFO), Did(FINAL, [7], 2, 3), Did(FINAL, [], 4, 5)])
def test_sets(calls: list[Did]) -> None:
    agrees_with(calls, "or-set", elements)


def write(value: int, seen: Sequence[int] = (), *ends: Any) -> tuple[Any, ...]:
    return ("write", {"value": value, "seen": list(seen)}, *ends)


def version(value: int, time: int) -> dict[str, Any]:
    return {"value": value, "version": [time, "n1"]}


CASES: list[tuple[str, str, Verdict, list[tuple[Any, ...]]]] = [
    ("g-counter", "what was shown is gone", INVALID, [("add", 2), ("add", 1, *INFO), (FINAL, None, 3), (FINAL, None, 2)]),
    ("g-counter", "it may have come between", UNKNOWN, [("add", 2), ("add", 1, *INFO), (FINAL, None, 2), (FINAL, None, 3)]),
    ("g-counter", "twice", INVALID, [("add", 1, *INFO), (FINAL, None, 0), (FINAL, None, 1), (FINAL, None, 0), (FINAL, None, 1)]),
    ("g-counter", "an update between", VALID, [("add", 2), (FINAL, None, 2), ("add", 1), (FINAL, None, 3)]),
    ("or-set", "what was shown is gone", INVALID, [("add", 1, *INFO), (FINAL, None, [1]), (FINAL, None, [])]),
    ("or-set", "it may have come between", UNKNOWN, [("add", 2), ("add", 1, *INFO), (FINAL, None, [2]), (FINAL, None, [1, 2])]),
    ("or-set", "a remove in doubt", UNKNOWN, [("add", 1), ("remove", 1, *INFO), (FINAL, None, [1]), (FINAL, None, [])]),
    ("or-set", "a remove in doubt, and back", INVALID, [("add", 1), ("remove", 1, *INFO), (FINAL, None, []), (FINAL, None, [1])]),
    ("or-set", "another order", VALID, [("add", 1), ("add", 2), (FINAL, None, [1, 2]), (FINAL, None, [2, 1])]),
    ("mv-register", "what was shown is gone", INVALID, [write(1), write(2, (), *INFO), (FINAL, None, [1, 2]), (FINAL, None, [1])]),
    ("mv-register", "it may have come between", UNKNOWN, [write(1), write(2, (1,), *INFO), (FINAL, None, [1]), (FINAL, None, [2])]),
    ("mv-register", "what was replaced is back", INVALID, [write(1), write(2, (1,), *INFO), (FINAL, None, [2]), (FINAL, None, [1])]),
    ("lww", "the version went back", INVALID, [("write", 1, version(1, 1)), ("write", 2, *INFO), (FINAL, None, version(2, 2)), (FINAL, None, version(1, 1))]),
    ("lww", "it may have come between", UNKNOWN, [("write", 1, version(1, 1)), ("write", 2, *INFO), (FINAL, None, version(1, 1)), (FINAL, None, version(2, 2))]),
    ("lww", "one value, two versions", INVALID, [("write", 1, *INFO), (FINAL, None, version(1, 1)), (FINAL, None, version(1, 2))]),
    ("lww", "one version, two values", INVALID, [("write", 1, *INFO), ("write", 2, *INFO), (FINAL, None, version(1, 1)), (FINAL, None, version(2, 1))]),
]  # fmt: skip


@pytest.mark.parametrize(("model", "what", "verdict", "calls"), CASES, ids=[f"{one[0]}: {one[1]}" for one in CASES])  # fmt: skip
def test_by_hand(model: str, what: str, verdict: Verdict, calls: list[tuple[Any, ...]]) -> None:
    history = one_by_one(*calls)
    result = check(history, model)
    assert result.verdict is verdict, result.reason
    if verdict is INVALID:
        assert result.anomaly == "diverged"
        assert result.certificate is not None
        core = set(result.certificate.ops)
        kept = [op for op in history if (history.invocation(op.index) or op).index in core]
        again = check(
            History.from_ops(Op(-1, op.time_ns, op.process, op.type, op.f, op.key, op.value) for op in kept),
            model,
        )
        assert again.verdict is INVALID
    if verdict is UNKNOWN:
        assert "may have come between" in result.reason


def test_replicas_that_differ_for_good_are_convicted_by_a_second_reading() -> None:
    """A store that loses an update on its way to one replica, and repairs nothing: of whichever replica is read first."""
    for first, second in (([1], []), ([], [1])):
        reads = [(FINAL, None, first), (FINAL, None, second)] * 2
        assert check(one_by_one(("add", 1, *INFO), *reads), "or-set").anomaly == "diverged"
