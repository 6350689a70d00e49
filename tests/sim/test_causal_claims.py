"""Siblings, CRDTs and sessions in the simulator: what each keeps under faults, and what the weaker mode does there.

QUORATE_SEEDS sets how many seeds a mode must survive.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.plan import FaultPlan, Plan, load_plan
from harness.search.finding import Target
from harness.simulate import SimRun, simulate_run
from tests.sim.from_file import again

EXAMPLES = Path(__file__).parents[2] / "examples"
SEEDS = min(int(os.environ.get("QUORATE_SEEDS", "3")), 500)
SEEDS_TO_FIND = 200
KEEPS = ("siblings", "crdt-set", "crdt-counter", "session")
WIPE = FaultPlan(kind="wipe", start_s=2.0, every_s=100.0, for_s=0.3, options={"targets": "one"})


def trial(name: str, **changes: Any) -> Plan:
    """An example with its system's options changed."""
    plan = load_plan(EXAMPLES / f"{name}.toml")
    system = {**plan.system_options, **changes.pop("system", {})}
    return replace(plan, system_options=system, **changes)


def found(run: SimRun, claim: str) -> Any:
    return run.results["claims"][claim]


@pytest.mark.slow
@pytest.mark.parametrize("name", KEEPS)
def test_the_promise_is_kept_under_partitions_kills_and_skew(name: str) -> None:
    for seed in range(1, SEEDS + 1):
        run = simulate_run(trial(name, time_limit_s=12.0), seed)
        assert run.verdict.value == "valid", f"{name}, seed {seed}: {run.results['reason']}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["siblings", "crdt-set", "crdt-counter"])
def test_the_promise_is_kept_when_a_disk_is_emptied(name: str) -> None:
    for seed in range(1, SEEDS + 1):
        run = simulate_run(trial(name, time_limit_s=6.0, faults=(WIPE,)), seed)
        (fault,) = run.faults
        assert (fault["kind"], fault["bit"], fault["healed"]) == ("wipe", True, True)
        assert all(found["removed"] > 0 for found in fault["evidence"].values())
        assert run.verdict.value == "valid", f"{name}, seed {seed}: {run.results['reason']}"


@pytest.mark.slow
def test_lww_drops_the_concurrent_writes_that_siblings_keep(tmp_path: Path) -> None:
    plan = trial("siblings", time_limit_s=6.0, system={"mode": "quorum"}, seed=1)
    assert Target("mv-register", "lost-update") in again(plan, simulate_run(plan), tmp_path)


@pytest.mark.slow
def test_eventual_forgets_what_a_session_has_written(tmp_path: Path) -> None:
    plan = trial("session", time_limit_s=8.0, workload="register", options={"keys": 2, "ops_per_key": 10_000})
    for seed in range(1, SEEDS_TO_FIND + 1):
        weak = replace(plan, seed=seed, system_options={"mode": "eventual", "n": 3})
        run = simulate_run(weak)
        if run.verdict.value == "invalid":
            again(weak, run, tmp_path)
            return
    pytest.fail(f"eventual kept a session's promise for {SEEDS_TO_FIND} seeds")
