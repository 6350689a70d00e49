"""How many runs each search strategy needs until each seeded bug of the store is convicted by the checker that is meant to.

python benchmarks/seeded_bugs.py [BUG …] [--strategies seeds,swarm] [--runs 200] [--repeats 1] [--each 60] [--budget 600] [--jobs 2]

Each bug of `kvstore.bugs` has a plan in examples/bugs, whose one claim is the intended checker. A cell: the median of the sweeps, the shortest and the
longest in brackets; ">" where nothing was found in so many runs. `--each` bounds a sweep in seconds of processor time, `--budget` the whole in
seconds. A run counts only if the same run without the bug is clean. Exit status 1 if a bug was found by no strategy within the target of 200 runs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from harness.plan import Plan, load_plan
from harness.search.detection import Name, Sweep, cell, sweeps
from harness.search.steering import NAMES
from kvstore.bugs import TABLE

PLANS = Path(__file__).parents[1] / "examples" / "bugs"
TARGET_RUNS = 200


def plans_of(bugs: list[str]) -> list[Plan]:
    """The plans of these bugs, of all if there are none; each has the name of its bug."""
    return [load_plan(path) for path in sorted(PLANS.glob("*.toml")) if not bugs or path.stem in bugs]


def without_bug(plan: Plan) -> Plan:
    """The same plan, and the store does it right."""
    bugs = [bug for bug in plan.system_options["bugs"] if bug != plan.name]
    return replace(plan, system_options={**plan.system_options, "bugs": bugs})


def within(budget_s: float, found: Generator[tuple[Name, Sweep], None, None]) -> Iterator[tuple[Name, Sweep]]:
    """As many as come in time."""
    begin_s = time.monotonic()
    with closing(found):
        for name, made in found:
            print(f"  {name[0]}, {name[1]}: {cell([made])}, {made.cpu_s:.1f} s", file=sys.stderr, flush=True)
            yield name, made
            if time.monotonic() - begin_s > budget_s:
                print(f"the budget of {budget_s:g} s is used up", file=sys.stderr)
                return


def shown(plans: list[Plan], strategies: list[str], found: Mapping[Name, Sweep]) -> list[str]:
    """Print the table; the bugs that no strategy found within the target."""
    print(f"| bug | intended checker | {' | '.join(strategies)} | processor time a run |")
    print("|" + "---|" * (len(strategies) + 3))
    missed = []
    for plan in plans:
        cells = [
            [made for name, made in found.items() if name[:2] == (plan.name, each)] for each in strategies
        ]
        every = [made for each in cells for made in each]
        cost_s = sum(made.cpu_s for made in every) / max(sum(made.runs for made in every), 1)
        print(f"| `{plan.name}` | {plan.claims[0]} | {' | '.join(map(cell, cells))} | {cost_s:.2f} s |")
        if every and not any(made.broken and made.runs <= TARGET_RUNS for made in every):
            missed.append(plan.name)
    for bug in sorted(TABLE.keys() - {path.stem for path in PLANS.glob("*.toml")}):
        print(f"| `{bug}` | {TABLE[bug].found_by} |{' – |' * len(strategies)} no plan |")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("bugs", nargs="*")
    parser.add_argument("--strategies", default=",".join(NAMES))
    parser.add_argument("--runs", type=int, default=TARGET_RUNS)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--each", type=float, default=60.0)
    parser.add_argument("--budget", type=float, default=600.0)
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args()
    plans, strategies = plans_of(chosen.bugs), chosen.strategies.split(",")
    pairs = [(plan, without_bug(plan)) for plan in plans]
    made = sweeps(
        pairs, strategies, repeats=chosen.repeats, runs=chosen.runs, cpu_s_max=chosen.each, jobs=chosen.jobs
    )
    missed = shown(plans, strategies, dict(within(chosen.budget, made)))
    for bug in missed:
        print(f"not found, in {TARGET_RUNS} runs or in the time of a sweep: {bug}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
