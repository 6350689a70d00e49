"""Each seeded bug of the store that the simulator can show is convicted, and the same plan without it is not."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from harness.plan import FaultPlan, Plan
from harness.simulate import simulate_run

SEEDS_TO_FIND = 200
SEEDS_INNOCENT = 3


@dataclass(frozen=True)
class Trial:
    bug: str
    anomalies: tuple[str, ...]
    latency_ms: float
    loss: float
    fault: FaultPlan
    rate: float = 0.0
    keys: int = 1

    def plan(self, *bugs: str) -> Plan:
        return Plan(
            name="trial", workload="register", system="kvstore", claims=("linearizable",), rate=self.rate,
            concurrency=20, time_limit_s=2.5, op_timeout_ms=400.0, faults=(self.fault,),
            options={"keys": self.keys, "ops_per_key": 100_000},
            system_options={"mode": "register", "n": 3, "bugs": list(bugs)},
            sim={"latency": "lognormal", "latency_ms": self.latency_ms, "loss": self.loss},
        )  # fmt: skip


def fault(kind: str, for_s: float, every_s: float, **options: object) -> FaultPlan:
    return FaultPlan(kind=kind, start_s=0.3, every_s=every_s, for_s=for_s, options=options)


TRIALS = (
    Trial("register.read_no_writeback", ("new-old-inversion", "stale-read"), 20.0, 0.05, fault("partition", 0.5, 1.0, shape="majorities-ring")),
    Trial("register.one_phase_write", ("lost-write",), 5.0, 0.0, fault("clock", 0.8, 1.0, offset_ms=300.0, targets="minority")),
    Trial("register.optimistic_retag", ("new-old-inversion", "stale-read", "lost-write"), 10.0, 0.02, fault("clock", 0.8, 1.0, offset_ms=60.0, targets="minority")),
    Trial("ack_before_fsync", ("lost-write", "stale-read"), 0.3, 0.0, fault("kill", 0.05, 0.3, targets="all"), 1500.0, 10),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.bug)
def test_the_bug_is_convicted(trial: Trial) -> None:
    for seed in range(1, SEEDS_TO_FIND + 1):
        run = simulate_run(trial.plan(trial.bug), seed)
        if run.results["levels"]["linearizable"].get("anomaly") in trial.anomalies:
            assert run.verdict.value == "invalid"
            return
    pytest.fail(f"{trial.bug} did not show as {' or '.join(trial.anomalies)} in {SEEDS_TO_FIND} seeds")


@pytest.mark.slow
@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.bug)
def test_without_the_bug_the_same_plan_is_clean(trial: Trial) -> None:
    for seed in range(1, SEEDS_INNOCENT + 1):
        run = simulate_run(replace(trial.plan(), seed=seed))
        assert run.verdict.value == "valid", f"seed {seed}: {run.results['reason']}"
