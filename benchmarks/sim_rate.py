"""How fast the simulator is: client operations, messages, virtual seconds and whole runs, judging included, by the processor time of one process.

python benchmarks/sim_rate.py [--repeats 3] [--compiled]

    quorum, register   as many operations as 20 clients can have, five nodes, N = 3, partitions and crashes
    slow               50 operations a second for 60 virtual seconds
    complete           whole runs of 20 virtual seconds from text to verdict, as `explore` makes them: how many in ten minutes on two cores

It says whether it measured the sources or, with `--compiled`, the copy of `make compiled` (`harness.compiled`), which it makes if need be.
The best of the repeats counts: what else runs on the machine makes caches cold, and nothing makes a process faster than it is.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from harness.compiled import how, outdated
from harness.plan import FaultPlan, Plan, dump_plan
from harness.search.explore import run_one
from harness.simulate import simulate_run

FAULTS = (
    FaultPlan(kind="partition", start_s=1, every_s=6, for_s=3, options={"shape": "halves"}),
    FaultPlan(kind="kill", start_s=3, every_s=6, for_s=1),
)
BASE = Plan(
    name="rate", workload="register", system="kvstore", claims=("linearizable",), nodes=5, concurrency=20,
    faults=FAULTS, system_options={"mode": "register", "n": 3}, options={"keys": 20, "ops_per_key": 500},
)  # fmt: skip
MODES = {"quorum": (("integrity",), 12_000), "register": (("linearizable",), 8_000)}


@dataclass(frozen=True, slots=True)
class Row:
    """A number beside its target; `more` is what else was seen."""

    what: str
    value: float
    target: float
    unit: str
    more: str


def cpu_s(call: Callable[[], None]) -> float:
    """Seconds of processor time that it took."""
    begin_s = time.process_time()
    call()
    return time.process_time() - begin_s


def simulated(plan: Plan, repeats: int) -> tuple[int, float, str]:
    """(client operations, seconds of processor time, what else); the fastest of the repeats."""
    runs = list[tuple[float, int, str]]()
    for _ in range(repeats):
        begin_s = time.process_time()
        run = simulate_run(plan)
        took_s = time.process_time() - begin_s
        stats = run.results["stats"]["stats"]
        runs.append((took_s, stats["ops"], f"{stats['ops']:,} operations, {run.verdict.value}"))
    took_s, ops, more = min(runs)
    return ops, took_s, more


def rows(repeats: int) -> list[Row]:
    """Each number."""
    found = list[Row]()
    for mode, (claims, target) in MODES.items():
        plan = replace(
            BASE, rate=4000.0, time_limit_s=10.0, claims=claims, system_options={"mode": mode, "n": 3}
        )
        ops, took_s, more = simulated(plan, repeats)
        found.append(Row(f"{mode}, faults on", ops / took_s, target, "operations/s", more))
    slow = replace(BASE, rate=50.0, time_limit_s=60.0)
    _, took_s, more = simulated(slow, repeats)
    found.append(Row("register at 50 operations/s", 60.0 / took_s, 200, "virtual s/s", more))
    whole = [dump_plan(replace(BASE, rate=50.0, time_limit_s=20.0, seed=seed)) for seed in range(5 * repeats)]
    took_s = cpu_s(lambda: [run_one(text, number) for number, text in enumerate(whole)].clear())
    each_s = took_s / len(whole)
    found.append(Row("complete runs of 20 virtual s", 2 * 600 / each_s, 1_000, "in 10 min on 2 cores", f"{each_s:.2f} s each"))  # fmt: skip
    return found


def compiled(repeats: int) -> int:
    """The same of the compiled copy, in a process of its own; its exit status."""
    root = Path(__file__).resolve().parents[1]
    made = [sys.executable, str(root / "scripts" / "compiled.py")]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
    again = [sys.executable, __file__, "--repeats", str(repeats)]
    return subprocess.run(
        again, env={**os.environ, "PYTHONPATH": str(root / "build" / "compiled")}
    ).returncode


def main() -> int:
    """Print each number against its target; exit status 1 if one is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compiled", action="store_true", help="measure the compiled copy")
    given = parser.parse_args()
    if given.compiled:
        return compiled(given.repeats)
    if refusal := outdated():
        raise SystemExit(refusal)
    print(how())
    found = rows(given.repeats)
    for row in found:
        print(f"{row.what}: {row.value:,.0f} {row.unit} (target {row.target:,.0f}); {row.more}")
    return 0 if all(row.value >= row.target for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
