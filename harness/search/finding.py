"""What was found: a claim that a run of a plan broke, and the class of the anomaly. And how to ask whether a plan still shows it.

    plan, seed ──► simulate ──► claims that are INVALID ──► Target(claim, anomaly)
    another plan ──► simulate ──► shows the same target?

A smaller plan that breaks the claim in another way is another finding: it does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from checkers.op import MISSING, Type
from harness.made import Made
from harness.nemesis.client import HEAL
from harness.nemesis.schedule import timetable
from harness.plan import Plan, PlanError
from harness.plan_script import NS, ScriptOp
from harness.plan_tape import Pin
from harness.simulate import SimRun, simulate_run
from harness.system import SystemFault
from harness.worlds import WorldError
from harness.worlds.sim import SimLoop
from harness.worlds.sim.tape import RecordedStreams, as_share, streams_of


@dataclass(frozen=True, slots=True)
class Target:
    """A broken claim. `anomaly` is the checkers' name of the violation's class."""

    claim: str
    anomaly: str

    def __str__(self) -> str:
        return f"{self.anomaly} against {self.claim}"


def targets(run: Made) -> list[Target]:
    """The claims that a run broke, as the plan names them."""
    return broken_in(run.results)


def broken_in(results: Mapping[str, Any]) -> list[Target]:
    """The same of `results.json`."""
    claims = results["claims"].items()
    return [
        Target(name, str(found["anomaly"] or "violation"))
        for name, found in claims
        if found["verdict"] == "invalid"
    ]


Alike = Callable[[Plan, SimRun], bool]
"""Does the run of a plan that shows the target show it as it is meant?"""


def any_way(plan: Plan, run: SimRun) -> bool:
    """However it shows it."""
    return True


Spend = Callable[[int], None]
"""Told how many events a run had: what it cost, the same on every machine."""


def shows(
    plan: Plan, target: Target, alike: Alike = any_way, spend: Spend = lambda events: None
) -> SimRun | None:
    """The run of the plan, if it breaks the same claim in the same way. A plan that cannot be run shows nothing."""
    loops = list[SimLoop]()
    try:
        run = simulate_run(plan, on_world=lambda world, loop: loops.append(loop))
    except (PlanError, WorldError, SystemFault):
        return None
    finally:
        spend(sum(loop.steps for loop in loops))
    return run if target in targets(run) and alike(plan, run) else None


def first_to_show(
    plan: Plan, target: Target, seeds: Iterable[int], alike: Alike = any_way, spend: Spend = lambda events: None
) -> tuple[Plan, SimRun] | None:  # fmt: skip
    """The plan with the first of the seeds that shows the target, and its run."""
    for seed in seeds:
        tried = replace(plan, seed=seed)
        run = shows(tried, target, alike, spend)
        if run is not None:
            return tried, run
    return None


def scripted(plan: Plan, run: SimRun) -> Plan:
    """The plan with all that its run did written out: each operation at the time it was called, each fault as drawn.

    With the same seed it makes the same run, for the network and the nodes draw from streams of their own.
    """
    ops, healed_ns = list[ScriptOp](), None
    for op in run.history:
        if op.f == HEAL and op.type is not Type.INVOKE:
            healed_ns = op.time_ns
        if op.type is Type.INVOKE and isinstance(op.process, int):
            at_s, after_s = (
                (op.time_ns / NS, 0.0) if healed_ns is None else (None, (op.time_ns - healed_ns) / NS)
            )
            client = op.process % plan.concurrency
            value, null = None if op.value is MISSING else op.value, op.value is None
            ops.append(
                ScriptOp(
                    client=client, f=op.f, at_s=at_s, key=op.key, value=value, null=null, after_s=after_s
                )
            )
    strokes = plan.strokes or timetable(
        plan.faults, nodes=plan.node_names, time_limit_s=plan.time_limit_s,
        rng=streams_of(plan.seed, plan.tape)("nemesis"),
    )  # fmt: skip
    ends_s = max((op.at_s for op in ops if op.at_s is not None), default=0.0)
    limit_s = max(plan.time_limit_s, ends_s + 0.001)
    return replace(plan, script=tuple(ops), strokes=strokes, faults=(), time_limit_s=limit_s)


def draws_of(plan: Plan) -> list[Pin]:
    """Every random draw of the plan's run, as a plan's [tape] has it."""
    recorded = RecordedStreams(streams_of(plan.seed, plan.tape))
    simulate_run(plan, streams=recorded)
    return [
        (name, at, as_share(drawn))
        for name, draws in recorded.draws.items()
        for at, drawn in enumerate(draws)
    ]


def guilty(run: SimRun, target: Target) -> list[int]:
    """Places in the run's script of the operations in the core of the violation; empty if there is no core."""
    certificate = run.results["claims"][target.claim]["certificate"] or {}
    core = set(certificate.get("ops", ())) if certificate.get("kind") == "core" else set()
    called = [op.index for op in run.history if op.type.word == "invoke" and isinstance(op.process, int)]
    return [place for place, index in enumerate(called) if index in core]
