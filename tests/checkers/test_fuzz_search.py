"""Random small histories of every model: the search and the brute force agree, with any reductions; witnesses replay."""

import itertools
import os
import random

import pytest

from checkers import MISSING, History, Op, Type, Verdict
from checkers.search import ALL, INCONSISTENT, NATIVE, R5, R6, Call, check_model
from checkers.specs import SPECS
from checkers.validate import validate_order
from tests.checkers.object_oracle import explainable

BATCH = 100
FUNCTIONS = {
    "register": ("read", "write"),
    "cas-register": ("read", "write", "cas"),
    "multi-register": ("txn",),
    "mutex": ("acquire", "release"),
    "counter": ("read", "add"),
    "grow-set": ("read", "add"),
    "set": ("read", "read", "add", "remove", "contains"),
    "queue": ("enqueue", "dequeue"),
    "stack": ("push", "pop"),
    "priority-queue": ("insert", "poll"),
    "append-list": ("append", "read"),
    "kv": ("get", "put", "append"),
}


def argument(rng, model, f):
    if f in ("read", "get", "acquire", "release", "dequeue", "pop", "poll"):
        return MISSING
    if f == "cas":
        return [rng.choice([None, 1, 2]), rng.randint(1, 3)]
    if f == "txn":
        return [
            [
                kind := rng.choice(("read", "write")),
                rng.choice("xy"),
                rng.randint(1, 2) if kind == "write" else None,
            ]
            for _ in range(rng.randint(1, 2))
        ]
    if model == "kv":
        return rng.choice(("a", "b", "ab", '"é'))
    return rng.randint(1, 3)


def returned(model, state, f, value):
    """What the operation returns in this state, MISSING for nothing but its argument."""
    if f == "txn":
        values, parts = dict(state), []
        for kind, key, item in value:
            if kind == "write":
                values[key] = item
            parts.append([kind, key, values.get(key)])
        return parts
    if f == "contains":
        return [value, value in state]
    if f in ("read", "get"):
        return (
            sorted(state)
            if isinstance(state, frozenset)
            else list(state)
            if isinstance(state, tuple)
            else state
        )
    if f in ("dequeue", "pop", "poll"):
        return None if not state else state[0 if f == "dequeue" else -1]
    return value


def random_history(rng, model):
    start, step = SPECS[model]
    state, ops, states = start, [], [start]
    span, spoil = rng.choice((8, 20, 40)), rng.choice((0.3, 0.7) if model != "set" else (0.7, 1.0))
    info, widen = rng.choice((0.0, 0.1, 0.4)), rng.choice((0, 1, 2, 6))
    for point in sorted(rng.randint(0, span) for _ in range(rng.randint(3, 8))):
        f = rng.choice(FUNCTIONS[model])
        value = argument(rng, model, f)
        result = returned(model, state, f, value)
        status = "info" if rng.random() < info else "fail" if rng.random() < 0.05 else "ok"
        after = step(state, f, value, result)
        if after is not INCONSISTENT and status != "fail" and (status == "ok" or rng.random() < 0.5):
            state = after
            states.append(state)
        elif after is INCONSISTENT and status == "ok" and rng.random() < 0.3:
            status = "info"
        ops.append((f, value, result, status, point - rng.randint(0, widen), point + rng.randint(0, widen)))
    for at in range(len(ops)):
        f, value, result, status, call, ret = ops[at]
        if rng.random() < spoil:
            ops[at] = (f, value, returned(model, rng.choice(states), f, value), status, call, ret)
    return ops


def recorded(histories):
    events, process = [], 0
    for key, ops in enumerate(histories):
        for f, value, result, status, call, ret in ops:
            process += 1
            events.append((call + 100, 0, Op(-1, call + 100, process, Type.INVOKE, f, key, value)))
            if status != "info" or process % 2:
                end = ret + 100
                shown = result if status == "ok" else value
                events.append((end, 1, Op(-1, end, process, Type[status.upper()], f, key, shown)))
    return History.from_ops(event[2] for event in sorted(events, key=lambda event: event[:2]))


class Mirror:
    """A built-in object as a user would write it."""

    def __init__(self, model):
        self.start, self._step = SPECS[model]

    def init(self):
        return self.start

    def step(self, state, call: Call):
        return self._step(state, call.f, call.value, call.result)


