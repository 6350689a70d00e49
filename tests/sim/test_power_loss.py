"""The fault power-loss in the simulator: its evidence counts the writes that were lost, and nothing is lost that was waited for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.plan import FaultPlan, load_plan
from harness.simulate import simulate_run
from tests.sim.from_file import again

PLAN = load_plan(Path(__file__).parents[2] / "examples" / "power_cut.toml")


@pytest.mark.parametrize(("durability", "outcome"), [("interval:1", "invalid"), ("always", "valid")])
def test_the_evidence_says_what_was_lost(durability: str, outcome: str, tmp_path: Path) -> None:
    plan = replace(PLAN, seed=1, system_options={**PLAN.system_options, "durability": durability}, time_limit_s=4.0)  # fmt: skip
    run = simulate_run(plan)
    assert run.verdict.value == outcome
    (fault,) = run.faults
    assert (fault["kind"], fault["bit"], fault["healed"]) == ("power-loss", True, True)
    lost = {node: fault["evidence"][node]["lost"]["writes"] for node in fault["nodes"]}
    assert sorted(lost) == ["n1", "n2", "n3", "n4", "n5"]
    if outcome == "invalid":
        again(plan, run, tmp_path)
        assert min(lost.values()) > 0, "up to a second of writes was not on disk yet, on every node"
    else:
        assert max(lost.values()) <= 20, "only what was on its way to the disk, which nobody was told"


@pytest.mark.parametrize(("kind", "told"), [("power-loss", True), ("power-off", False)])
def test_of_a_node_that_is_off_nobody_hears(kind: str, told: bool) -> None:
    """A power loss alone resets connections and refuses new ones; where the link goes first there is silence, until the node is back."""
    fault = FaultPlan(kind=kind, start_s=1.0, every_s=100.0, for_s=2.9, options={"targets": "all"})
    run = simulate_run(replace(PLAN, faults=(fault,), time_limit_s=3.5), 1)
    (record,) = run.faults
    assert (record["bit"], record["healed"]) == (True, True), record["note"]
    assert (b"connection reset" in run.lines) is told
    assert (b"refused the connection" in run.lines) is told
    if kind == "power-off":
        assert min(record["evidence"][node]["dropped"] for node in record["nodes"]) > 0
