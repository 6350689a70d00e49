"""Faults of one kind of thing on one node at the same time: none ends another, and what is recorded of each is what it did. And a heal that goes wrong somewhere."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checkers.op import Op, Type
from harness.generator import NEMESIS
from harness.nemesis.client import NemesisClient
from harness.plan import load_plan
from harness.plan_script import NS, Stroke
from harness.simulate import SimRun, simulate_run
from harness.system import find_system
from harness.worlds.sim import SimLoop, SimWorld

BASE = replace(load_plan(Path(__file__).parents[2] / "examples" / "quorum.toml"), rate=40.0, time_limit_s=4.0, faults=())  # fmt: skip
OFFSETS = {"n1": 300.0, "n2": 300.0}


def struck(*faults: tuple[str, float, float, tuple[str, ...], dict[str, Any]]) -> SimRun:
    """A run of these faults: kind, from, to, nodes, detail."""
    strokes = [Stroke(number, kind, round(start_s * NS), round(end_s * NS), nodes, detail) for number, (kind, start_s, end_s, nodes, detail) in enumerate(faults, 1)]  # fmt: skip
    return simulate_run(replace(BASE, strokes=tuple(strokes)), 1)


def times(run: SimRun, node: str, word: str) -> list[float]:
    """When this is said in the node's log, to a tenth of a second."""
    return [round(float(line.split()[0]), 1) for line in run.logs[node].splitlines() if word in line]


def bit(run: SimRun) -> dict[int, bool]:
    return {fault["id"]: fault["bit"] for fault in run.faults}


@pytest.mark.parametrize(
    ("kind", "begins", "ends"),
    [("pause", "stopped", "continued"), ("kill", "killed", "started"), ("slow-disk", "is slow", "is whole")],
)
def test_a_fault_within_another_of_its_kind_does_not_end_it(kind: str, begins: str, ends: str) -> None:
    run = struck((kind, 1.0, 3.0, ("n1",), {}), (kind, 1.5, 2.0, ("n1",), {}), (kind, 1.6, 2.2, ("n1", "n2"), {}))  # fmt: skip
    began = float(times(run, "n1", begins)[0])
    lasted = [at - began for at in times(run, "n1", ends) if at > began]
    assert lasted == [pytest.approx(2.0, abs=0.15)]
    assert times(run, "n2", begins)[0] - began == pytest.approx(0.6, abs=0.15)
    assert bit(run) == {1: True, 2: False, 3: True}
    by_number = {fault["id"]: fault for fault in run.faults}
    assert by_number[3]["nodes"] == ["n2"]
    assert by_number[2]["note"] == f"another fault goes on there: {kind} of n1"


def test_a_clock_that_is_off_stays_off_until_its_own_fault_ends() -> None:
    run = struck(("clock", 1.0, 3.0, ("n1",), {"offsets_ms": {"n1": -700.0}}), ("clock", 1.5, 2.0, ("n1", "n2"), {"offsets_ms": OFFSETS}), ("clock", 2.5, 2.7, ("n2",), {"offsets_ms": {"n2": 50.0}}))  # fmt: skip
    by_number = {fault["id"]: fault for fault in run.faults}
    assert bit(run) == {1: True, 2: True, 3: True}
    assert set(by_number[2]["evidence"]) == {"n2"}
    assert by_number[2]["offsets_ms"] == {"n2": 300.0}


@pytest.mark.parametrize("kind", ["slow-disk", "memory-pressure"])
def test_no_process_is_started_that_another_fault_has_ended(kind: str) -> None:
    run = struck(("kill", 1.0, 3.0, ("n1",), {}), (kind, 1.5, 2.0, ("n1",), {}))
    (killed, *_), started = times(run, "n1", "killed"), times(run, "n1", "started")
    assert [at - killed for at in started if at > killed] == [pytest.approx(2.0, abs=0.15)]
    assert all(fault["healed"] for fault in run.faults)


def test_a_heal_goes_on_when_a_fault_cannot_be_ended() -> None:
    """A file cannot be cut here, so the fault has nothing to end. What else goes on is ended all the same."""
    loop, ended = SimLoop(), list[bytes]()

    async def ready() -> list[str]:
        return []

    async def story() -> tuple[Op, NemesisClient, SimWorld]:
        system: Any = find_system("kvstore")({}, BASE.node_names)
        world = SimWorld(system, {}, 1, loop=loop)
        await world.up()
        nemesis = NemesisClient(world, now_ns=lambda: round(loop.time() * 1e9), write=ended.append, ready=ready, shifts_clocks=False)  # fmt: skip
        for number, (kind, more) in enumerate([("truncate", {}), ("pause", {}), ("partition", {"grudge": {"n2": ["n3"]}})], 1):  # fmt: skip
            await nemesis.invoke(Op(-1, 0, NEMESIS, Type.INVOKE, f"{kind}-start", None, {"id": number, "nodes": ["n1"], **more}))  # fmt: skip
        await asyncio.sleep(0.5)
        done = await nemesis.invoke(Op(-1, 0, NEMESIS, Type.INVOKE, "heal", None, None))
        assert (await world.process("n1")).state == "running"
        await world.down()
        return done, nemesis, world

    done, nemesis, _ = loop.run_until_complete(story())
    loop.close()
    assert done.type is Type.OK
    assert nemesis.problems == ["truncate-start: simulated disks hold records, and no files to be cut"]
    assert [record["healed"] for record in nemesis.records] == [False, True, True]
    assert [record["bit"] for record in nemesis.records] == [False, True, True]


def test_what_nobody_foresaw_is_a_problem_of_the_run() -> None:
    loop = SimLoop()

    async def ready() -> list[str]:
        raise ValueError("no such node")

    async def story() -> tuple[Op, list[str]]:
        system: Any = find_system("kvstore")({}, BASE.node_names)
        world = SimWorld(system, {}, 1, loop=loop)
        await world.up()
        nemesis = NemesisClient(world, now_ns=lambda: 0, write=lambda line: None, ready=ready, shifts_clocks=False)  # fmt: skip
        done = await nemesis.invoke(Op(-1, 0, NEMESIS, Type.INVOKE, "heal", None, None))
        await world.down()
        return done, nemesis.problems

    done, problems = loop.run_until_complete(story())
    loop.close()
    assert done.type is Type.INFO
    assert problems == ["heal: ValueError: no such node"]
