"""The search's borders: how large a core is told of in which words, when brute force goes over it, and whose clock ends the shrinking."""

from __future__ import annotations

from itertools import count

import pytest

from checkers import MISSING, History, Type, Verdict, invoke
from checkers.explain import DRAWN_MAX, draw_core, explain
from checkers.op import Op
from checkers.search import CONFIRMED_MAX, POINTED_MAX, STATES_TOLD, Budget, _observes_of, check_model
from checkers.shrink import Operation
from checkers.special import NOT_APPLICABLE, applicable
from checkers.verdict import Result
from tests.checkers.test_fuzz_search import recorded
from tests.checkers.test_search import read, write


def only(result):
    (part,) = result.parts.values()
    return part


def in_a_row(size):
    """So many operations one after the other, the last of them a stale read."""
    writes = [write(n, 10 * n, 10 * n + 1) for n in range(size - 1)]
    return [*writes, read(0, 10 * size, 10 * size + 1)]


def hasty():
    """A clock by which all time is up at the second look."""
    ticks = count(0, 100)
    return lambda: float(next(ticks))


@pytest.mark.parametrize(("size", "told"), [(POINTED_MAX, True), (POINTED_MAX + 1, False)])
def test_a_core_that_was_not_made_small_is_told_of_by_one_read_only_if_it_is_short(size, told):
    result = check_model(recorded([in_a_row(size)]), "register", clock=hasty())
    assert len(result.certificate.ops) == size
    assert ("although write" in result.reason) is told
    assert (f"no order of the {size} operations" in result.reason) is not told


def test_an_operation_without_a_value_is_told_of_without_one():
    acquired = ("acquire", MISSING, MISSING, "ok")
    result = check_model(recorded([[(*acquired, 0, 1), (*acquired, 2, 3)]]), "mutex")
    assert "until acquire (#2, process 2) returned" in result.reason


@pytest.mark.parametrize(("states", "others"), [(STATES_TOLD, ""), (STATES_TOLD + 1, " or 1 others")])
def test_four_states_are_told_and_more_are_counted(states, others):
    ops = [*(write(n, 0, 10) for n in range(states)), read(99, 20, 21)]
    reason = check_model(recorded([ops]), "register", initial=0).reason
    told, rest = reason.split(" end in ")[1].split(" (")[0], others
    assert told.endswith(rest)
    assert told.removesuffix(rest).count(" or ") == STATES_TOLD - 1


def counted(adds):
    """A counter that was read one too low, by an operation that all adds came before: none can be left out."""
    ops = [("add", 1, 1, "ok", 10 * n, 10 * n + 1) for n in range(adds)]
    return [*ops, ("read", MISSING, adds - 1, "ok", 10 * adds, 10 * adds + 1)]


@pytest.mark.parametrize(("size", "confirmed"), [(CONFIRMED_MAX, True), (CONFIRMED_MAX + 1, False)])
def test_brute_force_goes_over_cores_up_to_a_size(size, confirmed):
    result = check_model(recorded([counted(size - 1)]), "counter", clock=lambda: 0.0)
    assert len(result.certificate.ops) == size
    assert only(result).stats["core_confirmed"] is confirmed


def test_brute_force_says_nothing_where_a_failed_cas_is_an_observation():
    """It knows no failed operation, so it would call the rest of this core possible, and the verdict would be gone."""
    ops = [write(1, 0, 1), ("cas", [1, 2], [1, 2], "fail", 2, 3)]
    result = check_model(recorded([ops]), "cas-register", failed_cas=True, clock=lambda: 0.0)
    assert result.verdict is Verdict.INVALID
    assert only(result).stats["core_confirmed"] is False


@pytest.mark.parametrize(("deadline_ms", "minimal"), [(5_000, False), (60_000, True)])
def test_shrinking_ends_with_the_deadline_of_the_whole(deadline_ms, minimal):
    """The search is over ten seconds after the beginning."""
    clock = iter([0.0, *[10.0] * 100_000]).__next__
    result = check_model(
        recorded([in_a_row(5)]), "register", budget=Budget(deadline_ms=deadline_ms), clock=clock
    )
    assert only(result).stats["core_minimal"] is minimal


class Named:
    """An object that says what it was asked about."""

    def __init__(self):
        self.asked = []

    def init(self):
        return None

    def step(self, state, call):
        return state

    def readonly(self, call):
        self.asked.append(call.result)
        return call.f == "read"


def test_an_operation_that_did_not_return_is_never_asked_about():
    history = recorded([[write(1, 0, 1), read(1, 2, 3), ("read", MISSING, MISSING, "info", 4, 5)]])
    calls = [op for op in history if op.type.name == "INVOKE"]
    known = [Operation(call, history.completion(call.index)) for call in calls]
    model = Named()
    assert [_observes_of(model)(one) for one in known] == [False, True, False]
    assert model.asked == [1, 1]


def part(verdict, reason):
    return Result("linearizable", verdict, reason)


@pytest.mark.parametrize(
    ("parts", "does"),
    [
        ([part(Verdict.VALID, "fits")], True),
        ([part(Verdict.UNKNOWN, f"key 1: {NOT_APPLICABLE}: twice")], False),
        ([part(Verdict.VALID, "fits"), part(Verdict.UNKNOWN, f"key 1: {NOT_APPLICABLE}: twice")], False),
        ([part(Verdict.UNKNOWN, "key 1: nothing returned")], True),
        ([part(Verdict.INVALID, f"{NOT_APPLICABLE}: a name of a value")], True),
        ([], True),
    ],
)
def test_a_method_applies_unless_it_says_that_it_does_not(parts, does):
    named = {str(number): each for number, each in enumerate(parts)}
    assert applicable(Result("linearizable", Verdict.UNKNOWN, "", parts=named)) is does


@pytest.mark.parametrize(("size", "more"), [(DRAWN_MAX, 0), (DRAWN_MAX + 1, 1)])
def test_operations_of_a_large_core_are_counted_from_the_twenty_fifth_on(size, more):
    history = recorded([counted(size - 1)])
    told = explain(history, check_model(history, "counter"))
    assert sum(line.startswith(("add", "read")) for line in told) == DRAWN_MAX
    assert [line for line in told if "more operations" in line] == [f"and {more} more operations"] * more


def test_a_failed_operation_is_drawn_with_what_it_was_asked_not_with_what_came_back():
    records = [
        invoke(0, "write", "x", 1, time_ns=0), Op(-1, 1, 0, Type.OK, "write", "x", 1),
        invoke(1, "cas", "x", [1, 2], time_ns=2), Op(-1, 3, 1, Type.FAIL, "cas", "x", "no such version"),
    ]  # fmt: skip
    history = History.from_ops(records)
    drawn = draw_core(history, check_model(history, "cas-register", failed_cas=True))
    assert "cas [1, 2] #2 fail" in drawn
