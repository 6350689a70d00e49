"""Members join, leave, are replaced and restarted on real hosts while clients work: five members (of emulated machines four), two hosts to spare."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.client import ChannelError
from harness.nemesis.members import RollingRestart
from harness.plan import FaultPlan, Plan
from harness.provision import down, find_inventory, up
from harness.provision.inventory import Inventory
from harness.runner import run
from harness.system import find_system
from harness.worlds.hosts.world import HostsWorld
from tests.hosts.conftest import unique
from tests.hosts.paced import paced
from tests.kvstore.patient import PatientLoad

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

FAULTS = (
    FaultPlan(kind="join", start_s=1, every_s=200, for_s=12),
    FaultPlan(kind="leave", start_s=14, every_s=200, for_s=12),
    FaultPlan(kind="replace", start_s=27, every_s=200, for_s=12),
    FaultPlan(
        kind="rolling-restart", start_s=40, every_s=200, for_s=1
    ),  # takes as long as it takes: the last
)


SPARE = 2  # one joins, one takes the place of another


@pytest.fixture(scope="module")
def spared() -> Iterator[Inventory]:
    name, kind = unique("spared"), os.environ.get("QUORATE_KIND", "netns")
    try:
        yield up(kind, name, (4 if kind == "qemu" else 5) + SPARE)
    finally:
        down(name)


def plan(*faults: FaultPlan, seconds: float, members: int = 5) -> Plan:
    return Plan(
        name="members", workload="register", system="kvstore", claims=("linearizable",), rate=60.0, seed=3,
        concurrency=10, time_limit_s=seconds, op_timeout_ms=1500.0, nodes=members + SPARE, faults=faults,
        system_options={"mode": "register", "members": members, "transfers_max": 8},
    )  # fmt: skip


def test_every_change_bites_and_the_register_stays_valid(spared: Inventory, tmp_path: Path) -> None:
    members = len(spared.hosts) - SPARE
    told = paced(plan(*FAULTS, seconds=52.0, members=members), spared.hosts[0].slowness)
    outcome = run(told, world="hosts", out=tmp_path, inventory=find_inventory(spared.cluster))
    lines = (outcome.folder / "faults.jsonl").read_text().splitlines()
    faults: dict[str, dict[str, Any]] = {each["kind"]: each for each in map(json.loads, lines)}
    assert outcome.results["outcome"] == "valid", (outcome.results["reason"], faults)
    assert set(faults) == {each.kind for each in FAULTS}
    for kind in ("join", "leave", "replace"):
        evidence = faults[kind]["evidence"]
        assert evidence["epoch_after"] > evidence["epoch_before"]
    assert faults["join"]["evidence"]["node"] in faults["join"]["evidence"]["members_after"]
    ring = json.loads((outcome.folder / "ring.json").read_text())
    first, last = ring["stages"][0], ring["stages"][-1]
    assert (first["members"], first["epochs"][0]) == ([f"n{n}" for n in range(1, members + 1)], 1)
    assert last["change"] == ""  # a quick change may lie between two looks
    assert last["epochs"][1] >= faults["replace"]["evidence"]["epoch_after"]
    assert faults["join"]["evidence"]["node"] in {node for stage in ring["stages"] for node in stage["members"]}  # fmt: skip
    assert faults["join"]["evidence"]["node"] in ring["nodes"]
    round_of = faults["rolling-restart"]["evidence"]
    assert len(round_of) == members
    for seen in round_of.values():
        assert seen["ended"]
        assert seen["pid_after"] not in (None, seen["pid_before"])
        assert len(seen["heard"]) == members


def test_the_same_round_in_the_simulator(tmp_path: Path) -> None:
    outcome = run(plan(replace(FAULTS[-1], start_s=1), seconds=12.0), world="sim", out=tmp_path)
    assert outcome.results["outcome"] == "valid", outcome.results["reason"]
    (fault,) = map(json.loads, (outcome.folder / "faults.jsonl").read_text().splitlines())
    assert fault["bit"]
    assert all(seen["ended"] and len(seen["heard"]) == 5 for seen in fault["evidence"].values())


def test_a_client_that_tries_once_more_does_not_feel_a_rolling_restart(five: Inventory) -> None:
    nodes = [f"n{number}" for number in range(1, 6)]
    world = HostsWorld(find_system("kvstore")({"mode": "register"}, nodes), five, shift_clocks=False)
    load = PatientLoad(world.dial, nodes, ChannelError)
    fault = RollingRestart(1, (), {})

    async def play() -> None:
        try:
            await world.up()
            clients = asyncio.create_task(load.run(8))
            await fault.start(world)
            load.over = True
            await clients
            await fault.stop(world)
        finally:
            await world.down()

    asyncio.run(play())
    assert fault.bit, fault.note
    assert fault.healed
    assert load.retried > 0  # it was felt by the first tries
    assert len(load.took) > 50
    assert load.failed == []
