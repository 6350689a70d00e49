"""The plan of `benchmarks/million_operations.py`: it leaves no fault of these kinds out, and its beginning is run here in both modes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.plan import FaultPlan, Plan, load_plan
from harness.plan_options import FAULT_OPTIONS
from harness.simulate import simulate_run

EXAMPLES = Path(__file__).parents[2] / "examples"
PLAN = load_plan(EXAMPLES / "long" / "everything.toml")


# the two pressures and hot-key are younger than the numbers that docs/benchmarks.md states of this plan
def test_the_plan_has_every_fault_but_those_that_no_majority_can_survive_or_only_hosts_have() -> None:
    assert set(PLAN.fault_kinds) == FAULT_OPTIONS.keys() - {
        "lying-fsync",
        "snapshot-restore",
        "truncate",
        "cpu-pressure",
        "memory-pressure",
        "hot-key",
    }


@pytest.mark.slow
def test_a_turn_of_all_modes_is_judged_and_keeps_its_claims(tmp_path: Path) -> None:
    program = [sys.executable, "benchmarks/correct_seeds.py", "--runs", "10", "--jobs", "1", "--out", str(tmp_path / "seeds.jsonl")]  # fmt: skip
    done = subprocess.run(program, cwd=EXAMPLES.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in (tmp_path / "seeds.jsonl").read_text().splitlines()]
    assert len({line["mode"] for line in lines}) == 10
    assert sum(set(line["claims"].values()) == {"valid"} for line in lines) >= 8
    assert len({kind for line in lines for kind in line["bit"]}) > 12
    again = subprocess.run([*program, "--seed", "2"], cwd=EXAMPLES.parent, capture_output=True, text=True)
    assert again.returncode == 1
    assert "is of other modes or another seed" in again.stderr


def plan(mode: str, workload: str, claim: str) -> Plan:
    system = {**PLAN.system_options, "mode": mode}
    return replace(PLAN, workload=workload, claims=(claim,), system_options=system)


@pytest.mark.parametrize(
    ("mode", "workload", "claim"),
    [("register", "register", "linearizable"), ("cas", "cas-register", "cas-register")],
)
def test_the_beginning_of_a_run_keeps_its_claim(mode: str, workload: str, claim: str) -> None:
    run = simulate_run(replace(plan(mode, workload, claim), rate=200.0, time_limit_s=3.0), 1)
    assert run.results["claims"][claim]["verdict"] == "valid"
    assert {"join", "kill", "partition", "pause", "clock"} <= {
        each["kind"] for each in run.faults if each["bit"]
    }


def test_a_client_that_connects_anew_uses_no_request_id_again() -> None:
    """Restarted nodes end connections definitely, so the process goes on: its next add was taken for one of before, and counted as acknowledged."""
    restarts = FaultPlan(kind="rolling-restart", start_s=0.5, every_s=9.0, for_s=1.0)
    base = load_plan(EXAMPLES / "counter.toml")
    run = simulate_run(replace(base, time_limit_s=4.0, rate=40.0, faults=(restarts,)), 1)
    assert run.results["claims"]["counter-exact"]["verdict"] == "valid"
    assert run.faults[0]["bit"]


@pytest.mark.parametrize("seed", [5, 7])
def test_many_adds_between_two_tries_of_one_are_all_counted_once(seed: int) -> None:
    """On a network this fast a key saw more than 64 request ids between two tries: with one of its own for each add, the first was forgotten."""
    fast = {"latency": "constant", "latency_ms": 0.205, "loss": 0.05, "duplicate": 0.0, "reorder": 0.1}
    base = load_plan(EXAMPLES / "counter.toml")
    one = replace(base, nodes=3, concurrency=3, rate=0.0, time_limit_s=1.0, op_timeout_ms=400.0, faults=(), sim=fast)  # fmt: skip
    run = simulate_run(replace(one, options={"keys": 1, "ops_per_key": 10000}), seed)
    assert run.results["claims"]["counter-exact"]["verdict"] == "valid"
    assert run.results["stats"]["stats"]["by_f"]["add"]["ok"] > 300


@pytest.mark.slow
def test_a_replacement_ends_though_its_last_word_on_a_key_is_outbid_and_a_replica_dead() -> None:
    """Streams waited a minute for the dead one (seed 2), so that the replacement was still on its way when its own disk was lost."""
    run = simulate_run(plan("cas", "cas-register", "cas-register"), 2)
    assert run.results["claims"]["cas-register"]["verdict"] == "valid"
    assert "come to rest" not in run.results["reason"]
