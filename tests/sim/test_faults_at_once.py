"""Faults of one kind of thing on one node at the same time: none ends another, and what is recorded of each is what it did. And a heal that goes wrong somewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
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
from harness.worlds.disk_trouble import Probe
from harness.worlds.sim import SimLoop, SimWorld

BASE = replace(load_plan(Path(__file__).parents[2] / "examples" / "quorum.toml"), rate=40.0, time_limit_s=4.0, faults=())  # fmt: skip
NODES = tuple(BASE.node_names)
OFFSETS = {"n1": 300.0, "n2": 300.0}


def struck(*faults: tuple[str, float, float, tuple[str, ...], dict[str, Any]], time_limit_s: float = 4.0) -> SimRun:  # fmt: skip
    """A run of these faults: kind, from, to, nodes, detail."""
    strokes = [Stroke(number, kind, round(start_s * NS), round(end_s * NS), nodes, detail) for number, (kind, start_s, end_s, nodes, detail) in enumerate(faults, 1)]  # fmt: skip
    return simulate_run(replace(BASE, time_limit_s=time_limit_s, strokes=tuple(strokes)), 1)


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
    assert all(fault["healed"] for fault in run.faults), run.faults


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


@pytest.mark.parametrize("kind", ["snapshot-restore", "restore"])
def test_what_puts_an_older_state_back_starts_no_process_that_another_fault_has_ended(kind: str) -> None:
    run = struck((kind, 1.0, 2.5, ("n1",), {}), ("kill", 2.0, 3.0, ("n1",), {}))
    killed = times(run, "n1", "killed")[-1]
    assert [at - killed for at in times(run, "n1", "started") if at > killed] == [
        pytest.approx(1.0, abs=0.15)
    ]
    assert all(fault["healed"] for fault in run.faults), run.faults


@pytest.mark.parametrize(
    ("kind", "after"), [("kill", "started"), ("power-off", "started"), ("pause", "continued")]
)
def test_a_rolling_restart_leaves_a_node_as_another_fault_keeps_it_and_waits_for_nobody_to_hear_it(
    kind: str, after: str
) -> None:
    run = struck((kind, 1.0, 8.0, ("n2",), {}), ("rolling-restart", 1.2, 2.0, NODES, {}), time_limit_s=9.0)
    began = times(run, "n2", "stopped" if kind == "pause" else "killed")[0]
    assert [at - began for at in times(run, "n2", after) if at > began] == [pytest.approx(7.0, abs=0.25)]
    assert bit(run) == {1: True, 2: True}
    restart = next(fault for fault in run.faults if fault["id"] == 2)
    assert restart["nodes"] == ["n1", "n3", "n4", "n5"]
    assert restart["evidence"]["n2"] == {"state": "stopped already" if kind == "pause" else "gone already"}
    assert all(fault["healed"] for fault in run.faults), run.faults


def test_a_rolling_restart_waits_for_nobody_to_hear_a_node_that_is_cut_off() -> None:
    others = [node for node in NODES if node != "n2"]
    grudge = {"n2": others, **{node: ["n2"] for node in others}}
    run = struck(("partition", 1.0, 8.0, ("n2",), {"grudge": grudge}), ("rolling-restart", 1.2, 2.0, NODES, {}), time_limit_s=9.0)  # fmt: skip
    assert bit(run) == {1: True, 2: True}
    restart, cut = sorted(run.faults, key=lambda fault: str(fault["kind"]), reverse=True)
    assert restart["start_ns"] < restart["end_ns"] < cut["end_ns"] < 8.1 * NS


def test_who_is_replaced_is_one_that_was_there_and_stays_away_while_the_fault_goes_on() -> None:
    base = replace(BASE, nodes=6, system_options={**BASE.system_options, "members": 5}, time_limit_s=6.0)
    strokes = (
        Stroke(1, "kill", NS, 5 * NS, ("n1",), {}),
        Stroke(2, "replace", round(1.5 * NS), round(4.5 * NS), (), {"draw": 0.0}),
        Stroke(3, "kill", 3 * NS, round(3.5 * NS), ("n2",), {}),
    )
    run = simulate_run(replace(base, strokes=strokes), 1)
    by_number = {fault["id"]: fault for fault in run.faults}
    assert (by_number[2]["evidence"]["lost"], by_number[2]["bit"]) == ("n2", True)
    assert by_number[3]["note"] == "another fault goes on there: replace of n2"
    killed = times(run, "n2", "killed")[0]
    assert all(at - killed > 2.5 for at in times(run, "n2", "started") if at > killed)


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


def test_a_disk_that_refuses_writes_after_the_heal_is_a_problem_of_the_run() -> None:
    loop = SimLoop()

    class Worn(SimWorld):
        """One of its disks cannot be mended."""

        async def mend_disks(self, nodes: Sequence[str]) -> Mapping[str, Probe]:
            await super().mend_disks([node for node in nodes if node != "n2"])
            return self._probes(nodes)

    async def ready() -> list[str]:
        return []

    async def story() -> NemesisClient:
        system: Any = find_system("kvstore")({}, BASE.node_names)
        world = Worn(system, {}, 1, loop=loop)
        await world.up()
        nemesis = NemesisClient(world, now_ns=lambda: 0, write=lambda line: None, ready=ready, shifts_clocks=False)  # fmt: skip
        value = {"id": 1, "nodes": ["n1", "n2"]}
        await nemesis.invoke(Op(-1, 0, NEMESIS, Type.INVOKE, "disk-full-start", None, value))
        await nemesis.invoke(Op(-1, 0, NEMESIS, Type.INVOKE, "disk-full-stop", None, {"id": 1}))
        await nemesis.invoke(Op(-1, 0, NEMESIS, Type.INVOKE, "heal", None, None))
        await world.down()
        return nemesis

    nemesis = loop.run_until_complete(story())
    loop.close()
    assert [record["healed"] for record in nemesis.records] == [False]
    assert nemesis.problems == ["a write to the disk of n2 gets ENOSPC after the heal"]


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
