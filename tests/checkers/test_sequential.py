"""Sequential consistency: agrees with the brute force, its certificates hold, it stands where the lattice says, and it keeps its budget."""

import os
import random

import pytest

from checkers import Budget, History, Type, Verdict, check, invoke
from checkers.causal import check_convergence
from checkers.levels import below
from checkers.linearizable import EngineError
from checkers.register import check_linearizable
from checkers.sequential import _result, check_sequential, usual
from checkers.validate import CertificateError, validate_sequential


def orderable(run):
    """Is there one order? A run is a list of sessions of `(f, key, new, old, status)`. Shares nothing with the checkers."""
    dead = set()

    def search(places, values):
        if all(op[4] != "ok" for session, place in zip(run, places, strict=True) for op in session[place:]):
            return True
        if (places, values) in dead:
            return False
        held = dict(values)
        for s, place in enumerate(places):
            if place == len(run[s]):
                continue
            f, key, new, old, status = run[s][place]
            further = (*places[:s], place + 1, *places[s + 1 :])
            wrong = (f == "read" and held.get(key) != new) or (f == "cas" and held.get(key) != old)
            if not wrong or status != "ok":
                after = values if f == "read" or wrong else tuple(sorted({**held, key: new}.items()))
                if search(further, after):
                    return True
            if status != "ok" and search(further, values):
                return True
        dead.add((places, values))
        return False

    return search((0,) * len(run), ())


def random_run(rng):
    """Sessions, and the order in which they act. Values may come twice; a session may end with an operation of unknown outcome."""
    count, keys, unique = rng.choice((2, 3, 3)), rng.choice((1, 2, 2)), rng.random() < 0.5
    stale, run, order = rng.choice((0.3, 0.9)), [[] for _ in range(count)], []
    versions, fresh, ended = {key: [None] for key in range(keys)}, 0, set()
    for _ in range(rng.randint(3, 10)):
        session, key = rng.randrange(count), rng.randrange(keys)
        if session in ended:
            continue
        f = rng.choice(("read", "read", "write", "write", "cas"))
        seen = rng.choice(versions[key]) if rng.random() < stale else versions[key][-1]
        status = "info" if f != "read" and rng.random() < 0.15 else "ok"
        if f != "read":
            fresh += 1
            new = fresh if unique else rng.choice((1, 2, 3))
            if status == "ok" or rng.random() < 0.5:
                versions[key].append(new)
            if status == "info":
                ended.add(session)
        run[session].append((f, key, seen if f == "read" else new, seen if f == "cas" else None, status))
        order.append(session)
    return run, order


def recorded(run, order):
    ops, places = [], [0] * len(run)
    for n, session in enumerate(order):
        f, key, new, old, status = run[session][places[session]]
        places[session] += 1
        call = invoke(session, f, key, [old, new] if f == "cas" else new, time_ns=3 * n)
        ops.append(call)
        if status == "ok":
            ops.append(type(call)(-1, 3 * n + 2, session, call.type.OK, f, key, call.value))
    return History.from_ops(ops)


def part(history, calls):
    """The chosen calls as a run."""
    sessions = {}
    for index in sorted(calls):
        op, end = history.op(index), history.completion(index)
        status = "info" if end is None else "ok"
        new, old = (op.value[1], op.value[0]) if op.f == "cas" else (op.value, None)
        sessions.setdefault(op.process, []).append((op.f, op.key, new, old, status))
    return list(sessions.values())


