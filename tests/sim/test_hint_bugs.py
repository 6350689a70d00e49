"""The seeded bugs of hinted handoff: each is convicted by its checker, and the same plan and seed without it is clean.

Hints alone repair here: no anti-entropy, no read repair. What they do not promise to bring (a write in progress when its
coordinator died) shows without any bug in some seeds, so a seed counts only if its twin is clean.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.plan import FaultPlan, Plan
from harness.search.finding import Target
from harness.search.strategies import swarm
from harness.simulate import SimRun, simulate_run
from tests.sim.from_file import again

SEEDS_TO_FIND = 40


def fault(kind: str, start_s: float, for_s: float, every_s: float = 100.0, **options: object) -> FaultPlan:
    return FaultPlan(kind=kind, start_s=start_s, every_s=every_s, for_s=for_s, options=options)


DEAD = fault("kill", 0.3, 20.0, targets="one")  # and back when load has ended

HANDED = Plan(
    name="handed", workload="siblings", system="kvstore", claims=("convergence",), rate=30.0, concurrency=10,
    time_limit_s=7.6, op_timeout_ms=500.0, nodes=3, faults=(DEAD, fault("kill", 7.5, 1.0, targets="all")),
    options={"keys": 10, "read_fraction": 0.3, "settle_s": 3.0},
    system_options={"mode": "quorum", "n": 3, "read_repair": "none", "anti_entropy_ms": 0.0},
    sim={"latency": "exponential", "latency_ms": 2.0},
)  # fmt: skip
JOINED = replace(
    HANDED, nodes=4, faults=(DEAD, fault("join", 6.5, 5.0)), options={**HANDED.options, "keys": 40},
    system_options={**HANDED.system_options, "members": 3, "transfers_max": 256, "w": 3},
)  # fmt: skip
STRICT = Plan(
    name="strict", workload="register", system="kvstore", claims=("linearizable",), rate=300.0, concurrency=20,
    time_limit_s=12.0, op_timeout_ms=500.0, nodes=5, faults=(fault("partition", 0.3, 3.5, 5.0, shape="halves"),),
    options={"keys": 2, "ops_per_key": 100_000}, system_options={"mode": "register", "n": 3},
    sim={"latency": "lognormal", "latency_ms": 20.0},
)  # fmt: skip

TRIALS: dict[str, tuple[Plan, set[str]]] = {
    "hint.unsynced": (HANDED, {"diverged"}),
    "hint.dropped_on_ring_change": (JOINED, {"diverged"}),
    "strict_counts_hints": (STRICT, {"lost-write", "stale-read", "new-old-inversion"}),
}


def with_bugs(plan: Plan, seed: int, *bugs: str) -> Plan:
    return replace(plan, seed=seed, system_options={**plan.system_options, "bugs": list(bugs)})


def judged(plan: Plan) -> SimRun:
    """The run, all its faults having bitten."""
    run = simulate_run(plan)
    assert all(each["bit"] and each["healed"] for each in run.faults)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("bug", TRIALS)
def test_the_bug_is_convicted_and_its_twin_is_clean(bug: str, tmp_path: Path) -> None:
    plan, anomalies = TRIALS[bug]
    for seed in range(1, SEEDS_TO_FIND + 1):
        wrong, right = with_bugs(plan, seed, bug), with_bugs(plan, seed)
        seen = judged(wrong)
        if seen.verdict.value == "invalid" and judged(right).verdict.value == "valid":
            assert {target.anomaly for target in again(wrong, seen, tmp_path)} <= anomalies
            return
    pytest.fail(f"{bug} was not found in {SEEDS_TO_FIND} seeds")


@pytest.mark.slow
@pytest.mark.parametrize("plan", [HANDED, JOINED], ids=["handed", "joined"])
def test_what_no_hint_brings_anti_entropy_does(plan: Plan, tmp_path: Path) -> None:
    """A message lost to a replica that seems alive leaves no hint: of such variations some diverge, and none if trees are compared too."""
    hard = [swarm(with_bugs(plan, plan.seed), number) for number in range(6)]
    alone = [simulate_run(each) for each in hard]
    diverged = [(each, run) for each, run in zip(hard, alone, strict=True) if run.verdict.value == "invalid"]
    assert diverged, "all are too easy"
    for each, run in diverged:
        assert again(each, run, tmp_path) == [Target("convergence", "diverged")]
    compared = [
        replace(each, system_options={**each.system_options, "anti_entropy_ms": 300.0}) for each in hard
    ]
    assert {verdict(each) for each in compared} == {"valid"}


def verdict(plan: Plan) -> str:
    """The one claim's."""
    run = simulate_run(plan)
    return str(run.results["claims"][plan.claims[0]]["verdict"])
