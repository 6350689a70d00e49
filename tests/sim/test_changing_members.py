"""Nodes join, leave, die for good and lose their disks while clients work, in the simulator.

QUORATE_SEEDS sets how many seeds must pass. Seeded bugs are in `test_bug_plans.py`.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from checkers.verdict import Verdict
from harness.plan import FaultPlan, Plan
from harness.plan_script import Stroke
from harness.simulate import SimRun, simulate_run

SEEDS = min(int(os.environ.get("QUORATE_SEEDS", "2")), 500)
CHANGES = ("join", "leave", "replace", "wipe")


def fault(kind: str, start_s: float, every_s: float, for_s: float, **options: object) -> FaultPlan:
    return FaultPlan(kind=kind, start_s=start_s, every_s=every_s, for_s=for_s, options=options)


def plan(*faults: FaultPlan, seconds: float, rate: float, **system: object) -> Plan:
    return Plan(
        name="membership", workload="register", system="kvstore", claims=("linearizable",), rate=rate,
        concurrency=20, time_limit_s=seconds, op_timeout_ms=800.0, nodes=8, faults=faults,
        options={"keys": 6, "ops_per_key": 3000}, system_options={"mode": "register", "n": 3, "members": 5, **system},
        sim={"latency": "lognormal", "latency_ms": 3.0, "loss": 0.01},
    )  # fmt: skip


def changes(run: SimRun) -> dict[str, int]:
    """How many faults of each kind bit."""
    return {kind: sum(each["bit"] for each in run.faults if each["kind"] == kind) for kind in CHANGES}


ROUGH = (
    fault("join", 0.5, 100.0, 5.0), fault("leave", 7.0, 100.0, 5.0), fault("replace", 13.0, 100.0, 5.0),
    fault("wipe", 19.0, 100.0, 0.5, targets="one"), fault("partition", 3.0, 9.0, 1.0, shape="majorities-ring"),
    fault("pause", 2.5, 6.0, 0.5, targets="one"), fault("clock", 4.0, 9.0, 2.0, offset_ms=300.0, targets="minority"),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["register", "cas"])
def test_every_change_under_load_and_faults_keeps_the_register_linearizable(mode: str) -> None:
    seen = dict.fromkeys(CHANGES, 0)
    for seed in range(1, SEEDS + 1):
        run = simulate_run(plan(*ROUGH, seconds=22.0, rate=150.0, mode=mode), seed)
        assert run.results["levels"]["linearizable"]["verdict"] == "valid", (
            f"seed {seed}: {run.results['reason']}"
        )
        for kind, count in changes(run).items():
            seen[kind] += count
    assert seen["join"] > 0
    assert seen["wipe"] > 0
    assert seen["leave"] + seen["replace"] > 0


@pytest.mark.slow
def test_epochs_never_go_back_at_any_node() -> None:
    run = simulate_run(plan(ROUGH[0], seconds=6.0, rate=50.0), 1)
    (join,) = (each for each in run.faults if each["kind"] == "join")
    assert join["evidence"]["epoch_after"] > join["evidence"]["epoch_before"] >= 1
    assert join["evidence"]["owners_moved"] > 0


def test_a_change_that_waits_for_a_lost_disk_is_taken_back_and_the_disk_replaced() -> None:
    """The leaver's partitions need the node whose disk is gone, which is replaced once the change is over: neither would end."""
    faults = (fault("wipe", 0.3, 100.0, 1.5, targets="one"), fault("leave", 0.8, 100.0, 0.5))
    run = simulate_run(plan(*faults, seconds=2.0, rate=30.0), 2)
    wiped, left = (next(each for each in run.faults if each["kind"] == kind) for kind in ("wipe", "leave"))
    (lost,) = wiped["nodes"]
    assert left["evidence"]["node"] != lost
    assert f"{lost} has lost its data and waits for KV.CLUSTER REPLACE {lost}" in run.logs[lost]
    assert left["evidence"]["members_after"] == sorted(
        left["evidence"]["owned_before"]
    )  # it has not come to its end
    assert run.verdict is Verdict.VALID, run.results["reason"]


@pytest.mark.parametrize("mode", ["register", "cas"])
@pytest.mark.parametrize("at_s", [0.35, 0.6, 0.9])
def test_a_replacement_that_loses_its_own_disk_on_the_way_is_replaced_again(mode: str, at_s: float) -> None:
    strokes = (
        Stroke(0, "replace", 300_000_000, 1_500_000_000, (), {"draw": 0.0}),
        Stroke(1, "wipe", int(at_s * 1e9), int((at_s + 0.3) * 1e9), ("n6",), {}),
    )
    made = plan(seconds=2.0, rate=60.0, mode=mode)
    run = simulate_run(replace(made, nodes=6, strokes=strokes), 1)
    taken = next(each for each in run.faults if each["kind"] == "replace")
    assert taken["evidence"]["node"] == "n6"
    assert "n6 has lost its data and waits for KV.CLUSTER REPLACE n6" in run.logs["n6"]
    assert run.verdict is Verdict.VALID, run.results["reason"]
