"""Which runs to make of a plan. A strategy turns (plan, number) into the plan of that run; pure, so a number always means the same run.

seeds    the plan as it is, under one seed after the other
swarm    each run leaves out some of the faults, draws rhythm and strength of the others anew, and has a network and a load of its own:
         what is always on hides what shows only when it is off (Groce et al., "Swarm testing", 2012)
pct      the plan, and of the messages that are under way those of one link before those of another, in an order that is drawn and that changes
         a few times (`harness.worlds.sim.priorities`; Burckhardt et al., 2010)
points   the plan, most of its faults not at times but when a node comes to a point of the system that is drawn: a promise made, a commit begun
         (CrashTuner: Lu et al., "Detecting crash-recovery bugs in cloud systems via meta-info analysis", 2019)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from harness.plan import FaultPlan, Plan, PlanError
from harness.plan_options import (
    DISTRIBUTION,
    MEASURED,
    PLACES,
    POINT,
    PRIMARIES,
    RANGES,
    STRENGTHS,
    without,
)
from harness.system import find_system
from harness.worlds.sim.net import LATENCIES, PRIORITIES, NetOptions
from harness.worlds.sim.tape import stream

CHANGES: Final = ("join", "leave", "replace", "rolling-restart")
UNBOUND: Final = 0.25  # share of the faults that are left to their times
Strategy = Callable[[Plan, int], Plan]
DEPTH_MAX: Final = 5  # orderings that a bug may need: the first order has one, each change point one more


def seeds(plan: Plan, number: int) -> Plan:
    """The plan with the seed `plan.seed + number`."""
    return replace(plan, seed=plan.seed + number)


def swarm(plan: Plan, number: int) -> Plan:
    """A variation of the plan, drawn from its seed and the number."""
    rng = stream(plan.seed, f"swarm/{number}")
    kept = [fault for fault in plan.faults if rng.random() < 0.5] or list(plan.faults[:1])
    seed = rng.randrange(1 << 31)
    faults = tuple(_rhythm(fault, plan.time_limit_s, rng) for fault in kept)
    clients = max(1, round(plan.concurrency * _around(rng)))
    rate, drawn = plan.rate * _around(rng), _network(rng)
    return replace(
        plan,
        seed=seed,
        faults=faults,
        concurrency=plan.concurrency if plan.script else clients,  # a script says which client does what
        rate=rate,
        sim={**plan.sim, **(without(drawn, DISTRIBUTION) if MEASURED in plan.sim else drawn)},
    )


def pct(plan: Plan, number: int) -> Plan:
    """The plan under a schedule by priorities: how long a message takes and is held up, and where the order changes, is drawn."""
    rng = stream(plan.seed, f"pct/{number}")
    usual_ms = NetOptions.parse(plan.sim).latency_ms
    hold_ms = min(usual_ms * 10 ** rng.uniform(0.0, 1.5), plan.op_timeout_ms / 2)
    changes = range(rng.randrange(DEPTH_MAX))
    sim = {
        "schedule": PRIORITIES,
        "latency_ms": round(usual_ms * 4 ** -rng.random(), 3),
        "hold_ms": round(hold_ms, 3),
        "changes_s": sorted(round(rng.uniform(0.0, plan.time_limit_s), 3) for _ in changes),
    }
    rest = without(plan.sim, (*PLACES, MEASURED))  # no delay is drawn
    return replace(plan, seed=rng.randrange(1 << 31), sim={**rest, **sim})


def points(plan: Plan, number: int) -> Plan:
    """The plan with most of its faults bound to points of the system, those of one kind each time to another. Raises PlanError if it names none."""
    rng = stream(plan.seed, f"points/{number}")
    known: tuple[str, ...] = getattr(find_system(plan.system)(plan.system_options, plan.node_names), "points", ())  # fmt: skip
    if not known:
        raise PlanError(f"the strategy points needs a system that names points, and {plan.system} does not; use another")  # fmt: skip
    bound = tuple(_bound(fault, rng.choice(known), rng) for fault in plan.faults)
    return replace(plan, seed=rng.randrange(1 << 31), faults=bound)


def _bound(fault: FaultPlan, point: str, rng: random.Random) -> FaultPlan:
    """The fault, mostly at a point. Not a change of members, for it is what makes nodes come to some of them."""
    if fault.options.get("targets") == PRIMARIES or fault.kind in CHANGES or rng.random() < UNBOUND:
        return fault
    return replace(fault, options={**fault.options, POINT: point})


def _around(rng: random.Random) -> float:
    """A factor from a third to three."""
    return float(3 ** rng.uniform(-1, 1))


def _rhythm(fault: FaultPlan, time_limit_s: float, rng: random.Random) -> FaultPlan:
    """The fault, more often or more rarely, longer or shorter; it begins and ends at least once in time."""
    every_s = min(fault.every_s * _around(rng), time_limit_s / 2)
    drawn = replace(
        fault,
        start_s=round(rng.uniform(0.0, time_limit_s / 4), 3),
        every_s=round(every_s, 3),
        for_s=round(every_s * rng.uniform(0.1, 0.9), 3),
        options={**fault.options, **_strength(fault, rng)},
    )
    return _flapping_twice(drawn) if fault.kind == "flapping" else drawn


def _flapping_twice(fault: FaultPlan) -> FaultPlan:
    """Flapping whose downs and ups are short enough for two downs, as far as they may be short; then it lasts longer."""
    pair_ms = {key: fault.options[key] for key in ("down_ms", "up_ms")}
    share = min(1.0, 900 * fault.for_s / sum(pair_ms.values()))
    pair_ms = {key: round(max(RANGES[key][0], ms * share), 3) for key, ms in pair_ms.items()}
    for_s = max(fault.for_s, round(0.0011 * sum(pair_ms.values()), 3))
    return replace(
        fault, for_s=for_s, every_s=max(fault.every_s, for_s), options={**fault.options, **pair_ms}
    )


def _strength(fault: FaultPlan, rng: random.Random) -> Mapping[str, float]:
    """How strong a fault is that has degrees: around what the plan says, or what it is by default."""
    drawn = {}
    for key, default in STRENGTHS.get(fault.kind, {}).items():
        low, high, _ = RANGES[key]
        drawn[key] = round(min(high, max(low, fault.options.get(key, default) * _around(rng))), 3)
    return drawn


def _network(rng: random.Random) -> Mapping[str, Any]:
    """Delays, losses, doubles and overtaking."""
    return {
        "latency": rng.choice(LATENCIES),
        "latency_ms": round(_around(rng) ** 2, 3),
        "loss": rng.choice((0.0, 0.0, 0.01, 0.05)),
        "duplicate": rng.choice((0.0, 0.01, 0.1)),
        "reorder": rng.choice((0.0, 0.1, 1.0)),
    }


STRATEGIES: Final[Mapping[str, Strategy]] = {"seeds": seeds, "swarm": swarm, "pct": pct, "points": points}
