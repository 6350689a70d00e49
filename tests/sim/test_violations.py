"""Which configuration breaks which promise, found by sweeping seeds; QUORATE_SEEDS=2000 makes it the nightly size.

A violation in `register` would be a bug in the store or in the harness: the message names the seed that shows it.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.plan import Plan, load_plan
from harness.search.finding import Target
from harness.simulate import SimRun, simulate_run
from tests.sim.from_file import again

EXAMPLES = Path(__file__).parents[2] / "examples"
DEMO = Path(__file__).parents[2] / "workloads" / "demo"
SEEDS = int(os.environ.get("QUORATE_SEEDS", "20"))
SEEDS_TO_FIND = 200


def first_violation(plan: Plan, anomaly: str) -> tuple[int, SimRun]:
    """The first seed that shows the anomaly."""
    for seed in range(1, SEEDS_TO_FIND + 1):
        run = simulate_run(plan, seed)
        if run.results["levels"]["linearizable"]["anomaly"] == anomaly:
            return seed, run
    pytest.fail(f"{plan.name}: no {anomaly} in {SEEDS_TO_FIND} seeds")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "anomaly"),
    [("quorum", "new-old-inversion"), ("monotonic_skewed", "lost-write"), ("eventual", "stale-read")],
)
def test_the_guilty_are_convicted(name: str, anomaly: str, tmp_path: Path) -> None:
    plan = load_plan(EXAMPLES / f"{name}.toml")
    seed, run = first_violation(plan, anomaly)
    assert Target("linearizable", anomaly) in again(replace(plan, seed=seed), run, tmp_path)
    assert run.verdict.value == "invalid"
    assert run.results["levels"]["integrity"]["verdict"] == "valid"
    core = run.results["core"]
    assert sum(op["type"] == "invoke" for op in core["ops"]) <= 6
    assert core["sentence"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [EXAMPLES / "register.toml", DEMO / "register-skewed.toml"], ids=lambda path: path.stem
)
def test_register_keeps_its_promise(path: Path) -> None:
    plan = replace(load_plan(path), time_limit_s=15.0)
    for seed in range(1, SEEDS + 1):
        run = simulate_run(plan, seed)
        reason = run.results["reason"]
        assert run.verdict.value == "valid", f"{plan.name}, seed {seed}: {run.verdict.value}: {reason}"


@pytest.mark.slow
def test_a_fault_that_cannot_bite_makes_the_run_unknown() -> None:
    plan = load_plan(EXAMPLES / "register.toml")
    late = tuple(replace(fault, start_s=100.0) for fault in plan.faults)
    run = simulate_run(replace(plan, faults=late, time_limit_s=3.0))
    assert run.verdict.value == "unknown"
    assert "the partition never bit" in run.results["reason"]
