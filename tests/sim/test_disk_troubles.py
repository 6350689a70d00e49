"""Troubles of disks in the simulator: a store whose disk refuses ends by itself and comes back, one whose disk is slow answers late."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.plan import FaultPlan, Plan, load_plan, parse_plan
from harness.simulate import simulate_run

PLAN = """
name = "troubled"
workload = "register"
claims = ["linearizable"]
nodes = 5
concurrency = 10
rate = 100
time_limit_s = 4
[options]
keys = 3
[system]
name = "kvstore"
n = 3
"""
FAULT = """
[[faults]]
kind = "{kind}"
targets = "{targets}"
start_s = 1
every_s = 100
for_s = 1
"""


def trial(kind: str, targets: str, more: str = "") -> Plan:
    return parse_plan(PLAN + FAULT.format(kind=kind, targets=targets) + more)


@pytest.mark.parametrize(
    ("kind", "error"), [("disk-full", "ENOSPC"), ("read-only", "EROFS"), ("io-error", "EIO")]
)
def test_a_store_whose_disk_refuses_ends_and_comes_back(kind: str, error: str) -> None:
    run = simulate_run(trial(kind, "one"), 1)
    assert run.verdict.value == "valid", run.results["reason"]
    (fault,) = run.faults
    (node,) = fault["nodes"]
    assert (fault["bit"], fault["healed"]) == (True, True)
    found = fault["evidence"][node]
    assert (found["write_got"], found["state"]) == (error, "gone")
    assert (found["write_got_after"], found["state_after"]) == ("ok", "running")
    assert f"Storage failed ({error}), so the node must stop." in run.logs[node]


def test_a_disk_that_lies_loses_what_was_synced_though_every_write_waited_for_it() -> None:
    plan = load_plan(Path(__file__).parents[2] / "examples" / "lying_disk.toml")
    run = simulate_run(plan)
    assert run.results["claims"]["mv-register"]["anomaly"] == "lost-update"
    (fault,) = run.faults
    assert (fault["bit"], fault["healed"]) == (True, True)
    assert all(fault["evidence"][node]["synced_gone"] for node in fault["nodes"])
    honest = FaultPlan(kind="power-loss", start_s=2.0, every_s=100.0, for_s=1.0, options={"targets": "all"})
    told = simulate_run(replace(plan, faults=(honest,)))
    assert told.verdict.value == "valid", "the same power loss, of disks that keep what they promise"


def test_a_kill_does_not_end_a_lie() -> None:
    """Only the power takes away what is in the disk's cache."""
    kill = FAULT.format(kind="kill", targets="all").replace("start_s = 1", "start_s = 1.5").replace("for_s = 1", "for_s = 0.2")  # fmt: skip
    run = simulate_run(trial("lying-fsync", "one", kill), 1)
    by_kind = {fault["kind"]: fault for fault in run.faults}
    assert by_kind["kill"]["bit"]
    assert by_kind["lying-fsync"]["bit"], "the kill did not end the lie"


def test_writes_to_slow_disks_are_late() -> None:
    """Every acknowledged write waits for the second replica, whose disk stands still for up to half a second."""
    slow = simulate_run(trial("slow-disk", "all", "stall_ms = 500.0\n"), 1)
    assert slow.verdict.value == "valid", slow.results["reason"]
    assert slow.faults[0]["bit"]
    assert slow.results["latency_ms"]["write"]["max"] > 250
    assert simulate_run(parse_plan(PLAN), 1).results["latency_ms"]["write"]["max"] < 250
