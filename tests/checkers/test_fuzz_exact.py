"""Random small histories of objects whose results force an order: the method and the brute force agree, witnesses replay, cores are impossible.

The judge is this file's own: its specifications share nothing with `checkers.specs`.
"""

import os
import random

import pytest

from checkers import MISSING, Verdict
from checkers.search import Budget, check_model
from checkers.special import UNSEARCHED, applicable, check_special
from tests.checkers.test_fuzz_search import recorded

BATCH = 100
ROUNDS = int(os.environ.get("QUORATE_FUZZ", "30000")) // 6 // BATCH
NO = object()


# ---- what each object does: (state, f, value, result) -> state, or NO ---------------------------------------------------


def do_list(state, f, value, result):
    if f == "append":
        return (*state, value)
    return state if list(state) == result else NO


def do_set(state, f, value, result):
    if f == "add":
        return state | {value}
    if f == "remove":
        return state - {value}
    if f == "contains":
        return state if [value, value in state] == result else NO
    return state if len(result) == len(state) and set(result) == state else NO


def do_counter(state, f, value, result):
    if f == "add":
        return state + value
    return state if result == state else NO


def do_fetch(state, f, value, result):
    if f == "fetch-add":
        return state + 1 if result in (MISSING, state) else NO
    return state if result == state else NO


def do_revisions(state, f, value, result):
    revision, held = state
    if f == "write":
        if result is MISSING:
            return [
                (later, value) for later in range(revision + 1, 12)
            ]  # any number the store may have given it
        return (result, value) if result > revision else NO
    return state if result == [revision, held] else NO


OBJECTS = {
    "append-list": ((), do_list),
    "grow-set": (frozenset(), do_set),
    "set": (frozenset(), do_set),
    "counter": (0, do_counter),
    "fetch-and-add": (0, do_fetch),
    "revisions": ((0, None), do_revisions),
}


def explainable(model, ops):
    """Is there an order? Every order is tried."""
    start, do = OBJECTS[model]
    ops = [op for op in ops if op[3] != "fail" and (op[3] == "ok" or op[0] not in ("read", "contains"))]
    must = {n for n, op in enumerate(ops) if op[3] == "ok"}
    dead = set()

    def search(done, state):
        if must <= done:
            return True
        if (done, state) in dead:
            return False
        for n, (f, value, result, status, call, _) in enumerate(ops):
            if n in done or any(m not in done and ops[m][5] < call for m in must):
                continue
            after = do(state, f, value, result if status == "ok" else MISSING)
            for each in after if isinstance(after, list) else [after]:
                if each is not NO and search(done | {n}, each):
                    return True
        dead.add((done, state))
        return False

    return search(frozenset(), start)


def replays(model, ops, order):
    """Does a witness hold? `order` are places in `ops`."""
    state, do = OBJECTS[model]
    latest = float("-inf")
    for at in order:
        f, value, result, status, call, ret = ops[at]
        assert status != "fail", (ops, order)
        known = result if status == "ok" else MISSING
        if model == "revisions" and known is MISSING:
            shown = [op[2][0] for op in ops if op[0] == "read" and op[3] == "ok" and op[2][1] == value]
            known = shown[0]
        state = do(state, f, value, known)
        assert state is not NO, (ops, order, at)
        latest = max(latest, call)
        assert status != "ok" or ret >= latest, (ops, order, at)
    assert {n for n, op in enumerate(ops) if op[3] == "ok"} <= set(order)
    assert len(order) == len(set(order))


# ---- histories -----------------------------------------------------------------------------------------------------------


def act(rng, model, state, fresh):
    """A random operation in this state: f, value, result, next state."""
    write = rng.random() < 0.55
    if model == "append-list":
        if write:
            value = fresh.pop()
            return "append", value, value, (*state, value)
        return "read", MISSING, list(state), state
    if model in ("grow-set", "set"):
        if write:
            if model == "set" and rng.random() < 0.4:
                value = rng.randint(1, 8)
                return "remove", value, value, state - {value}
            value = fresh.pop()
            return "add", value, value, state | {value}
        if model == "set":
            value = rng.randint(1, 8)
            return "contains", value, [value, value in state], state
        shown = list(state)
        rng.shuffle(shown)
        return "read", MISSING, shown, state
    if model == "counter":
        return ("add", 1, 1, state + 1) if write else ("read", MISSING, state, state)
    if model == "fetch-and-add":
        return ("fetch-add", 1, state, state + 1) if rng.random() < 0.75 else ("read", MISSING, state, state)
    revision, held = state
    if write:
        value, later = fresh.pop(), revision + rng.choice((1, 1, 2))
        return "write", value, later, (later, value)
    return "read", MISSING, [revision, held], state


