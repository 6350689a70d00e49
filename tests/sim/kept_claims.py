"""What is asked of every example of a node of one's own: no seed of the mended version breaks its claim, every fault reaches it, its bug has a small story."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from harness.plan import FaultPlan, Plan
from harness.search.finding import Target
from harness.search.lamport import draw
from harness.search.shrink import Size, shrink
from harness.search.trace import traced
from harness.simulate import simulate_run
from tests.sim.from_file import again, small_again

NEED_MORE = {
    "bitflip",
    "join",
    "leave",
    "restore",
    "replace",
    "rolling-restart",
    "truncate",  # a file, of which a simulated disk has none
}  # methods that these systems do not have
TAKE_BACK = ("wipe", "lying-fsync", "snapshot-restore")  # what was promised; nothing could keep it then


def seeds_keep_the_claim(plan: Plan, seeds: range) -> None:
    """Each is valid, and each fault of the three struck."""
    for seed in seeds:
        run = simulate_run(plan, seed)
        assert run.verdict.value == "valid", f"seed {seed}: {run.results['reason']}"
        bit = {kind: counts["bit"] for kind, counts in run.results["faults"]["by_kind"].items()}
        assert min(bit[kind] for kind in ("partition", "kill", "pause")) >= 1, "a fault tried nothing"


def fault_reaches(plan: Plan, kind: str) -> None:
    """It bites, and the claim is kept, unless it takes back what was promised."""
    fault = FaultPlan(kind=kind, start_s=0.5, every_s=2.0, for_s=1.6, options={"targets": "one"})
    run = simulate_run(replace(plan, faults=(fault,), time_limit_s=4.0, op_timeout_ms=100.0))
    assert run.results["faults"]["by_kind"][kind]["bit"] >= 1
    assert kind in TAKE_BACK or run.verdict.value == "valid", run.results["reason"]


def bug_has_a_small_story(plan: Plan, target: Target, cut: str, folder: Path) -> None:
    """The violation is there, is made small, and the drawing has the message that was cut off."""
    assert target in again(plan, simulate_run(plan), folder)
    found = shrink(plan, target, out_of_time=lambda: False)
    small_again(found, target, folder)
    size = Size.of(found.plan)
    assert (size.nodes, size.ops, size.faults) <= (2, 2, 1), "a write, a read, and a partition between"
    drawing = draw(found.plan, traced(found.plan))
    assert re.search(rf"o-+x .*{cut}, cut", drawing), drawing
    assert "* ok None" in drawing
