"""Attribution: which faults does a violation need? The plan is run again and again without one ingredient at a time.

    as it is                  17 of 40 runs show it
    without partition          0 of 40                 needed: with the rate it had, none in 40 would be chance in 1 of 10^9 cases
    without kill              15 of 40                 no matter
    without any fault          0 of 40                 needed: some fault
    without reordering        16 of 40                 no matter

An ingredient is *needed* if nothing shows without it, and that is no chance; it *helps* if clearly less does. "Chance" is Fisher's exact test,
one-sided, at 1 %. In the simulator the seeds are the same in every variant, but what they draw is not: a variant is compared as a rate, not run by
run. On hosts (`harness.search.by_rate`) a seed does not make a run, and the plan is run again and again with the one it has.

A run counts if it tested something: the claim has a verdict, and each kind of fault that was asked for bit. One that shows the violation counts anyway.
Reference: Zeller & Hildebrandt, Simplifying and isolating failure-inducing input, 2002 (for the idea); Fisher 1935.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

from harness.intervals import fisher_less, wilson
from harness.made import Made
from harness.plan import Plan, PlanError, dump_plan, parse_plan
from harness.pool import in_order
from harness.results import VACUOUS, unbitten
from harness.search.event import ANY_FAULT, AS_IT_IS, HELPS, NEEDED, NO_MATTER, UNDECIDED, essential
from harness.search.finding import Target, targets
from harness.simulate import simulate_run
from harness.system import SystemFault
from harness.worlds import WorldError

CHANCE_MAX: Final = 0.01


SHOWN, OTHERWISE, CLEAN, NOTHING = "shown", "otherwise", "clean", "nothing"


@dataclass(slots=True)
class Tally:
    """What the runs of a variant showed: `hits` of `runs` the violation, `others` of them another of the same claim. `uncounted` tested nothing."""

    runs: int = 0
    hits: int = 0
    others: int = 0
    uncounted: int = 0

    def add(self, seen: str) -> None:
        """One more run."""
        self.runs += seen != NOTHING
        self.hits += seen == SHOWN
        self.others += seen == OTHERWISE
        self.uncounted += seen == NOTHING


@dataclass(frozen=True, slots=True)
class Variant:
    """A plan without one ingredient, and what its runs showed (`Tally`).

    `chance`: how likely so few hits are at the rate of the plan as it is; `low` and `high`: the 95 % interval of its own rate.
    """

    without: str
    runs: int
    hits: int
    chance: float
    verdict: str
    low: float
    high: float
    others: int = 0
    uncounted: int = 0


def variants(plan: Plan, *, simulated: bool = True) -> Iterator[tuple[str, Plan]]:
    """The plan as it is, then without each thing that it has; hosts have no network that a plan could calm."""
    yield AS_IT_IS, plan
    for kind in plan.fault_kinds:
        yield kind, _without_kind(plan, kind)
    if len(plan.fault_kinds) > 1:
        yield ANY_FAULT, replace(plan, faults=(), strokes=())
    if simulated:
        yield from _calmer(plan)
    if plan.concurrency > 1 and not plan.script:
        yield "concurrency", replace(plan, concurrency=1)


def _calmer(plan: Plan) -> Iterator[tuple[str, Plan]]:
    sim = plan.sim
    if sim.get("loss", 0.0) > 0:
        yield "loss", replace(plan, sim={**sim, "loss": 0.0})
    if sim.get("reorder", 0.1) > 0:
        yield "reordering", replace(plan, sim={**sim, "reorder": 0.0})
    if sim.get("latency", "exponential") != "constant":
        yield "delays that vary", replace(plan, sim={**sim, "latency": "constant"})


def _without_kind(plan: Plan, kind: str) -> Plan:
    return replace(
        plan,
        faults=tuple(fault for fault in plan.faults if fault.kind != kind),
        strokes=tuple(stroke for stroke in plan.strokes if stroke.kind != kind),
    )


def seen_in(made: Made, plan: Plan, target: Target) -> str:
    """What a run of this plan says of the violation."""
    if target in targets(made):
        return SHOWN
    verdict = made.results["claims"].get(target.claim, {}).get("verdict")
    if verdict == "invalid":
        return OTHERWISE
    vacuous = made.results["class"] == VACUOUS or unbitten(plan, made.faults)
    return CLEAN if verdict == "valid" and not vacuous else NOTHING


def simulated(text: str, target: Target, seed: int) -> str:
    """The same of a plan that is run now, in whichever process. One that cannot be run shows nothing."""
    plan = replace(parse_plan(text, "the variant"), seed=seed)
    try:
        return seen_in(simulate_run(plan), plan, target)
    except (PlanError, WorldError, SystemFault):
        return NOTHING


def attribute(plan: Plan, target: Target, seeds: int, jobs: int) -> Iterator[Variant]:
    """In the simulator: each variant when its runs are done, the plan as it is first."""
    made = list(variants(plan))
    tasks = (
        (name, (dump_plan(variant), target, plan.seed + seed))
        for name, variant in made
        for seed in range(seeds)
    )
    tallies, count = {name: Tally() for name, _ in made}, 0
    with closing(in_order(simulated, tasks, jobs)) as results:
        for name, seen in results:
            tallies[name].add(seen)
            count += 1
            if count % seeds == 0:
                yield judged(name, tallies[name], tallies[AS_IT_IS])


def judged(name: str, tally: Tally, base: Tally) -> Variant:
    """What the numbers say, `base` being those of the plan as it is."""
    chance = 1.0 if name == AS_IT_IS else fisher_less(tally.hits, tally.runs, base.hits, base.runs)
    return Variant(
        name, tally.runs, tally.hits, chance, _verdict(name, tally, base, chance), *wilson(tally.hits, tally.runs),
        tally.others, tally.uncounted,
    )  # fmt: skip


def _verdict(name: str, tally: Tally, base: Tally, chance: float) -> str:
    if name == AS_IT_IS:
        return ""
    if chance <= CHANCE_MAX:
        return HELPS if tally.hits else NEEDED
    enough = fisher_less(0, tally.runs, base.hits, base.runs) <= CHANCE_MAX
    return NO_MATTER if enough else UNDECIDED


def sentence(found: list[Variant], target: Target) -> str:
    """What the table says, in one sentence."""
    base, *rest = found
    needed, helps, open_ = ([each for each in rest if each.verdict == verdict] for verdict in (NEEDED, HELPS, UNDECIDED))  # fmt: skip
    told = f"{target} shows in {base.hits} of {base.runs} runs"
    if open_ and len(open_) == len(rest):
        why = "too few runs" if 2 * base.hits > base.runs or not base.runs else "too rare"
        return f"{told}: {why} to say what it needs; run more"
    if needed:
        told += f" and in none without {_names(needed)} (of which, with 95 % certainty, at most {100 * max(each.high for each in needed):.0f} % would show it)"
    if helps:
        told += f"; more rarely without {_names(helps)}"
    if not needed and not helps:
        told += (
            "; no single thing that was left out matters"
            if not open_
            else "; nothing that is decided matters"
        )
    return f"{told}; not decided, for too few runs counted: {_names(open_, 'and ')}" if open_ else told


def _names(found: list[Variant], joint: str = "or without ") -> str:
    return f", {joint}".join(essential([each.without for each in found]))
