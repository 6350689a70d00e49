"""A run in the simulator that touches no disk: what seed sweeps and tests use.

plan, seed ──► Story on a SimLoop ──► history, faults, results        the same story as `harness.runner.run`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from checkers import History
from harness.made import Made
from harness.plan import Plan
from harness.recorder import MemorySink
from harness.results import results_of
from harness.runner import Story, perform
from harness.worlds import World
from harness.worlds.sim import SimLoop, SimWorld
from harness.worlds.sim.tape import Streams


@dataclass(frozen=True, slots=True)
class SimRun(Made):
    """What a run left. `start_s` is the loop's time at the zero of the history."""

    start_s: float
    logs: Mapping[str, str]


def simulate_run(
    plan: Plan,
    seed: int | None = None,
    *,
    on_world: Callable[[SimWorld, SimLoop], None] = lambda world, loop: None,
    streams: Streams | None = None,
) -> SimRun:
    """Run a plan in the simulator, in memory. `on_world` is given the world before it comes up, to watch it.

    All that is drawn comes from `streams`, by default those that the plan says.

    Raises PlanError and WorldError.
    """
    plan = plan if seed is None else replace(plan, seed=seed)
    story = Story(plan, "sim", streams=streams)
    sink, fault_lines = MemorySink(), list[bytes]()

    def make(loop: SimLoop | None) -> World:
        assert loop is not None
        world = story.simulated(loop)
        on_world(world, loop)
        return world

    perform(story, make, sink, fault_lines.append)
    lines = bytes(sink.data)
    history = History.parse(lines)
    records = story.nemesis.records if story.nemesis is not None else []
    verdict, results = results_of(plan, history, records, story.doubts, world="sim", command="")
    results["trace"] = story.environment["trace"]
    return SimRun(history, records, results, verdict, lines, b"".join(fault_lines), story.start_s, story.logs)
