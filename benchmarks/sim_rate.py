"""How fast the simulator is: client operations a second in `register` mode, and 60 virtual seconds at 100 ops/s.

python benchmarks/sim_rate.py
"""

from __future__ import annotations

import time
from dataclasses import replace

from harness.plan import FaultPlan, Plan
from harness.simulate import simulate_run

FAULTS = (
    FaultPlan(kind="partition", start_s=1, every_s=6, for_s=3, options={"shape": "halves"}),
    FaultPlan(kind="kill", start_s=3, every_s=6, for_s=1),
)
BASE = Plan(
    name="rate", workload="register", system="kvstore", claims=("linearizable",), nodes=5, concurrency=20,
    faults=FAULTS, system_options={"mode": "register", "n": 3}, options={"keys": 20, "ops_per_key": 500},
)  # fmt: skip


def measure(plan: Plan) -> tuple[int, float, str]:
    """Client operations, seconds, verdict; the judging included."""
    begin = time.perf_counter()
    run = simulate_run(plan)
    seconds = time.perf_counter() - begin
    return run.results["stats"]["stats"]["ops"], seconds, run.verdict.value


def main() -> None:
    """Print both numbers against their targets."""
    ops, seconds, verdict = measure(replace(BASE, rate=4000.0, time_limit_s=10.0))
    print(
        f"register, 5 nodes, faults on: {ops / seconds:,.0f} client ops/s (target 5,000), {ops:,} ops, {verdict}"
    )
    ops, seconds, verdict = measure(replace(BASE, rate=100.0, time_limit_s=60.0))
    print(f"60 virtual seconds at 100 ops/s: {seconds:.2f} s (target 3), {ops:,} ops, {verdict}")


if __name__ == "__main__":
    main()