@pytest.mark.slow
def test_it_is_what_its_definition_says():
    rng, counts, cores = random.Random(11), [0, 0], 0
    for _ in range(int(os.environ.get("QUORATE_FUZZ", "50000")) // 20):
        run, order = random_run(rng)
        history = recorded(run, order)
        held = orderable(run)
        for engine in ("search", "auto"):
            result = check_sequential(history, engine)
            if result.verdict is Verdict.UNKNOWN:
                assert held
                assert "nothing was tested" in result.reason
                continue
            assert (result.verdict is Verdict.VALID) == held, (run, result.reason)
            counts[held] += 1
            if held:
                validate_sequential(history, result)
            elif result.anomaly == "not-sequential":
                cores += 1
                assert not orderable(part(history, result.certificate.ops)), (run, result.reason)
        if check_linearizable(history).verdict is Verdict.VALID:
            assert held, run
        if held:
            assert check_convergence(history).verdict is not Verdict.INVALID, run
    assert min(counts) > 0.2 * sum(counts), counts
    assert cores > 0.1 * sum(counts)


STORE_BUFFER = [
    [("write", "x", 1, None, "ok"), ("read", "y", None, None, "ok")],
    [("write", "y", 1, None, "ok"), ("read", "x", None, None, "ok")],
]


def test_store_buffering_is_not_sequential():
    run = [*STORE_BUFFER, [("write", "z", n, None, "ok") for n in range(20)], [("read", "z", 3, None, "ok")]]
    history = recorded(run, [0, 1, 0, 1, *[2] * 20, 3])
    result = check_sequential(history, "search")
    assert (result.verdict, result.anomaly) == (Verdict.INVALID, "not-sequential")
    assert {history.op(call).key for call in result.certificate.ops} == {"x", "y"}
    assert len(result.certificate.ops) == 4


def test_real_time_is_no_part_of_it():
    run = [[("write", "x", 1, None, "ok")], [("read", "x", None, None, "ok"), ("read", "x", 1, None, "ok")]]
    history = recorded(run, [0, 1, 1])
    assert check_linearizable(history).verdict is Verdict.INVALID
    result = check(history, "sequential")
    assert result.verdict is Verdict.VALID
    validate_sequential(history, result)


def test_many_orders_are_no_matter_where_values_are_unique():
    rng, run, order = random.Random(3), [[] for _ in range(10)], []
    held = dict.fromkeys(range(5))
    for n in range(3000):
        session, key = rng.randrange(10), rng.randrange(5)
        f = rng.choice(("read", "write"))
        held[key] = n if f == "write" else held[key]
        run[session].append((f, key, held[key], None, "ok"))
        order.append(session)
    history = recorded(run, order)
    result = check_sequential(history)
    assert result.verdict is Verdict.VALID, result.reason
    validate_sequential(history, result)


def hard_one():
    """Six sessions write the same three values again and again, and one reads them in an order of its own."""
    writes = [[("write", "x", n % 3, None, "ok") for n in range(8)] for _ in range(6)]
    reads = [[("read", "x", n, None, "ok") for n in (0, 1, 2, 0, 2, 1, 0, 2, 1, 0, 1, 2) * 5]]
    return recorded([*writes, *reads], [*[s for s in range(6) for _ in range(8)], *[6] * 60])


def test_above_its_budget_it_is_unknown():
    history = hard_one()
    for budget, why in (
        (Budget(states_max=1000), "budget of states"),
        (Budget(memory_mb=0.1), "memory"),
        (Budget(deadline_ms=0), "deadline"),
    ):
        result = check_sequential(history, "search", budget)
        assert result.verdict is Verdict.UNKNOWN
        assert why in result.reason


def test_the_look_for_a_circle_is_under_the_deadline_too():
    """A clock that jumps ten seconds between its two readings leaves the search nothing: it must not begin."""
    history, budget = hard_one(), Budget(deadline_ms=9_000, memory_mb=100.0, states_max=1000)
    ample = check_sequential(history, budget=budget, clock=iter([0.0, 1.0]).__next__)
    assert ample.stats["states"] == 1000
    late = check_sequential(history, budget=budget, clock=iter([0.0, 10.0]).__next__)
    assert (late.verdict, late.stats["states"]) == (Verdict.UNKNOWN, 0)
    assert "the deadline passed" in late.reason


def test_a_failed_cas_and_a_strange_operation_leave_it_open():
    ops = [
        invoke(0, "write", "x", 1, time_ns=0),
        invoke(1, "cas", "x", [1, 2], time_ns=3),
        invoke(2, "read", "x", time_ns=6),
    ]
    ends = [Type.OK, Type.FAIL, Type.OK]
    records = []
    for op, end in zip(ops, ends, strict=True):
        value = 1 if op.f == "read" else op.value
        records += [op, type(op)(-1, op.time_ns + 1, op.process, end, op.f, op.key, value)]
    result = check_sequential(History.from_ops(records))
    assert result.verdict is Verdict.UNKNOWN
    assert "cas #2 failed" in result.reason
    assert check_sequential(History.from_ops([invoke(0, "jump", "x", time_ns=0)])).verdict is Verdict.UNKNOWN
    assert check_sequential(History.from_ops([])).verdict is Verdict.UNKNOWN


def test_its_place_in_the_lattice():
    assert "sequential" in below("linearizable")
    assert {"causal", "causal-convergence", "session-guarantees"} < below("sequential")
    assert "regular" not in below("sequential")


def test_what_it_refuses():
    with pytest.raises(EngineError, match="auto or search"):
        check_sequential(History.from_ops([]), "polynomial")
    history = recorded(STORE_BUFFER, [0, 1, 0, 1])
    with pytest.raises(CertificateError, match="saw"):
        validate_sequential(history, [0, 4, 2, 6])
    with pytest.raises(CertificateError, match="did later"):
        validate_sequential(history, [4, 0])
    with pytest.raises(CertificateError, match="leaves it out"):
        validate_sequential(history, [0])


@pytest.mark.parametrize(("processes", "states"), [(3, 100_000), (20, 50_000)])
def test_the_usual_budget_is_smaller_where_configurations_are_larger(processes, states):
    history = recorded([[("write", "x", n, None, "ok")] for n in range(processes)], range(processes))
    assert usual(history).states_max == states


@pytest.mark.parametrize(("size", "more"), [(12, False), (13, True)])
def test_twelve_operations_of_a_core_are_named(size, more):
    history = recorded([[("write", "x", n, None, "ok") for n in range(size)]], [0] * size)
    calls = [op.index for op in history if op.type is Type.INVOKE]
    said = {"word": "invalid", "ops": calls, "size": size, "observations": 1, "sessions": 1, "states": 1}
    reason = _result(history, said).reason
    assert reason.count("#") == 12
    assert reason.endswith("…") is more


def test_only_what_the_look_for_a_circle_took_is_taken_from_the_deadline():
    history, budget = hard_one(), Budget(deadline_ms=9_000, memory_mb=100.0, states_max=1000)
    assert check_sequential(history, budget=budget, clock=iter([50.0, 51.0]).__next__).stats["states"] == 1000


@pytest.mark.parametrize("key", [[1, 2], {"a": 1}, True, -0.0], ids=str)
def test_a_key_may_be_any_value(key):
    """Store buffering on two keys, and a read of what one process replaced itself on one."""
    sessions = [("x", "write", 1), (key, "read", None)], [(key, "write", 1), ("x", "read", None)]
    both = written(sessions)
    result = check_sequential(both)
    assert (result.verdict, result.key) == (Verdict.INVALID, None)
    assert "on 2 keys" in result.reason
    alone = written([[(key, "write", 1), (key, "write", 2), (key, "read", 1)]])
    assert check_sequential(alone, engine="search").key == key


def written(sessions):
    """One operation after the other, session by session in turn."""
    turns = [(s, at) for at in range(max(map(len, sessions))) for s in range(len(sessions)) if at < len(sessions[s])]  # fmt: skip
    ops = []
    for n, (s, at) in enumerate(turns):
        key, f, value = sessions[s][at]
        call = invoke(s, f, key, value if f == "write" else None, time_ns=3 * n)
        ops += [call, type(call)(-1, 3 * n + 2, s, Type.OK, f, key, value)]
    return History.from_ops(ops)
