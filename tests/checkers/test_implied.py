"""A linearizable history is sequentially consistent: the order of all keys is made of the orders of each, without a search."""

from __future__ import annotations

import random
from typing import Any

import pytest
from random_calls import random_history

from checkers import MISSING, History, Type, Verdict, invoke
from checkers.levels import judge
from checkers.linearizable import check_object
from checkers.op import Op
from checkers.sequential import check_sequential, implied_sequential
from checkers.validate import validate_sequential


def atomic_run(rng: random.Random, operations: int) -> History:
    """Five clients, four keys, overlapping calls; each takes effect at one moment between call and end, and some never return."""
    moments, free, process = list[tuple[int, int, int]](), [0] * 5, [*range(5)]
    for number in range(operations):
        client = rng.randrange(5)
        begin = free[client] + rng.randint(1, 20)
        free[client] = begin + rng.randint(2, 60)
        moments += [
            (begin, 0, number),
            (rng.randint(begin + 1, free[client]), 1, number),
            (free[client], 2, number),
        ]
        moments[-3:] = [(at, step, number * 5 + client) for at, step, _ in moments[-3:]]
    values, calls, seen, records = dict[str, Any](), dict[int, Op](), dict[int, Any](), list[Op]()
    for at, step, name in sorted(moments):
        if step == 0:
            f, key = rng.choice(("read", "write")), rng.choice("wxyz")
            given = MISSING if f == "read" else name
            calls[name] = invoke(process[name % 5], f, key, given, time_ns=at)
            records.append(calls[name])
            continue
        call = calls[name]
        if step == 1:
            seen[name] = values.get(call.key)
            values[call.key] = call.value if call.f == "write" else seen[name]
        elif rng.random() < 0.1:
            process[name % 5] += 5
        else:
            found = seen[name] if call.f == "read" else call.value
            records.append(Op(-1, at, call.process, Type.OK, call.f, call.key, found))
    return History.from_ops(records)


@pytest.mark.parametrize("seed", range(12))
def test_the_order_of_all_keys_is_one_that_each_process_could_have_seen(seed: int) -> None:
    history = atomic_run(random.Random(seed), 400)
    result = judge(history).results["sequential"]
    assert (result.verdict, result.stats["path"]) == (Verdict.VALID, "linearizable")
    validate_sequential(history, result)


def test_it_says_of_small_histories_what_the_search_says() -> None:
    implied = 0
    for seed in range(600):
        history = random_history("register", seed)
        atomic = check_object(history, model="register")
        result = implied_sequential(history, atomic)
        if result is not None:
            implied += 1
            validate_sequential(history, result)
            assert check_sequential(history).verdict is Verdict.VALID
    assert implied > 100


def test_writes_of_a_key_that_nobody_read_are_in_the_order() -> None:
    history = History.from_ops(
        [
            invoke(0, "write", "x", 1, time_ns=0),
            Op(-1, 1, 0, Type.OK, "write", "x", 1),
            invoke(0, "write", "y", 2, time_ns=2),
            Op(-1, 3, 0, Type.OK, "write", "y", 2),
            invoke(0, "read", "y", time_ns=4),
            Op(-1, 5, 0, Type.OK, "read", "y", 2),
        ]
    )
    result = judge(history).results["sequential"]
    assert result.stats == {"ops": 3, "path": "linearizable"}
    validate_sequential(history, result)


def test_what_is_not_linearizable_is_searched() -> None:
    history = History.from_ops(
        [
            invoke(0, "write", "x", 1, time_ns=0),
            Op(-1, 1, 0, Type.OK, "write", "x", 1),
            invoke(1, "read", "x", time_ns=2),
            Op(-1, 3, 1, Type.OK, "read", "x", None),
        ]
    )
    results = judge(history).results
    assert results["linearizable"].verdict is Verdict.INVALID
    assert (results["sequential"].verdict, results["sequential"].stats["path"]) == (Verdict.VALID, "search")
