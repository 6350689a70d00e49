"""Clocks that drift, or jump there and back: where they are from moment to moment, that it is judged by what was measured, and restart storms."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from harness.nemesis.client import KINDS
from harness.nemesis.faults import ClockShift
from harness.nemesis.moving import MovingClock
from harness.plan import PlanError, load_plan, parse_plan
from harness.plan_faults import refuse_idle
from harness.runner import run
from harness.worlds import ProcessState, WorldError
from harness.worlds.sim import SimLoop

PLAN = """
name = "moving"
workload = "register"
claims = ["linearizable"]
seed = 7
time_limit_s = 9
rate = 100
[system]
name = "kvstore"
mode = "register"
[[faults]]
kind = "clock"
targets = "TARGETS"
offset_ms = 400
start_s = 1
every_s = 20
for_s = 6
"""


class Clocks:
    """A world of two clocks on virtual time, which remembers how they moved; those in `stuck` do not."""

    def __init__(self, stuck: str = "") -> None:
        self.moves: list[tuple[float, str, float]] = []
        self.offset = {"a": 0.0, "b": 0.0}
        self.stuck, self.broken = stuck, False

    async def process(self, node: str) -> ProcessState:
        return ProcessState(7, "running")

    async def set_clock(self, node: str, offset_ms: float) -> None:
        if self.broken:
            raise WorldError(f"{node} is gone")
        self.moves.append((round(asyncio.get_running_loop().time(), 3), node, offset_ms))
        if node not in self.stuck:
            self.offset[node] = offset_ms

    async def clock_offset_ms(self, node: str) -> float:
        return self.offset[node]


def moved(world: Clocks, for_s: float, *, breaks_s: float = 0.0, **how: float) -> Any:
    """The fault after it went on for so long on virtual time."""
    fault = KINDS["clock"](1, ("a", "b"), {"offsets_ms": {"a": 400.0, "b": -200.0}, **how})
    anything: Any = world

    async def story() -> None:
        await fault.start(anything)
        if breaks_s:
            await asyncio.sleep(breaks_s)
            world.broken = True
        await asyncio.sleep(for_s)
        world.broken = False
        await fault.stop(anything)

    loop = SimLoop()
    try:
        loop.run_until_complete(loop.create_task(story()))
    finally:
        loop.close()
    return fault


def of(world: Clocks, node: str) -> list[tuple[float, float]]:
    return [(time_s, offset_ms) for time_s, each, offset_ms in world.moves if each == node]


def test_a_drift_comes_to_its_offset_little_by_little_and_stays() -> None:
    world = Clocks()
    fault = moved(world, 3.05, drift_s=2.0)
    *way, end = of(world, "a")
    assert way == [(pytest.approx(step / 10), pytest.approx(20.0 * step)) for step in range(21)]
    assert end == (3.05, 0.0)
    assert fault.evidence["a"]["seen"] == [[0.5, 200.0], [1.0, 400.0]]
    assert fault.evidence["b"]["seen"] == [[0.5, -100.0], [1.0, -200.0]]
    assert (fault.bit, fault.healed, fault.note) == (True, True, "")


def test_a_strobe_jumps_there_and_back_until_it_is_over() -> None:
    world = Clocks()
    fault = moved(world, 1.1, strobe_ms=300.0)
    assert of(world, "b") == [(0.0, -200.0), (0.3, 0.0), (0.6, -200.0), (0.9, 0.0), (1.1, 0.0)]
    assert fault.evidence["a"]["seen"] == [[1.0, 400.0], [0.0, 0.0], [1.0, 400.0]]
    assert (fault.bit, fault.healed) == (True, True)


@pytest.mark.parametrize(
    ("stuck", "for_s", "how", "note"),
    [
        ("b", 3.0, {"drift_s": 2.0}, "the offset measured is not the one asked for on b"),
        ("ab", 1.0, {"strobe_ms": 300.0}, "the offset measured is not the one asked for on a, b"),
        ("", 0.5, {"drift_s": 2.0}, "no clock was seen to move"),
        ("", 0.5, {"strobe_ms": 300.0}, "they jumped fewer than 3 times"),
    ],
)
def test_what_did_not_move_did_not_bite(stuck: str, for_s: float, how: dict[str, float], note: str) -> None:
    fault = moved(Clocks(stuck), for_s, **how)
    assert (fault.bit, fault.note) == (False, note)


def test_what_breaks_while_clocks_move_is_told_at_the_end_and_they_are_set_right() -> None:
    world = Clocks()
    with pytest.raises(WorldError, match="a is gone"):
        moved(world, 1.0, breaks_s=0.25, drift_s=2.0)
    assert world.offset == {"a": 0.0, "b": 0.0}


def test_clocks_that_jump_once_are_as_they_were() -> None:
    assert type(KINDS["clock"](1, ("a",), {"offsets_ms": {"a": 1.0}})) is ClockShift
    assert type(KINDS["clock"](1, ("a",), {"offsets_ms": {"a": 1.0}, "drift_s": 1.0})) is MovingClock


@pytest.mark.parametrize(("how", "looks"), [("drift_s = 4", 2), ("strobe_ms = 400", 3)])
@pytest.mark.parametrize("targets", ["all", "primaries"])
def test_a_store_keeps_its_claim_under_clocks_that_move(tmp_path: Path, targets: str, how: str, looks: int) -> None:  # fmt: skip
    outcome = run(parse_plan(PLAN.replace("TARGETS", targets) + how), world="sim", out=tmp_path)
    assert outcome.results["outcome"] == "valid", outcome.results["reason"]
    (fault,) = (json.loads(line) for line in (outcome.folder / "faults.jsonl").read_text().splitlines())
    assert (fault["kind"], fault["bit"], fault["healed"]) == ("clock", True, True)
    assert {len(fault["evidence"][node]["seen"]) for node in fault["nodes"]} == {looks}
    again = run(load_plan(outcome.folder / "plan.toml"), world="sim", out=tmp_path)
    assert (again.folder / "history.jsonl").read_bytes() == (outcome.folder / "history.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("drift_s = 4\nstrobe_ms = 400", "strobe_ms takes the place of drift_s; leave one of them out"),
        ("drift_s = 0.1", "drift_s is seconds, from 0.5 to 3600, not 0.1"),
        ("strobe_ms = 50", "strobe_ms is milliseconds, from 100 to 600000, not 50"),
        ("drift_s = 12", "for_s of clock is 6, and must exceed half of drift_s"),
        ("strobe_ms = 2000", "for_s of clock is 6, and must exceed three times strobe_ms"),
    ],
)
def test_what_would_not_move_is_refused(how: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        refuse_idle(parse_plan(PLAN.replace("TARGETS", "all") + how), "p.toml")


STORM = """
[[faults]]
kind = "kill"
targets = "one"
start_s = 1
every_s = 0.8
for_s = 0.2
"""


def test_a_restart_storm_is_a_kill_that_comes_often(tmp_path: Path) -> None:
    plan = PLAN[: PLAN.index("[[faults]]")] + STORM
    outcome = run(parse_plan(plan), world="sim", out=tmp_path)
    assert outcome.results["outcome"] == "valid", outcome.results["reason"]
    faults = [json.loads(line) for line in (outcome.folder / "faults.jsonl").read_text().splitlines()]
    assert len(faults) == 10
    assert all(fault["bit"] and fault["healed"] for fault in faults)
    assert all(
        found["pid_before"] < found["pid_after"] for fault in faults for found in fault["evidence"].values()
    )
