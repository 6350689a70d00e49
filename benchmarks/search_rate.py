"""How long the search takes: long random histories, a model in Python, and small shapes that defeat a search.

python benchmarks/search_rate.py [--ops 100000] [-k 20]

Prints seconds, configurations and megabytes of each; exit status 1 if a target is missed or a verdict is wrong.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator

from history_load import report

from checkers import MISSING, History, Op, Type, Verdict
from checkers.search import INCONSISTENT, Budget, Call, check_model

Row = tuple[str, object, object, str, float, float]


def random_rows(ops: int, clients: int, values: int, cas: float, info: float, seed: int = 1) -> list[Row]:
    """Valid by construction: each operation takes effect at a random instant of its interval."""
    rng = random.Random(seed)
    free = [rng.random() for _ in range(clients)]
    plan = []
    for _ in range(ops):
        client = min(range(clients), key=free.__getitem__)
        call = free[client]
        end = call + rng.uniform(0.5, 1.5)
        free[client] = end + rng.uniform(0, 0.1)
        plan.append((rng.uniform(call, end), call, end))
    state, rows = None, []
    for _, call, end in sorted(plan):
        roll, value = rng.random(), rng.randint(1, values)
        status = "info" if rng.random() < info else "ok"
        if roll < cas:
            fits = rng.random() < 0.5
            old = state if fits else values + 1
            rows.append(("cas", [old, value], [old, value], "ok" if fits else "fail", call, end))
            state = value if fits else state
        elif roll < 0.5 + cas / 2:
            rows.append(("read", MISSING, state, "ok", call, end))
        else:
            rows.append(("write", value, value, status, call, end))
            state = value
    return rows


def recorded(rows: list[Row]) -> History:
    events = []
    for process, (f, value, result, status, call, end) in enumerate(rows):
        calls, ends = int(call * 1e6), int(end * 1e6)
        events.append((calls, 0, Op(-1, calls, process, Type.INVOKE, f, 0, value)))
        events.append((ends, 1, Op(-1, ends, process, Type[status.upper()], f, 0, result)))
    return History.from_ops(event[2] for event in sorted(events, key=lambda event: event[:2]))


def write(value: int, call: float, end: float, status: str = "ok") -> Row:
    return ("write", value, value, status, call, end)


def read(value: int, call: float, end: float) -> Row:
    return ("read", MISSING, value, "ok", call, end)


def shapes(k: int) -> Iterator[tuple[str, Verdict, list[Row]]]:
    """The hard shapes: polynomial by hand, exponential for a plain search."""
    storm = [write(10 + n, 10, 20) for n in range(k)]
    yield "first-of-k", Verdict.VALID, [*storm, read(10, 30, 31)]
    yield "none-of-k", Verdict.INVALID, [write(1, 0, 1), *storm, read(1, 30, 31)]
    late = [read(10 + k - 1 - n, 30 + 2 * n, 31 + 2 * n) for n in range(k)]
    yield "reversed-reads", Verdict.INVALID, [*storm, *late]
    open_ = [write(10 + n, 10, 1000) for n in range(k)]
    yield "reversed-reads, writes open", Verdict.VALID, [*open_, *late]
    seen = [read(10 + n, 10, 20) for n in range(k - 1)]
    yield "stale-in-storm", Verdict.INVALID, [write(1, 0, 1), write(2, 2, 3), *storm, *seen, read(1, 10, 20)]
    batches = []
    for batch in range(100):
        begin = 10 * batch
        batches += [write(100 * batch + n, begin, begin + 5) for n in range(k)]
        batches.append(read(100 * batch, begin + 6, begin + 7))
    yield "batches", Verdict.VALID, batches
    lost = [write(10_000 + n, 0, 1, "info") for n in range(k)]
    pairs = []
    for n in range(100):
        pairs += [write(n, 10 + 4 * n, 11 + 4 * n), read(n, 12 + 4 * n, 13 + 4 * n)]
    yield "crashed-valid", Verdict.VALID, [*lost, *pairs]
    yield "crashed-invalid", Verdict.INVALID, [*lost, *pairs, read(50, 1000, 1001)]


class PythonRegister:
    def init(self):
        return None

    def step(self, state, call: Call):
        if call.f == "write":
            return call.value
        return state if call.result is MISSING or call.result == state else INCONSISTENT


def measured(name: str, expected: Verdict, history: History, model: object, target: float) -> bool:
    begin = time.perf_counter()
    result = check_model(history, model, budget=Budget(deadline_ms=20_000))
    took = time.perf_counter() - begin
    good = report(name, took, target, "s")
    print(
        f"    {result.verdict.value}, {result.stats['states']} configurations, {result.stats['search_bytes'] / 1e6:.1f} MB"
    )
    return good and result.verdict is expected


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ops", type=int, default=100_000)
    parser.add_argument("-k", type=int, default=20)
    chosen = parser.parse_args()
    ops = chosen.ops
    good = [
        measured(
            "register c=10, 0.5 % info",
            Verdict.VALID,
            recorded(random_rows(ops, 10, 5, 0, 0.005)),
            "register",
            1.0,
        ),
        measured(
            "cas-register c=5, 10 % cas",
            Verdict.VALID,
            recorded(random_rows(ops, 5, 5, 0.1, 0)),
            "cas-register",
            0.3,
        ),
        measured(
            "Python register c=5",
            Verdict.VALID,
            recorded(random_rows(ops, 5, 5, 0, 0)),
            PythonRegister(),
            1.0,
        ),
    ]
    for name, verdict, rows in shapes(chosen.k):
        good.append(measured(f"{name} k={chosen.k}", verdict, recorded(rows), "register", 1.0))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
