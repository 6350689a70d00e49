"""The seeded bugs of class cas and of retries: each is convicted by its checker, and the same plan without it is clean."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from checkers.models import check
from harness.plan import FaultPlan, Plan
from harness.simulate import simulate_run

SEEDS_TO_FIND = 200
SEEDS_INNOCENT = 3


def fault(kind: str, for_s: float, every_s: float, **options: object) -> FaultPlan:
    return FaultPlan(kind=kind, start_s=0.1, every_s=every_s, for_s=for_s, options=options)


CUTS = fault("partition", 0.5, 1.0, shape="majorities-ring")
QUICK_CUTS = fault("partition", 0.4, 0.5, shape="majorities-ring")
BLINKS = fault("kill", 0.005, 0.03, targets="minority")


@dataclass(frozen=True)
class Trial:
    bug: str
    workload: str
    model: str
    latency_ms: float
    loss: float
    faults: tuple[FaultPlan, ...]
    keys: int = 1
    time_limit_s: float = 2.5

    def plan(self, *bugs: str) -> Plan:
        return Plan(
            name="trial", workload=self.workload, system="kvstore", claims=("linearizable",), rate=0.0,
            concurrency=20, time_limit_s=self.time_limit_s, op_timeout_ms=400.0, faults=self.faults,
            options={"keys": self.keys, "ops_per_key": 10_000},
            system_options={"mode": "cas", "n": 3, "bugs": list(bugs)},
            sim={"latency": "lognormal", "latency_ms": self.latency_ms, "loss": self.loss},
        )  # fmt: skip


TRIALS = (
    Trial("cas.read_no_accept", "register", "register", 20.0, 0.05, (CUTS,)),
    Trial("cas.fail_no_accept", "cas-register", "cas-register", 5.0, 0.05, (CUTS,), 5),
    Trial("cas.retry_reports_second_outcome", "cas-register", "cas-register", 5.0, 0.05, (CUTS,), 5),
    Trial("cas.promise_not_persisted", "counter", "counter-exact", 10.0, 0.05, (BLINKS, QUICK_CUTS), 3, 4.0),
    Trial("cas.next_not_promised", "cas-register", "cas-register", 5.0, 0.05, (CUTS,), 5),
    Trial("retry.duplicate_apply", "counter", "counter-exact", 5.0, 0.05, (CUTS,), 5),
)


@pytest.mark.slow
@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.bug)
def test_the_bug_is_convicted(trial: Trial) -> None:
    for seed in range(1, SEEDS_TO_FIND + 1):
        result = check(simulate_run(trial.plan(trial.bug), seed).history, trial.model)
        if result.verdict.value == "invalid":
            return
    pytest.fail(f"{trial.bug} was not found in {SEEDS_TO_FIND} seeds")


@pytest.mark.slow
@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.bug)
def test_without_the_bug_the_same_plan_is_clean(trial: Trial) -> None:
    for seed in range(1, SEEDS_INNOCENT + 1):
        result = check(simulate_run(trial.plan(), seed).history, trial.model)
        assert result.verdict.value == "valid", f"seed {seed}: {result.reason}"
