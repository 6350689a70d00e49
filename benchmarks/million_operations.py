"""A million simulated operations of mode `register` and of mode `cas`, under faults of links, processes, clocks, disks and records, while members change.

python benchmarks/million_operations.py [--operations 1000000] [--modes register,cas] [--seed 1]

    seed, seed + 1, … ──► examples/long/everything.toml, in the mode ──► verdict, operations, what bit     until there are enough

A line a run on standard error, then a table. Exit status 1 if a run broke its claim: the line has its seed. Each fault is counted where it bit, as the
plan's own evidence says. A run whose members do not come to rest in the quiet time after its faults is told as well: where a
record is unreadable at one of three replicas, the lost disk of another cannot be streamed (docs/store.md).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.plan import Plan, load_plan
from harness.simulate import simulate_run

PLAN = Path(__file__).parents[1] / "examples" / "long" / "everything.toml"
JUDGED = {"register": ("register", "linearizable"), "cas": ("cas-register", "cas-register")}


@dataclass
class Sum:
    """What all runs of a mode came to."""

    runs: int = 0
    ended: Counter[str] = field(default_factory=Counter)  # operations: ok, fail, info
    bit: Counter[str] = field(default_factory=Counter)
    broken: list[int] = field(default_factory=list)  # seeds
    unjudged: list[int] = field(default_factory=list)
    restless: list[int] = field(default_factory=list)
    cpu_s: float = 0.0

    @property
    def operations(self) -> int:
        """How many were called."""
        return sum(self.ended.values())


def plan_of(mode: str) -> Plan:
    """The plan, in this mode and judged by its claim."""
    plan, (workload, claim) = load_plan(PLAN), JUDGED[mode]
    return replace(
        plan, workload=workload, claims=(claim,), system_options={**plan.system_options, "mode": mode}
    )


def run(mode: str, seed: int, made: Sum) -> str:
    """One run more, counted; what it was in a line."""
    begin_s = time.process_time()
    done = simulate_run(plan_of(mode), seed)
    verdict = done.results["claims"][JUDGED[mode][1]]["verdict"]
    made.runs += 1
    made.cpu_s += time.process_time() - begin_s
    for counts in done.results["stats"]["stats"]["by_f"].values():
        made.ended.update(counts)
    made.bit.update(fault["kind"] for fault in done.faults if fault["bit"])
    made.broken += [seed] if verdict == "invalid" else []
    made.unjudged += [seed] if verdict == "unknown" else []
    restless = "come to rest" in done.results["reason"]
    made.restless += [seed] if restless else []
    return f"{mode}, seed {seed}: {verdict}; {made.operations:,} operations so far{'; members do not come to rest' if restless else ''}"


def runs(mode: str, first: int, operations: int, made: Sum) -> Iterator[str]:
    """Runs until there are so many operations."""
    while made.operations < operations:
        yield run(mode, first + made.runs, made)


def main() -> int:
    parser = argparse.ArgumentParser(description="A million operations under many faults, each run judged.")
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--modes", default=",".join(JUDGED))
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    modes = asked.modes.split(",")
    if unknown := [mode for mode in modes if mode not in JUDGED]:
        parser.error(f"no mode {unknown[0]!r} is judged here; there are: {', '.join(JUDGED)}")
    sums = {mode: Sum() for mode in modes}
    for mode, made in sums.items():
        for line in runs(mode, asked.seed, asked.operations, made):
            print(line, file=sys.stderr, flush=True)
    for mode, made in sums.items():
        print(
            f"{mode}: {made.operations:,} operations ({', '.join(f'{n:,} {end}' for end, n in made.ended.items())}) in "
            f"{made.runs} runs, {len(made.broken)} violations, {made.cpu_s:.0f} s of processor time"
        )
        print("  faults that bit: " + ", ".join(f"{n} {kind}" for kind, n in sorted(made.bit.items())))
        for said, seeds in (
            ("that broke the claim", made.broken),
            ("that were not judged", made.unjudged),
            ("whose members did not come to rest", made.restless),
        ):
            print(f"  seeds {said}: {', '.join(map(str, seeds)) or 'none'}")
    return 1 if any(made.broken for made in sums.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
