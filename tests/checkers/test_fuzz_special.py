"""Random small histories with unique values: the special cases and the brute force agree; witnesses replay; cores are impossible on their own."""

import os
import random

import pytest

from checkers import MISSING, Verdict
from checkers.search import Budget, check_model
from checkers.special import applicable, check_special
from checkers.specs import SPECS
from checkers.validate import validate_object_core, validate_order
from tests.checkers.object_oracle import explainable
from tests.checkers.test_fuzz_search import recorded

NAMES = {"queue": ("enqueue", "dequeue"), "stack": ("push", "pop"), "priority-queue": ("insert", "poll")}
BATCH = 100
ROUNDS = int(os.environ.get("QUORATE_FUZZ", "50000")) // 5 // BATCH


def random_history(rng, model, size=8):
    """Valid by construction, then often spoilt: two results exchanged, a result turned to empty, an interval moved."""
    (add, take), (state, step) = NAMES[model], SPECS[model]
    span, widen = rng.choice((8, 20, 40)) * size // 8, rng.choice((0, 1, 3, 6, 12))
    adds, info = rng.choice((0.45, 0.6)), rng.choice((0.0, 0.15))
    fresh, ops = rng.sample(range(1, size + 1), size), []
    for point in sorted(rng.randint(0, span) for _ in range(rng.randint(3, size))):
        call, ret = point - rng.randint(0, widen), point + rng.randint(0, widen)
        if rng.random() < adds:
            value = fresh.pop()
            status = "info" if rng.random() < info else "fail" if rng.random() < 0.05 else "ok"
            ops.append((add, value, value, status, call, ret))
            if status == "ok" or (status == "info" and rng.random() < 0.6):
                state = step(state, add, value, value)
        else:
            found = None if not state else state[0 if model == "queue" else -1]
            ops.append((take, MISSING, found, "ok", call, ret))
            state = step(state, take, MISSING, found)
    takes = [at for at, op in enumerate(ops) if op[0] == take]
    roll = rng.random()
    if len(takes) > 1 and roll < 0.55:
        first, second = rng.sample(takes, 2)
        a, b = ops[first], ops[second]
        ops[first], ops[second] = (*a[:2], b[2], *a[3:]), (*b[:2], a[2], *b[3:])
    elif takes and roll < 0.65:
        at = rng.choice(takes)
        ops[at] = (*ops[at][:2], rng.choice([None, 1, 2]), *ops[at][3:])
    elif roll < 0.85:
        at, by = rng.randrange(len(ops)), rng.randint(-9, 9)
        ops[at] = (*ops[at][:4], ops[at][4] + by, ops[at][5] + by)
    return ops


def core_of(history, ops, part, before):
    """The operations of a core; `before` processes were used for the keys before. With each value comes everything that was done with it."""
    core = [ops[history.op(at).process - before - 1] for at in part.certificate.ops]
    if part.anomaly not in ("thin-air", "double-take"):
        values = {op[2] for op in core if op[2] is not None}
        closed = [op for op in ops if op[2] in values and op[3] != "fail"]
        assert len(closed) == len([op for op in core if op[2] is not None and op[3] != "fail"]), (ops, part)
    return core


@pytest.mark.slow
@pytest.mark.parametrize("model", NAMES)
def test_containers_agree_with_the_brute_force(model):
    rng, legal, total = random.Random(model), 0, 0
    for _ in range(max(1, ROUNDS)):
        histories = [random_history(rng, model) for _ in range(BATCH)]
        history = recorded(histories)
        result = check_special(history, model)
        assert applicable(result)
        witnesses, before = [], 0
        for key, ops in enumerate(histories):
            part, start, before = result.parts.get(str(key)), before, before + len(ops)
            expected = explainable(model, ops)
            if part is None:
                assert expected, ops
                continue
            assert part.verdict is (Verdict.VALID if expected else Verdict.INVALID), (ops, part.reason)
            if expected:
                witnesses.extend(part.certificate.ops)
            else:
                assert not explainable(model, core_of(history, ops, part, start)), (ops, part)
                if key % 10 == 0:  # it reads the whole history
                    validate_object_core(history, model, part)
            total, legal = total + 1, legal + expected
        validate_order(history, model, witnesses)
    assert 0.25 <= legal / total <= 0.75, legal / total


@pytest.mark.parametrize("model", NAMES)
def test_containers_agree_with_the_search(model):
    rng, seen = random.Random(model), set()
    for _ in range(60):
        history = recorded([random_history(rng, model, 24)])
        budget = Budget(deadline_ms=None, states_max=200_000)
        result, searched = check_special(history, model), check_model(history, model, budget=budget)
        if searched.verdict is Verdict.UNKNOWN:
            continue
        assert result.verdict is searched.verdict, result.reason
        seen.add(result.verdict)
        if result.verdict is Verdict.VALID:
            validate_order(history, model, result)
    assert {Verdict.VALID, Verdict.INVALID} <= seen


def cas_history(rng):
    state, fresh, ops, widen = None, 0, [], rng.choice((0, 1, 3, 8))
    spoil = rng.random() < 0.6
    for point in sorted(rng.randint(0, 30) for _ in range(rng.randint(3, 7))):
        call, ret, roll = point - rng.randint(0, widen), point + rng.randint(0, widen), rng.random()
        status = "info" if rng.random() < 0.1 else "ok"
        guess = rng.choice([None, *range(1, fresh + 1)]) if spoil or roll > 0.7 else state
        if roll < 0.3:
            ops.append(("read", MISSING, guess if rng.random() < 0.4 else state, "ok", call, ret))
            continue
        fresh += 1
        if roll < 0.5:
            ops.append(("write", fresh, fresh, status, call, ret))
            state = fresh
        elif guess != state or (spoil and rng.random() < 0.5):
            ops.append(("cas", [guess, fresh], [guess, fresh], "fail", call, ret))
        else:
            ops.append(("cas", [guess, fresh], [guess, fresh], status, call, ret))
            state = fresh
    return ops


@pytest.mark.slow
def test_failed_cas_agrees_with_the_search():
    rng, legal, total, open_ = random.Random(4), 0, 0, 0
    for _ in range(max(1, ROUNDS)):
        histories = [cas_history(rng) for _ in range(BATCH)]
        history = recorded(histories)
        result = check_special(history, "cas-register", failed_cas=True)
        searched = check_model(history, "cas-register", failed_cas=True)
        witnesses = []
        for key, part in result.parts.items():
            total += 1
            if part.verdict is Verdict.UNKNOWN:
                assert "not applicable" in part.reason
                open_ += 1
                continue
            assert part.verdict is searched.parts[key].verdict, (histories[int(key)], part)
            if part.verdict is Verdict.VALID:
                legal += 1
                witnesses.extend(part.certificate.ops)
            elif int(key) % 10 == 0:
                validate_object_core(history, "cas-register", part)
        validate_order(history, "cas-register", witnesses, failed_cas=True)
    assert 0.25 <= legal / total <= 0.75, legal / total
    assert open_ / total < 0.2, open_ / total
