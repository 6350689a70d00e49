"""In the simulator much happens at one instant; the order of the records keeps what came before what."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.levels import LEVELS, below
from checkers.op import invoke
from harness.plan import FaultPlan, load_plan
from harness.recorder import Recorder
from harness.simulate import simulate_run
from tests.sim.from_file import again

QUORUM = load_plan(Path(__file__).parents[2] / "examples" / "quorum.toml")
BUSY = replace(
    QUORUM,
    time_limit_s=6.0,
    concurrency=10,
    op_timeout_ms=300.0,
    options={"keys": 1, "ops_per_key": 100_000},
    faults=(FaultPlan(kind="kill", start_s=1.0, every_s=2.5, for_s=1.0, options={"targets": "minority"}),),
)


@given(st.lists(st.integers(0, 5)))
def test_no_two_records_have_the_same_time(steps: list[int]) -> None:
    recorder, now_ns, asked = Recorder(None, keep=True), 0, []
    for step in steps:
        now_ns += step
        asked.append(now_ns)
        recorder.record(invoke(0, "read", 0), now_ns)
    times = [op.time_ns for op in recorder.ops]
    assert all(a < b for a, b in pairwise(times))
    assert all(0 <= got - time <= len(steps) for got, time in zip(times, asked, strict=True))


@pytest.mark.slow
def test_clients_that_never_rest_do_not_hide_a_violation(tmp_path: Path) -> None:
    """Ten clients whose next call begins when the last one ended: what a session sees, real time must see too."""
    broken = 0
    for seed in range(8):
        plan = replace(BUSY, seed=seed)
        run = simulate_run(plan)
        verdicts = {level: run.results["levels"][level]["verdict"] for level in LEVELS}
        for level, verdict in verdicts.items():
            refuted = [weaker for weaker in below(level) if verdicts[weaker] == "invalid"]
            assert not (verdict == "valid" and refuted), f"seed {seed}: {level} is kept, {refuted} are not"
        if verdicts["monotonic-reads"] == "invalid":
            broken += 1
            again(plan, run, tmp_path)
    assert broken, "no session went back, so that nothing was tested"
