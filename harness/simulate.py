"""A run in the simulator that touches no disk: what seed sweeps and tests use.

plan, seed ──► Story on a SimLoop ──► history, faults, results        the same story as `harness.runner.run`
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from checkers import History
from checkers.verdict import Verdict
from harness.plan import Plan
from harness.recorder import MemorySink
from harness.results import results_of
from harness.runner import Story, perform, world_maker


@dataclass(frozen=True, slots=True)
class SimRun:
    """What a run left. `lines` and `fault_lines` are the bytes of history.jsonl and faults.jsonl."""

    history: History
    faults: list[dict[str, Any]]
    results: dict[str, Any]
    verdict: Verdict
    lines: bytes
    fault_lines: bytes


def simulate_run(plan: Plan, seed: int | None = None) -> SimRun:
    """Run a plan in the simulator, in memory. Raises PlanError and WorldError."""
    plan = plan if seed is None else replace(plan, seed=seed)
    story = Story(plan, "sim")
    sink, fault_lines = MemorySink(), list[bytes]()
    perform(story, world_maker(story, None), sink, fault_lines.append)
    lines = bytes(sink.data)
    history = History.parse(lines)
    records = story.nemesis.records if story.nemesis is not None else []
    verdict, results = results_of(plan, history, records, story.doubts, world="sim", command="")
    return SimRun(history, records, results, verdict, lines, b"".join(fault_lines))
