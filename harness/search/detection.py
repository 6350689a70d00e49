"""How many runs until a known mistake is found: what search strategies are compared by.

    plan with a mistake ──strategy──► run 0, 1, 2, … ──► the first that breaks its claim, and does not without the mistake
                                                   └──► none in `runs`, or in so much processor time: "more than"

One sweep is one draw of a geometric variable and says little. So sweeps are repeated from seeds far apart, and a cell of the table has their
median and their worst. A sweep that ended without finding counts as longer than all others (censored); a crash is no conviction.
The seeds of sweep k begin at `plan.seed + k x APART`, whatever the strategy makes of them. The *twin* is the same plan without the mistake: a run
counts only if its twin, of the same number, comes to its end and breaks nothing.

Reference: Klees et al., "Evaluating fuzz testing", 2018 (many trials; time to a known bug, and not counts of crashes).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

from harness.plan import Plan, PlanError, dump_plan, parse_plan
from harness.pool import in_order
from harness.search.explore import Record, run_one
from harness.search.steering import steering

APART: Final = 100_000
Name = tuple[str, str, int]
"""(plan, strategy, number of the sweep)"""


@dataclass(frozen=True, slots=True)
class Sweep:
    """`runs` were made, the last of them the first that counts, as `broken` says; or none does, and `broken` is empty.

    `blamed` runs broke the claim, and so did their twins, or crashed. `unknown` ones could not be judged. Their twins are not in `cpu_s`.
    """

    runs: int
    broken: tuple[str, ...]
    blamed: int
    crashes: int
    unknown: int
    cpu_s: float


def sweep(text: str, twin: str, strategy: str, runs: int, cpu_s_max: float) -> Sweep:
    """Make runs 0, 1, 2, … of the plan until one counts, `runs` are made, or that much processor time is used."""
    made, blamed, broken = list[Record](), 0, tuple[str, ...]()
    search, sound_options = steering(strategy, parse_plan(text)), parse_plan(twin).system_options
    while not broken and len(made) < runs and sum(record.cpu_s for record in made) < cpu_s_max:
        number = len(made)
        plan = search.plan(number)
        made.append(run_one(dump_plan(plan), number, search.watches))
        search.learn(number, made[-1].ops, made[-1].new)
        if made[-1].broken:
            other = run_one(dump_plan(replace(plan, system_options=sound_options)), number)
            sound = not other.broken and other.outcome != "crash"
            broken, blamed = made[-1].broken if sound else (), blamed + (not sound)
    outcomes = [record.outcome for record in made]
    return Sweep(
        runs=len(made),
        broken=broken,
        blamed=blamed,
        crashes=outcomes.count("crash"),
        unknown=outcomes.count("unknown"),
        cpu_s=round(sum(record.cpu_s for record in made), 2),
    )


def sweeps(
    pairs: Sequence[tuple[Plan, Plan]],
    strategies: Sequence[str],
    *,
    repeats: int,
    runs: int,
    cpu_s_max: float,
    jobs: int,
    wanted: Callable[[Name], bool] = lambda name: True,
) -> Generator[tuple[Name, Sweep], None, None]:
    """Every (plan, twin) under every strategy, once from the first seed, then all of them once more from the next, …; those that are wanted and can be made."""
    tasks = (
        ((plan.name, strategy, repeat), (_from(plan, repeat), _from(twin, repeat), strategy, runs, cpu_s_max))
        for repeat in range(repeats)
        for plan, twin in pairs
        for strategy in strategies
        if fits(plan, strategy) and wanted((plan.name, strategy, repeat))
    )
    with closing(in_order(sweep, tasks, jobs)) as made:
        yield from made


def _from(plan: Plan, repeat: int) -> str:
    return dump_plan(replace(plan, seed=first_seed(plan, repeat)))


def fits(plan: Plan, strategy: str) -> bool:
    """Whether the strategy can be used on the plan: one that aims faults needs faults that it can aim."""
    try:
        steering(strategy, plan).plan(0)
    except PlanError:
        return False
    return True


def first_seed(plan: Plan, repeat: int) -> int:
    """The seed that a sweep of the plan begins with."""
    return plan.seed + repeat * APART


def cell(made: Iterable[Sweep]) -> str:
    """The sweeps of a plan under a strategy in a few characters: the median, and in brackets the shortest and the longest."""
    counts = sorted(made, key=lambda each: (not each.broken, each.runs))
    if not counts:
        return "not run"
    shown = [f"{'' if each.broken else '>'}{each.runs}" for each in counts]
    middle = shown[len(shown) // 2]  # of an even number the longer one
    return middle if len(set(shown)) == 1 else f"{middle} ({shown[0]}–{shown[-1]})"
