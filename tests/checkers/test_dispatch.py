"""Which way a history goes, and what is refused on the way: engines, first values, budgets, transactions, what nobody did."""

from __future__ import annotations

import msgspec
import pytest

from checkers import MISSING, Budget, History, Type, Verdict, check, invoke
from checkers.jsonl import HistoryError
from checkers.linearizable import EngineError
from checkers.op import Op
from checkers.order import label
from checkers.search import INCONSISTENT, check_model


def one_by_one(*ops: tuple[str, object, object]) -> History:
    """(f, argument, result), one after the other, all ok, of the key x."""
    events = []
    for n, (f, argument, result) in enumerate(ops):
        call = invoke(0, f, "x", argument, time_ns=10 * n)
        events += [call, Op(-1, 10 * n + 5, 0, Type.OK, f, "x", result)]
    return History.from_ops(events)


REGISTER = one_by_one(("write", 1, 1), ("read", MISSING, 1))
QUEUE = one_by_one(("enqueue", 1, 1), ("dequeue", MISSING, 1))
TXN = one_by_one(("txn", [["write", "a", 1], ["read", "a", None]], [["write", "a", 1], ["read", "a", 1]]))


def test_each_object_goes_its_way():
    assert check(REGISTER, "register").parts["'x'"].stats["path"] == "polynomial"
    assert check(REGISTER, "register", engine="zones").parts["'x'"].stats["path"] == "polynomial"
    assert check(REGISTER, "register", engine="search").parts["'x'"].stats["path"] == "search"
    assert check(TXN, "multi-register").verdict is Verdict.VALID
    with pytest.raises(EngineError, match="zones are of registers, not of 'queue'"):
        check(QUEUE, "fifo-queue", engine="zones")
    with pytest.raises(EngineError, match="no polynomial case for 'multi-register'"):
        check(TXN, "multi-register", engine="polynomial")


def test_transactions_are_refused_where_keys_are_judged_alone():
    with pytest.raises(HistoryError, match="txn"):
        check(TXN, "register")


def test_a_first_value_is_for_those_that_know_one():
    five = one_by_one(("read", MISSING, 5))
    assert check(five, "register").verdict is Verdict.INVALID
    assert check(five, "register", initial=5).verdict is Verdict.VALID
    assert check(five, "register", initial=5, engine="search").verdict is Verdict.VALID
    for engine in ("zones", "polynomial"):
        with pytest.raises(EngineError, match="knows no first value but the usual one"):
            check(five, "register", initial=5, engine=engine)
    with pytest.raises(EngineError, match="'sequential' has no first value to choose"):
        check(five, "sequential", initial=5)
    assert check(five, "sequential", engine="search").verdict is Verdict.INVALID


@pytest.mark.parametrize("given", [{"engine": "search"}, {"budget": Budget()}, {"initial": 5}])
def test_what_is_checked_in_one_way_takes_no_options(given):
    ids = one_by_one(("generate", MISSING, 1), ("generate", MISSING, 2))
    assert check(ids, "unique-ids").verdict is Verdict.VALID
    with pytest.raises(EngineError, match="is checked in one way, which needs no budget"):
        check(ids, "unique-ids", **given)


def test_what_the_nemesis_did_is_not_what_succeeded():
    kill = invoke("nemesis", "kill", time_ns=0)
    read = invoke(0, "read", "x", time_ns=10)
    history = History.from_ops([kill, kill.ok("n1"), read, read.info("timed out")])
    assert check(history, "register").verdict is Verdict.UNKNOWN
    assert check(history, "register", vacuous="valid").verdict is Verdict.VALID
    assert check(one_by_one(("read", MISSING, 5)), "register", vacuous="valid").verdict is Verdict.INVALID


@pytest.mark.parametrize(
    ("f", "argument", "kind", "returned", "said"),
    [
        ("read", MISSING, Type.OK, 7, "read 'x' 7 (#0)"),
        ("read", MISSING, Type.OK, None, "read 'x' the initial value (#0)"),
        ("read", 3, Type.INFO, 7, "read 'x' 3 (#0)"),
        ("read", 3, None, None, "read 'x' 3 (#0)"),
        ("write", 1, Type.OK, None, "write 'x' 1 (#0)"),
    ],
)
def test_an_operation_of_a_circle_in_a_few_words(f, argument, kind, returned, said):
    ops = [invoke(0, f, "x", argument, time_ns=0)]
    if kind is not None:
        ops.append(Op(-1, 5, 0, kind, f, "x", returned))
    assert label(History.from_ops(ops), 0) == said


def long_and_stale() -> History:
    """Forty writes that overlap nothing, then a read of the one before the last."""
    return one_by_one(*[("write", n, n) for n in range(40)], ("read", MISSING, 38))