@pytest.mark.slow
@pytest.mark.parametrize("model", NATIVE)
def test_the_search_agrees_with_the_brute_force(model):
    rng, legal, total = random.Random(model), 0, 0
    for batch in range(max(1, int(os.environ.get("QUORATE_FUZZ", "50000")) // len(NATIVE) // BATCH)):
        histories = [random_history(rng, model) for _ in range(BATCH)]
        history = recorded(histories)
        expected = [explainable(model, ops) for ops in histories]
        result = check_model(history, model, rules=rng.choice((ALL, rng.randint(0, ALL))))
        witnesses = []
        mirrored = check_model(history, Mirror(model)) if batch % 4 == 0 else None
        for key, ops in enumerate(histories):
            part = result.parts.get(str(key))
            if mirrored is not None and str(key) in mirrored.parts:
                assert (mirrored.parts[str(key)].verdict is Verdict.VALID) == expected[key], ops
            if part is None:
                assert expected[key], ops
                continue
            assert part.verdict is (Verdict.VALID if expected[key] else Verdict.INVALID), (ops, part.reason)
            if expected[key]:
                witnesses.extend(part.certificate.ops)
            elif part.stats["prefix_minimal"]:
                last = history.completion(part.stats["blocking"]).time_ns - 100
                assert not explainable(model, cut(ops, last, True)), (ops, part.reason)
                assert explainable(model, cut(ops, last, False)), (ops, part.reason)
            total, legal = total + 1, legal + expected[key]
        validate_order(history, model, witnesses)
    assert 0.2 <= legal / total <= 0.8, legal / total


def cut(ops, last, closed):
    """What was known at that instant, with what returns then or just without it. What is open may be left out, else fits with its result."""
    return [
        op if op[3] != "ok" or op[5] < last or (closed and op[5] == last) else (*op[:3], "open", *op[4:])
        for op in ops
        if op[4] <= last
    ]


@pytest.mark.parametrize("model", ["register", "cas-register", "queue", "set"])
def test_all_64_sets_of_reductions_agree(model):
    rng = random.Random(64)
    histories = [random_history(rng, model) for _ in range(100)]
    history = recorded(histories)
    expected = {str(key): explainable(model, ops) for key, ops in enumerate(histories)}
    for rules in range(ALL + 1):
        parts = check_model(history, model, rules=rules).parts
        assert {key: part.verdict is Verdict.VALID for key, part in parts.items()} == {
            key: expected[key] for key in parts
        }, rules
        witnesses = [part.certificate.ops for part in parts.values() if part.verdict is Verdict.VALID]
        validate_order(history, model, [op for order in witnesses for op in order])


def endpoints(n):
    """Every weak order of the 2n endpoints, with ties, up to renaming: calls and returns as small numbers."""
    for times in itertools.product(range(2 * n), repeat=2 * n):
        if set(times) == set(range(max(times) + 1)) and all(
            times[2 * i] <= times[2 * i + 1] for i in range(n)
        ):
            yield times


@pytest.mark.slow
@pytest.mark.parametrize("rules", [ALL, ALL & ~(R5 | R6)])
def test_every_history_of_three_operations(rules):
    kinds = [
        ("write", 1, 1),
        ("write", 2, 2),
        ("read", MISSING, None),
        ("read", MISSING, 1),
        ("read", MISSING, 2),
    ]
    seen = {True: 0, False: 0}
    for n in (1, 2, 3):
        times_of_all = list(endpoints(n))
        for chosen in itertools.combinations_with_replacement(kinds, n):
            for lost in itertools.product((False, True), repeat=n):
                if any(gone and kind[0] == "read" for gone, kind in zip(lost, chosen, strict=True)):
                    continue
                histories = [
                    [
                        (*kind, "info" if gone else "ok", times[2 * i], times[2 * i + 1])
                        for i, (kind, gone) in enumerate(zip(chosen, lost, strict=True))
                    ]
                    for times in times_of_all
                ]
                parts = check_model(recorded(histories), "register", rules=rules).parts
                for key, part in parts.items():
                    legal = explainable("register", histories[int(key)])
                    assert (part.verdict is Verdict.VALID) == legal, histories[int(key)]
                    seen[legal] += 1
    assert 0.2 <= seen[True] / sum(seen.values()) <= 0.8, seen