def spoil(rng, model, ops):
    """Exchange two results of one function, move an interval, or change a result a little."""
    roll, by = rng.random(), {}
    for at, op in enumerate(ops):
        if op[0] in ("read", "contains", "fetch-add") or (op[0] == "write" and op[3] == "ok"):
            by.setdefault(op[0], []).append(at)
    pairs = [places for f, places in by.items() if len(places) > 1 and f != "contains"]
    if roll < 0.35 and pairs:
        one, two = rng.sample(rng.choice(pairs), 2)
        a, b = ops[one], ops[two]
        ops[one], ops[two] = (*a[:2], b[2], *a[3:]), (*b[:2], a[2], *b[3:])
    elif roll < 0.5:
        for at in by.get("contains", [])[:1]:
            value, there = ops[at][2]
            ops[at] = (*ops[at][:2], [value, not there], *ops[at][3:])
        for at in by.get("read", [])[:1]:
            shown = ops[at][2]
            if isinstance(shown, int):
                ops[at] = (*ops[at][:2], max(0, shown + rng.choice((-1, 1))), *ops[at][3:])
            elif model in ("append-list", "grow-set") and shown:
                changed = shown[:-1] if rng.random() < 0.6 else [*shown, rng.randint(1, 9)]
                ops[at] = (*ops[at][:2], changed, *ops[at][3:])
    elif roll < 0.8:
        at, shift = rng.randrange(len(ops)), rng.randint(-9, 9)
        ops[at] = (*ops[at][:4], ops[at][4] + shift, ops[at][5] + shift)
    return ops


def random_history(rng, model, size=7):
    state, fresh = OBJECTS[model][0], rng.sample(range(1, 30), 20)
    if model == "set":
        fresh = rng.sample(range(1, 9), 8)
    span, widen = rng.choice((8, 20, 40)), rng.choice((0, 1, 3, 6, 12))
    info, ops, removed = rng.choice((0.0, 0.15, 0.4)), [], set()
    for point in sorted(rng.randint(0, span) for _ in range(rng.randint(3, size))):
        call, ret = point - rng.randint(0, widen), point + rng.randint(0, widen)
        f, value, result, after = act(rng, model, state, fresh)
        if f == "remove" and value in removed:
            continue  # each element is removed once at most
        removed |= {value} if f == "remove" else set()
        looks = f in ("read", "contains")
        status = "info" if rng.random() < info else "fail" if rng.random() < 0.05 else "ok"
        if status == "ok" or looks:
            ops.append((f, value, result, "ok", call, ret))
            state = after
        else:
            ops.append((f, value, result, status, call, ret))
            state = after if status == "info" and rng.random() < 0.6 else state
    return spoil(rng, model, ops)


def closed(model, ops, core):
    """A core with everything that writes and may have happened: what is left out are reads, which never makes a history worse."""
    return [op for at, op in enumerate(ops) if at in core or op[0] not in ("read", "contains")]


@pytest.mark.slow
@pytest.mark.parametrize("model", OBJECTS)
def test_forced_orders_agree_with_the_brute_force(model):
    rng, legal, total, open_ = random.Random(model), 0, 0, 0
    for _ in range(max(1, ROUNDS)):
        histories = [random_history(rng, model) for _ in range(BATCH)]
        history = recorded(histories)
        result, before = check_special(history, model), 0
        for key, ops in enumerate(histories):
            part, start, before = result.parts.get(str(key)), before, before + len(ops)
            expected = explainable(model, ops)
            if part is None:
                assert expected, ops
                continue
            if part.verdict is Verdict.UNKNOWN:
                assert "not applicable" in part.reason, (ops, part.reason)
                open_ += 1
                continue
            assert part.verdict is (Verdict.VALID if expected else Verdict.INVALID), (ops, part.reason)
            places = [history.op(at).process - start - 1 for at in part.certificate.ops]
            if expected:
                replays(model, ops, places)
            else:
                assert len(places) <= len(ops)
                assert not explainable(model, closed(model, ops, set(places))), (ops, places, part.anomaly)
            total, legal = total + 1, legal + expected
    assert 0.25 <= legal / total <= 0.8, legal / total
    assert open_ / (total + open_) < 0.05, open_


@pytest.mark.parametrize("model", [model for model in OBJECTS if model not in UNSEARCHED])
def test_forced_orders_agree_with_the_search(model):
    rng, seen = random.Random(model), set()
    for _ in range(60):
        history = recorded([random_history(rng, model, 18 if model != "set" else 12)])
        result = check_special(history, model)
        if not applicable(result):
            continue
        searched = check_model(history, model, budget=Budget(deadline_ms=None, states_max=200_000))
        if Verdict.UNKNOWN in (searched.verdict, result.verdict):
            continue
        assert result.verdict is searched.verdict, result.reason
        seen.add(result.verdict)
    assert {Verdict.VALID, Verdict.INVALID} <= seen
