"""How many runs until a known mistake is found: what search strategies are compared by.

    plan with a mistake, its claim ──strategy──► run 0, 1, 2, … ──► the first that breaks the claim: its count is the result
                                                              └──► none in `runs`, or in so much processor time: "more than"

One sweep is one draw of a geometric variable and says little. So sweeps are repeated from seeds far apart, and a cell of the table has their
median and their worst. A sweep that ended without finding counts as longer than all others (censored); a crash is no conviction.
The seeds of sweep k begin at `plan.seed + k x APART`, whatever the strategy makes of them.

Reference: Klees et al., "Evaluating fuzz testing", 2018 (many trials; time to a known bug, and not counts of crashes).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

from harness.plan import Plan, dump_plan
from harness.pool import in_order
from harness.search.explore import Record, run_one

APART: Final = 100_000
Name = tuple[str, str, int]
"""(plan, strategy, number of the sweep)"""


@dataclass(frozen=True, slots=True)
class Sweep:
    """`runs` were made, the last of them the first that broke a claim, as `broken` says; or none did, and `broken` is empty."""

    runs: int
    broken: tuple[str, ...]
    crashes: int
    unknown: int
    cpu_s: float


def sweep(text: str, strategy: str, runs: int, cpu_s_max: float) -> Sweep:
    """Make runs 0, 1, 2, … of the plan until one breaks a claim, `runs` are made, or that much processor time is used."""
    made = list[Record]()
    while len(made) < runs and sum(record.cpu_s for record in made) < cpu_s_max:
        made.append(run_one(text, strategy, len(made)))
        if made[-1].broken:
            break
    outcomes = [record.outcome for record in made]
    return Sweep(
        runs=len(made),
        broken=made[-1].broken if made else (),
        crashes=outcomes.count("crash"),
        unknown=outcomes.count("unknown"),
        cpu_s=round(sum(record.cpu_s for record in made), 2),
    )


def sweeps(
    plans: Sequence[Plan], strategies: Sequence[str], *, repeats: int, runs: int, cpu_s_max: float, jobs: int
) -> Iterator[tuple[Name, Sweep]]:
    """Every plan under every strategy, once from the first seed, then all of them once more from the next, …"""
    tasks = (
        ((plan.name, strategy, repeat), (_from(plan, repeat), strategy, runs, cpu_s_max))
        for repeat in range(repeats)
        for plan in plans
        for strategy in strategies
    )
    with closing(in_order(sweep, tasks, jobs)) as made:
        yield from made


def _from(plan: Plan, repeat: int) -> str:
    return dump_plan(replace(plan, seed=plan.seed + repeat * APART))


def cell(made: Iterable[Sweep]) -> str:
    """The sweeps of a plan under a strategy in a few characters: the median, and in brackets the shortest and the longest."""
    counts = sorted(made, key=lambda each: (not each.broken, each.runs))
    if not counts:
        return "not run"
    shown = [f"{'' if each.broken else '>'}{each.runs}" for each in counts]
    middle = shown[len(shown) // 2]  # of an even number the longer one
    return middle if len(set(shown)) == 1 else f"{middle} ({shown[0]}–{shown[-1]})"
