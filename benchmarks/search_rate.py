"""How long the search takes: long random histories, a model in Python, and small shapes that defeat a search.

python benchmarks/search_rate.py [--ops 100000] [-k 20]

Prints seconds, configurations and megabytes of each; exit status 1 if a target is missed or a verdict is wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from history_load import report
from table.histories import Row, our_lines, register, shapes

from checkers import MISSING, History, Verdict
from checkers.search import INCONSISTENT, Budget, Call, check_model


def recorded(rows: Sequence[Row]) -> History:
    return History.parse("".join(our_lines(rows)).encode())


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
            recorded(register(ops, 10, values=5, info=0.005)),
            "register",
            1.0,
        ),
        measured(
            "cas-register c=5, 10 % cas",
            Verdict.VALID,
            recorded(register(ops, 5, values=5, cas=0.1)),
            "cas-register",
            0.3,
        ),
        measured(
            "Python register c=5",
            Verdict.VALID,
            recorded(register(ops, 5, values=5)),
            PythonRegister(),
            1.0,
        ),
    ]
    for name, verdict, rows in shapes(chosen.k):
        good.append(measured(f"{name} k={chosen.k}", Verdict(verdict), recorded(rows), "register", 1.0))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
