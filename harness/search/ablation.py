"""Attribution: which faults does a violation need? The plan is run again and again without one ingredient at a time.

    as it is                  17 of 40 runs show it
    without partition          0 of 40                 needed: with the rate it had, none in 40 would be chance in 1 of 10^9 cases
    without kill              15 of 40                 no matter
    without any fault          0 of 40                 needed: some fault
    without reordering        16 of 40                 no matter

An ingredient is *needed* if nothing shows without it, and that is no chance; it *helps* if clearly less does. "Chance" is Fisher's exact test,
one-sided, at 1 %. The seeds are the same in every variant, but what they draw is not: a variant is compared as a rate, not run by run.
Reference: Zeller & Hildebrandt, Simplifying and isolating failure-inducing input, 2002 (for the idea); Fisher 1935.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

from harness.intervals import fisher_less
from harness.plan import Plan, dump_plan, parse_plan
from harness.pool import in_order
from harness.search.finding import Target, shows

AS_IT_IS: Final = "as it is"
ANY_FAULT: Final = "any fault"
CHANCE_MAX: Final = 0.01
NEEDED, HELPS, NO_MATTER, UNDECIDED = "needed", "helps", "no matter", "undecided"


@dataclass(frozen=True, slots=True)
class Variant:
    """A plan without one ingredient, and what its runs showed. `chance`: how likely so few hits are at the rate of the plan as it is."""

    without: str
    runs: int
    hits: int
    chance: float
    verdict: str


def variants(plan: Plan) -> Iterator[tuple[str, Plan]]:
    """The plan as it is, then without each thing that it has."""
    yield AS_IT_IS, plan
    for kind in plan.fault_kinds:
        yield kind, _without_kind(plan, kind)
    if len(plan.fault_kinds) > 1:
        yield ANY_FAULT, replace(plan, faults=(), strokes=())
    sim = plan.sim
    if sim.get("loss", 0.0) > 0:
        yield "loss", replace(plan, sim={**sim, "loss": 0.0})
    if sim.get("reorder", 0.1) > 0:
        yield "reordering", replace(plan, sim={**sim, "reorder": 0.0})
    if sim.get("latency", "exponential") != "constant":
        yield "delays that vary", replace(plan, sim={**sim, "latency": "constant"})
    if plan.concurrency > 1 and not plan.script:
        yield "concurrency", replace(plan, concurrency=1)


def _without_kind(plan: Plan, kind: str) -> Plan:
    return replace(
        plan,
        faults=tuple(fault for fault in plan.faults if fault.kind != kind),
        strokes=tuple(stroke for stroke in plan.strokes if stroke.kind != kind),
    )


def shown(text: str, target: Target, seed: int) -> bool:
    """Does this run show the violation? In whichever process."""
    return shows(replace(parse_plan(text, "the variant"), seed=seed), target) is not None


def attribute(plan: Plan, target: Target, seeds: int, jobs: int) -> Iterator[Variant]:
    """Each variant when its runs are done, the plan as it is first."""
    made = list(variants(plan))
    tasks = (
        (name, (dump_plan(variant), target, plan.seed + seed))
        for name, variant in made
        for seed in range(seeds)
    )
    hits, count, base = 0, 0, 0
    with closing(in_order(shown, tasks, jobs)) as results:
        for name, hit in results:
            hits, count = hits + hit, count + 1
            if count == seeds:
                base = hits if name == AS_IT_IS else base
                yield judged(name, seeds, hits, base)
                hits, count = 0, 0


def judged(name: str, runs: int, hits: int, base: int) -> Variant:
    """What the numbers say, `base` being the hits of the plan as it is, in as many runs."""
    chance = fisher_less(hits, runs, base, runs)
    if name == AS_IT_IS:
        return Variant(name, runs, hits, 1.0, "")
    if chance <= CHANCE_MAX:
        return Variant(name, runs, hits, chance, HELPS if hits else NEEDED)
    enough = fisher_less(0, runs, base, runs) <= CHANCE_MAX
    return Variant(name, runs, hits, chance, NO_MATTER if enough else UNDECIDED)


def sentence(found: list[Variant], target: Target) -> str:
    """What the table says, in one sentence."""
    needed = [each.without for each in found if each.verdict == NEEDED]
    helps = [each.without for each in found if each.verdict == HELPS]
    base = found[0]
    told = f"{target} shows in {base.hits} of {base.runs} runs"
    if any(each.verdict == UNDECIDED for each in found):
        why = "too few runs" if 2 * base.hits > base.runs else "too rare"
        return f"{told}: {why} to say what it needs; run more seeds"
    if needed:
        told += f" and in none without {', or without '.join(needed)}"
    if helps:
        told += f"; more rarely without {', or without '.join(helps)}"
    return told if needed or helps else f"{told}; no single thing that was left out matters"
