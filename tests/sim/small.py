"""A stale read as a script, small enough to be looked at whole: three nodes, one write, two reads, and a partition between two nodes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.plan import load_plan
from harness.plan_script import ScriptOp, Stroke

SMALL = replace(
    load_plan(Path(__file__).parents[2] / "examples" / "eventual.toml"), nodes=3, concurrency=3, faults=(), time_limit_s=0.2,
    sim={"latency": "constant", "duplicate": 0.0, "reorder": 0.0},
    script=(
        ScriptOp(client=2, f="write", at_s=0.0203, key=0, value=212),
        ScriptOp(client=1, f="read", at_s=0.06, key=0),
        ScriptOp(client=1, f="read", key=0),
    ),
    strokes=(Stroke(1, "partition", 20_000_000, 40_000_000, ("n2",), {"shape": "halves", "grudge": {"n2": ["n3"]}}),),
)  # fmt: skip
