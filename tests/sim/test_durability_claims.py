"""What each `durability` keeps when the power of all nodes fails at once, by the same plan and seeds. A simulated crash is a power cut:
what was not fsynced is lost, but for a drawn prefix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.plan import FaultPlan, Plan, load_plan
from harness.search.finding import Target
from harness.simulate import simulate_run
from tests.sim.from_file import again

EXAMPLES = Path(__file__).parents[2] / "examples"
POWER_CUT = FaultPlan(kind="kill", start_s=2.0, every_s=3.0, for_s=0.5, options={"targets": "all"})
LOST = {"crdt-set": Target("or-set", "lost"), "siblings": Target("mv-register", "lost-update")}


def trial(name: str, durability: str) -> Plan:
    plan = load_plan(EXAMPLES / f"{name}.toml")
    system = {**plan.system_options, "durability": durability}
    return replace(plan, system_options=system, faults=(POWER_CUT,), time_limit_s=8.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOST)
@pytest.mark.parametrize("durability", ["always", "group:20", "interval:1", "never"])
def test_acknowledged_writes_are_lost_only_where_nobody_waits_for_the_fsync(
    name: str, durability: str, tmp_path: Path
) -> None:
    for seed in (1, 2, 3):
        plan = replace(trial(name, durability), seed=seed)
        run = simulate_run(plan)
        assert all(fault["bit"] and fault["healed"] for fault in run.faults)
        if durability in ("always", "group:20"):
            assert run.verdict.value == "valid", f"seed {seed}: {run.results['reason']}"
        else:
            assert LOST[name] in again(plan, run, tmp_path), f"seed {seed}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["register", "cas"])
@pytest.mark.parametrize("durability", ["always", "group:20"])
def test_linearizable_modes_stay_so_with_both_durabilities_they_allow(name: str, durability: str) -> None:
    for seed in (1, 2, 3):
        run = simulate_run(trial(name, durability), seed)
        assert all(fault["bit"] and fault["healed"] for fault in run.faults)
        assert run.verdict.value == "valid", f"seed {seed}: {run.results['reason']}"
