"""Random small runs: session guarantees, causal consistency and convergence agree with their definitions, and every circle is one."""

import os
import random

import networkx as nx
import pytest
from session_oracle import causal, guaranteed

from checkers import History, Verdict, invoke
from checkers.jsonl import encode_value
from checkers.levels import LEVELS, below, judge
from checkers.order import graph

NAMES = {
    "read-your-writes": {"ryw"},
    "monotonic-reads": {"mr"},
    "monotonic-writes": {"mw"},
    "writes-follow-reads": {"wfr"},
    "pram": {"ryw", "mr", "mw"},
    "session-guarantees": {"ryw", "mr", "mw", "wfr"},
}


def random_run(rng):
    """Sessions, and the order in which their operations happen. Reads return one of the last versions, sometimes one to come."""
    count, keys, stale = rng.choice((2, 2, 3)), rng.choice((1, 2, 2)), rng.choice((0.1, 0.4, 0.8))
    kinds = rng.choice((("read", "write"), ("read", "read", "write"), ("read", "read", "write", "cas")))
    run, order, versions, fresh = [[] for _ in range(count)], [], {key: [None] for key in range(keys)}, 0
    for _ in range(rng.randint(3, 9)):
        session, key, f = rng.randrange(count), rng.randrange(keys), rng.choice(kinds)
        seen = rng.choice(versions[key]) if rng.random() < stale else versions[key][-1]
        if f != "read" and fresh == 5:
            f = "read"
        if f != "read":
            fresh += 1
            versions[key].append(fresh)
        run[session].append((f, key, seen if f == "read" else fresh, seen if f == "cas" else None))
        order.append(session)
    if rng.random() < 0.1:
        session, at = rng.choice([(s, n) for s, ops in enumerate(run) for n in range(len(ops))])
        f, key, _new, old = run[session][at]
        if f == "read":
            run[session][at] = (f, key, rng.choice(versions[key]), old)
    return run, order


def recorded(run, order):
    ops, places = [], [0] * len(run)
    for n, session in enumerate(order):
        f, key, new, old = run[session][places[session]]
        places[session] += 1
        call = invoke(session, f, key, [old, new] if f == "cas" else new, time_ns=3 * n)
        ops += [call, type(call)(-1, 3 * n + 2, session, call.type.OK, f, key, call.value)]
    return History.from_ops(ops)


def same(one, other):
    """Equal and of one type; what is no number is itself."""
    return encode_value(one) == encode_value(other)


def validate_circle(history, result):
    """Every edge of a circle is what its name says, and the circle closes. Nothing of the checkers is used."""
    edges = result.certificate.edges
    ops, ends = {op.index: op for op in history}, {op.index: history.completion(op.index) for op in history}

    def seen(at):
        return {"read": lambda: ends[at].value, "cas": lambda: ops[at].value[0]}[ops[at].f]()

    def wrote(at):
        return ops[at].value[1] if ops[at].f == "cas" else ops[at].value

    def so(a, b):
        return ops[a].process == ops[b].process and a < b

    def rf(a, b):
        return same(ops[a].key, ops[b].key) and ops[b].f != "write" and same(seen(b), wrote(a))

    for edge in edges:
        a, b, why = edge.before, edge.after, edge.because
        if edge.name == "session order":
            assert so(a, b)
        elif edge.name == "reads-from":
            assert rf(a, b) if b is not None else seen(a) is None
        elif edge.name == "conflict":
            assert same(ops[a].key, ops[b].key)
            assert rf(b, why[-1])
            assert all(so(c, d) or rf(c, d) for c, d in zip((a, *why), why, strict=False))
        else:
            validate_demand(edge, ops, so, rf, seen)
    if edges[-1].name == "reads-from" and result.anomaly == "write-co-read":
        assert edges[0].before == edges[-1].before
        assert edges[-2].after == edges[-1].after
    elif edges[-1].after is not None:
        assert all(
            edge.after == then.before for edge, then in zip(edges, (*edges[1:], edges[0]), strict=True)
        )


def validate_demand(edge, ops, so, rf, seen):
    a, b, why = edge.before, edge.after, edge.because

    def returned(read):
        return seen(read) is None if b is None else rf(b, read)

    if edge.name == "read-your-writes":
        assert so(a, why[0])
        assert returned(why[0])
    elif edge.name == "monotonic-reads":
        assert rf(a, why[0])
        assert so(*why)
        assert returned(why[1])
    elif edge.name == "monotonic-writes" and not why:
        assert so(a, b)
    elif edge.name == "writes-follow-reads" and len(why) == 1:
        assert rf(a, why[0])
        assert so(why[0], b) or why[0] == b
    else:
        *first, c, reader, last = why
        assert so(a, c) if not first else rf(a, first[0]) and (so(first[0], c) or first[0] == c)
        assert rf(c, reader)
        assert so(reader, last)
        assert returned(last)
    assert b is None or same(ops[a].key, ops[b].key)


@pytest.mark.slow
def test_weak_models_are_what_their_definitions_say():
    rng = random.Random(5)
    seen = {name: [0, 0] for name in (*NAMES, "causal", "causal-convergence")}
    for _ in range(int(os.environ.get("QUORATE_FUZZ", "50000")) // 10):
        run, order = random_run(rng)
        history = recorded(run, order)
        results = judge(history).results
        for name, count in seen.items():
            held = guaranteed(run, NAMES[name]) if name in NAMES else causal(run, name != "causal")
            result = results[name]
            if result.verdict is Verdict.UNKNOWN:
                assert held, (name, run, result.reason)
                assert "nothing was tested" in result.reason
                continue
            assert (result.verdict is Verdict.VALID) == held, (name, run, result.reason)
            count[held] += 1
            if not held:
                validate_circle(history, result)
                drawn = graph(history, result)
                assert result.anomaly == "write-co-read" or not nx.is_directed_acyclic_graph(drawn), (
                    result.reason
                )
        for level in LEVELS:
            if results[level].verdict is Verdict.VALID:
                assert all(results[weaker].verdict is not Verdict.INVALID for weaker in below(level)), (
                    level,
                    run,
                )
    for name, (bad, good) in seen.items():
        assert min(bad, good) > 0.05 * (bad + good), (name, bad, good)