def core_size(budget: Budget, clock) -> int:
    result = check_model(long_and_stale(), "register", budget=budget, clock=clock)
    assert result.verdict is Verdict.INVALID
    return len(result.parts["'x'"].certificate.ops)


def test_a_core_is_made_small_for_as_long_as_the_deadline_leaves():
    standing = iter(
        range(10**9)
    ).__next__  # each reading a second later would end it; in millionths it stands still

    def slow() -> float:
        return standing() / 1e6

    small = core_size(Budget(deadline_ms=None), slow)
    assert small <= 3
    assert core_size(Budget(deadline_ms=60_000), slow) == small
    whole = core_size(Budget(deadline_ms=None), None)
    assert whole > 30
    readings = iter([0.0, *[50.0 + n for n in range(10**4)]])
    assert core_size(Budget(deadline_ms=1_000), readings.__next__) > 30, "the deadline had passed"


def several() -> History:
    """Key x is fine, y is stale, of z nothing was seen."""
    ops = [("x", "write", 1), ("x", "read", 1), ("y", "write", 1), ("y", "write", 2), ("y", "read", 1), ("z", "write", 1)]  # fmt: skip
    events = []
    for n, (key, f, value) in enumerate(ops):
        call = invoke(n, f, key, value if f == "write" else MISSING, time_ns=10 * n)
        events += [call, Op(-1, 10 * n + 5, n, Type.INFO if key == "z" else Type.OK, f, key, value)]
    return History.from_ops(events)


def test_numbers_of_several_keys_that_were_searched():
    result = check_model(several(), "register")
    assert result.verdict is Verdict.INVALID
    stats = result.stats
    assert (stats["keys"], stats["keys_bad"], stats["keys_unknown"], stats["keys_untested"]) == (3, 1, 0, 1)
    assert stats["ops"] == 6
    assert stats["search_bytes"] == max(part.stats["search_bytes"] for part in result.parts.values())
    assert min(part.stats["search_bytes"] for part in result.parts.values()) < stats["search_bytes"]
    assert result.key == "y"
    assert result.reason.endswith("(1 of 3 keys are bad)")
    assert set(result.parts) == {"'x'", "'y'"}


def test_a_witness_holds_the_operations_of_every_key():
    events = []
    for n, (key, f) in enumerate((key, f) for key in "xyz" for f in ("write", "read")):
        call = invoke(n, f, key, 1 if f == "write" else MISSING, time_ns=10 * n)
        events += [call, Op(-1, 10 * n + 5, n, Type.OK, f, key, 1)]
    result = check_model(History.from_ops(events), "register")
    assert result.verdict is Verdict.VALID
    assert sorted(result.certificate.ops) == [0, 2, 4, 6, 8, 10]


def test_a_key_that_is_not_decided_is_counted_and_told_of():
    result = check_model(several(), "register", budget=Budget(states_max=0))
    assert result.verdict is Verdict.UNKNOWN
    assert result.stats["keys_unknown"] == 2
    assert result.stats["keys_bad"] == 0


class Plain:
    """A register of one's own, without `readonly`."""

    def init(self):
        return None

    def step(self, state, call):
        if call.f == "write":
            return call.value
        return state if call.result is MISSING or call.result == state else INCONSISTENT


class Telling(Plain):
    """The same, which says what only reads. It is asked about what returned, and of nothing else."""

    def __init__(self):
        self.asked = []

    def readonly(self, call):
        self.asked.append((call.f, call.result))
        return call.f == "read"


def test_a_model_of_ones_own_may_say_what_only_reads():
    stale = long_and_stale()
    ticks = iter(range(10**9)).__next__
    plain = check_model(stale, Plain(), clock=lambda: ticks() / 1e6)
    assert plain.verdict is Verdict.INVALID
    telling = Telling()
    told = check_model(stale, telling, clock=lambda: ticks() / 1e6)
    assert told.verdict is Verdict.INVALID
    assert telling.asked
    assert all(result is not MISSING for _, result in telling.asked)


def test_a_key_of_which_nothing_was_seen_spoils_nothing_whoever_judges_it():
    """A dequeue in doubt is not for the polynomial case, and tells the search nothing."""
    doubt = [invoke(9, "dequeue", "y", time_ns=100), Op(-1, 101, 9, Type.INFO, "dequeue", "y")]
    both = History.from_ops([*(msgspec.structs.replace(op, index=-1) for op in QUEUE), *doubt])
    for engine in ("auto", "search"):
        result = check(both, "fifo-queue", engine=engine)
        assert result.verdict is Verdict.VALID, result.reason
        assert list(result.parts) == ["'x'"]
        assert (result.stats["keys"], result.stats["keys_untested"], result.stats["keys_unknown"]) == (
            2,
            1,
            0,
        )
        alone = check(History.from_ops(doubt), "fifo-queue", engine=engine)
        assert alone.verdict is Verdict.UNKNOWN
        assert "nothing was tested" in alone.reason
