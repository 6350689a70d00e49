"""Random small histories: the zone checker and the brute force agree; witnesses replay; cores are impossible on their own."""

import os
import random

import pytest

from checkers import History, Op, Type, Verdict
from checkers.oracle import linearizable
from checkers.register import check_linearizable
from checkers.validate import validate_core, validate_witness

BATCH = 500


def random_history(rng):
    n, span = rng.randint(1, 7), rng.choice((4, 12, 40))
    info, cas = rng.choice((0.0, 0.2, 0.6)), rng.choice((0.0, 0.0, 0.4))
    points = sorted(rng.randint(0, span) for _ in range(n))
    valid, value, fresh, ops = rng.random() < 0.7, None, 0, []
    widen = rng.choice((0, 2, 5, span))
    for point in points:
        call, ret = point - rng.randint(0, widen), point + rng.randint(0, widen)
        status = "info" if rng.random() < info else "fail" if rng.random() < 0.05 else "ok"
        roll = rng.random()
        guess = rng.choice([None, *range(1, 5)])
        if roll < 0.5:
            ops.append(("read", value if valid else guess, None, status, call, ret))
            continue
        fresh += 1
        f, old = (
            ("cas", value if valid else guess)
            if roll < 0.5 + cas / 2 and status != "fail"
            else ("write", None)
        )
        ops.append((f, fresh, old, status, call, ret))
        if status == "ok" or (status == "info" and rng.random() < 0.5):
            value = fresh
    if valid and rng.random() < 0.4:
        at = rng.randrange(n)
        f, new, old, status, call, ret = ops[at]
        ops[at] = (
            f,
            rng.choice([None, *range(1, fresh + 1)]) if f == "read" else new,
            old,
            status,
            call,
            ret,
        )
    return [op for op in ops if op[0] != "cas" or op[1] != op[2]]


def records(histories):
    events, process = [], 0
    for key, ops in enumerate(histories):
        for name, (f, new, old, status, call, ret) in enumerate(ops):
            process += 1
            argument = [old, new] if f == "cas" else new
            events.append((call, 0, Op(-1, call + 100, process, Type.INVOKE, f, key, argument), key, name))
            if status != "info" or name % 2:
                kind = Type[status.upper()]
                end = ret if status != "info" else call
                events.append((end, 1, Op(-1, end + 100, process, kind, f, key, argument), key, name))
    events.sort(key=lambda event: event[:2])
    return [e[2] for e in events], {at: e[3:] for at, e in enumerate(events)}


def never(op):
    return (*op[:5], op[5] if op[3] == "ok" else 10**9)


@pytest.mark.slow
def test_zones_agree_with_the_brute_force():
    rng, illegal, total = random.Random(11), 0, 0
    for _ in range(int(os.environ.get("QUORATE_FUZZ", "50000")) // BATCH):
        histories = [[never(op) for op in random_history(rng)] for _ in range(BATCH)]
        ops, places = records(histories)
        recorded = History.from_ops(ops)
        result = check_linearizable(recorded)
        witnesses = []
        for key, history in enumerate(histories):
            part = result.parts.get(str(key))
            if part is None:
                continue
            assert part.verdict is not Verdict.UNKNOWN, (part.reason, history)
            legal = linearizable(history)
            assert (part.verdict is Verdict.VALID) == legal, (part.anomaly, history)
            if legal:
                witnesses.extend(part.certificate.ops)
            else:
                validate_core(recorded, part)
                core = [history[places[at][1]] for at in part.certificate.ops]
                assert not linearizable(core), (part.anomaly, history, core)
                assert len(core) <= 6 or any(op[0] == "cas" for op in history), core
            total, illegal = total + 1, illegal + (not legal)
        validate_witness(recorded, witnesses)
    assert 0.25 <= illegal / total <= 0.75
