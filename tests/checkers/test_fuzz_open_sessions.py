"""Weak models where not all is known: calls of unknown outcome, that failed or never ended, values written twice, keys and values of many types.

INVALID only if no reading of the history holds: which of the open calls took effect, and which of two equal writes a read saw. VALID only if one does.
"""

from __future__ import annotations

import random
from itertools import product

import pytest
from session_oracle import causal, guaranteed

from checkers import History, Op, Type, Verdict
from checkers.jsonl import encode_value
from checkers.levels import judge
from tests.checkers.test_fuzz_sessions import NAMES, validate_circle

KEYS = ("x", 1, "1", True, 1.0, None, [1], {"a": 1})
VALUES = (1, "1", True, 1.0, [1], {"a": [1]}, -0.0, 0.0, "\ud800", 2**70, float("nan"))
OPEN = ("info", "open")


def random_calls(rng):
    """(session, f, key, value, old, how it ended), in the order in which they are called. Nothing comes after an open call of a session."""
    keys, values = rng.sample(KEYS, rng.choice((1, 2, 2))), rng.sample(VALUES, 6)
    twice, sessions = rng.random() < 0.25, rng.choice((2, 2, 3))
    written, ended, calls = {encode_value(key): [None] for key in keys}, set(), []
    for _ in range(rng.randint(3, 9)):
        session, key, roll = rng.randrange(sessions), rng.choice(keys), rng.random()
        if session in ended:
            continue
        had = written[encode_value(key)]
        f = "read" if roll < 0.5 or not values else "write" if roll < 0.9 else "cas"
        old = rng.choice(had[-2:])
        value = rng.choice(had) if f == "read" else rng.choice(had[1:]) if twice and had[1:] and roll > 0.8 else values.pop()  # fmt: skip
        kind = rng.choice(("ok", "ok", "ok", "ok", "fail", *OPEN)) if f != "read" else rng.choice(("ok",) * 9 + ("info",))  # fmt: skip
        if f == "cas" and kind == "fail":
            kind = "ok"
        if f != "read":
            had.append(value)
        if kind in OPEN:
            ended.add(session)
        calls.append((session, f, key, value, old if f == "cas" else None, kind))
    return calls


def recorded(calls):
    ops = []
    for n, (session, f, key, value, old, kind) in enumerate(calls):
        given = {"read": None, "write": value, "cas": [old, value]}[f]
        ops.append(Op(-1, 3 * n, session, Type.INVOKE, f, key, given))
        if kind != "open":
            back = value if f == "read" else given
            ops.append(Op(-1, 3 * n + 2, session, Type[kind.upper()], f, key, back))
    return History.from_ops(ops)


def readings(calls):
    """Runs of `session_oracle` that the history may be: each write has a number, and a read the number of a write of its value."""
    kept = [n for n, call in enumerate(calls) if call[5] != "fail" and (call[1] != "read" or call[5] == "ok")]
    unsure = [n for n in kept if calls[n][5] in OPEN]
    for some in product((False, True), repeat=len(unsure)):
        there = [n for n in kept if n not in unsure or some[unsure.index(n)]]
        sources = [sources_of(calls, n, there) for n in there]
        for chosen in product(*sources):
            run = {}
            for n, source in zip(there, chosen, strict=True):
                session, f, key = calls[n][:3]
                op = (f, encode_value(key), source if f == "read" else n + 1, source if f == "cas" else None)
                run.setdefault(session, []).append(op)
            yield list(run.values())


def sources_of(calls, n, there):
    """Of a write nothing; of what reads, each write whose value it is, or None for the first value, or -1 if there is none."""
    _, f, key, value, old, _ = calls[n]
    if f == "write":
        return [None]
    seen = value if f == "read" else old
    same = [m + 1 for m in there if m != n and calls[m][1] != "read" and encode_value(calls[m][2]) == encode_value(key) and encode_value(calls[m][3]) == encode_value(seen)]  # fmt: skip
    return same + [None] * (seen is None) or [-1]


def holds(name, run):
    if name in NAMES:
        return guaranteed(run, NAMES[name])
    return causal(run, name != "causal")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_weak_models_where_not_all_is_known(part):
    rng = random.Random(part)
    counts = dict.fromkeys(Verdict, 0)
    for _ in range(250):
        calls = random_calls(rng)
        history = recorded(calls)
        results = judge(history).results
        runs = list(readings(calls))
        if len(runs) > 64:
            continue
        thin = all(any(-1 in op[2:] for session in run for op in session) for run in runs)
        for name in (*NAMES, "causal", "causal-convergence"):
            verdict = results[name].verdict
            counts[verdict] += 1
            if thin and name in NAMES:
                assert verdict is not Verdict.VALID, (name, calls)
                continue
            held = any(holds(name, run) for run in runs if not any(-1 in op[2:] for session in run for op in session))  # fmt: skip
            if verdict is Verdict.INVALID and results[name].certificate.edges:
                validate_circle(history, results[name])
            if verdict is not Verdict.UNKNOWN:
                assert (verdict is Verdict.VALID) is held, (name, calls, results[name].reason)
            elif not held and not unclear(calls):
                assert thin, (name, calls, results[name].reason)
    assert min(counts.values()) > 50, counts


def unclear(calls):
    """Values that are written twice are not judged."""
    written = [(encode_value(call[2]), encode_value(call[3])) for call in calls if call[1] != "read" and call[5] != "fail"]  # fmt: skip
    return len(set(written)) < len(written)
