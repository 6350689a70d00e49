"""What a sloppy quorum gives up and what it gains, each beside its strict twin: the same plan, seed and partition."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.plan import load_plan
from harness.simulate import SimRun, simulate_run
from tests.sim.from_file import again

PLAN = Path(__file__).parents[2] / "examples" / "sloppy.toml"


def not_acknowledged(run: SimRun) -> int:
    writes = run.results["stats"]["stats"]["by_f"]["write"]
    return int(writes["fail"] + writes["info"])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_reads_miss_acknowledged_writes_and_more_writes_are_acknowledged(seed: int, tmp_path: Path) -> None:
    plan = replace(load_plan(PLAN), seed=seed)
    sloppy, strict = simulate_run(plan), simulate_run(replace(plan, system_options={**plan.system_options, "sloppy": False}))  # fmt: skip
    assert all(fault["bit"] and fault["healed"] for run in (sloppy, strict) for fault in run.faults)
    assert strict.verdict.value == "valid", strict.results["reason"]
    again(plan, sloppy, tmp_path)
    assert sloppy.results["levels"]["regular"]["anomaly"] == "stale-read"
    assert sloppy.results["levels"]["integrity"]["verdict"] == "valid"
    assert not_acknowledged(sloppy) < not_acknowledged(strict) / 2
