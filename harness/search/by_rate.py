"""Attribution on hosts: no run there is the same again, so what a violation needs is told by rates.

    the finding's plan, its seed, its timetable written out
        round 1    as it is │ without kill │ without partition │ without any fault        every round starts one further on:
        round 2    without kill │ without partition │ without any fault │ as it is        what changes on the hosts meanwhile
        …                                                                                 meets all variants alike
                     4 of 5      0 of 5   …    ─► Fisher's exact test, as in the simulator (`harness.search.ablation`)

The load and the faults that are left stay where they were, for the seed is the same and each stroke is written out; what differs from run to run is
what kernels, disks and clocks make of it. Those differences are what a rate is a rate of: it says nothing of other seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from harness.made import Made
from harness.nemesis.schedule import timetable
from harness.plan import Plan
from harness.search.ablation import Tally, Variant, judged, seen_in, variants
from harness.search.event import AS_IT_IS
from harness.search.finding import Target
from harness.worlds.sim.tape import streams_of

TIMES_LEAST: Final = 5
"""With fewer of each variant even all against none is chance in more than 1 of 100 cases."""

Make = Callable[[str, Plan], Made]
"""(what is left out, the plan without it) -> its run on hosts."""


def written_out(plan: Plan) -> Plan:
    """The plan with each stroke of its faults as its seed draws it: without one of them the others stay."""
    if not plan.faults:
        return plan
    strokes = timetable(
        plan.faults, nodes=plan.node_names, time_limit_s=plan.time_limit_s, rng=streams_of(plan.seed, plan.tape)("nemesis")
    )  # fmt: skip
    return replace(plan, faults=(), strokes=strokes)


def hosts_variants(plan: Plan) -> list[tuple[str, Plan]]:
    """What is run in each round, before the rounds turn it."""
    return list(variants(written_out(plan), simulated=False))


def by_rate(plan: Plan, target: Target, times: int, make: Make) -> Iterator[tuple[str, str, list[Variant]]]:
    """After each run: what was left out, what it showed, and what whole rounds say by now, the plan as it is first. Raises what `make` raises."""
    parts = hosts_variants(plan)
    tallies, whole = {name: Tally() for name, _ in parts}, list[Variant]()
    for number in range(times):
        turn = number % len(parts)
        for place, (name, variant) in enumerate(parts[turn:] + parts[:turn], 1):
            seen = seen_in(make(name, variant), variant, target)
            tallies[name].add(seen)
            if place == len(parts):
                whole = [judged(each, tallies[each], tallies[AS_IT_IS]) for each, _ in parts]
            yield name, seen, whole
