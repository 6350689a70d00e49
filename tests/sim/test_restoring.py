"""A simulated cluster that doubles and reorders messages writes a snapshot under load, loses every disk, and begins anew."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness.plan import parse_plan
from harness.runner import Story
from harness.worlds.sim import SimLoop, SimWorld

PLAN = """
name = "restoring"
workload = "register"
claims = ["linearizable"]
nodes = 3
[system]
name = "kvstore"
mode = "{mode}"
"""
NETWORK = {"latency_ms": 5, "duplicate": 0.3, "reorder": 0.5}
KEYS = 30


async def story(world: SimWorld) -> None:
    await world.up()

    async def ask(node: str, *words: bytes) -> Any:
        channel = await world.dial(node)
        answer = await channel.request(words, timeout_s=5.0)
        await channel.close()
        assert not isinstance(answer, BaseException), answer
        return answer

    async def write(round_: int) -> None:
        for number in range(KEYS):
            await ask(world.nodes[number % 3], b"SET", b"k%d" % number, b"%d" % round_)

    await write(1)
    snapshot = asyncio.ensure_future(ask("n2", b"KV.CLUSTER", b"SNAPSHOT", b"monday"))
    await write(2)  # some of it is in the snapshot
    await snapshot
    await write(3)  # none of it is
    for node in world.nodes:
        await world.kill(node)
    await asyncio.sleep(1.0)  # of virtual time: what was on its way finds nobody, as with real connections
    for node in world.nodes:
        disk = world.machine(node).disk
        (label,) = [name for name in disk if name.startswith("snapshot monday-")]
        copy = disk[label]
        await world.wipe(node)
        world.machine(node).disk["engine"] = copy
    await world.up()
    seen = [await ask(node, b"GET", b"k%d" % number) for number in range(KEYS) for node in world.nodes]
    assert set(seen) <= {b"1", b"2"}
    for at in range(0, len(seen), 3):
        told = seen[at : at + 3]  # one after the other, each at another node
        assert told == sorted(told)  # a write that is in some copies may take effect late, once
    await write(4)
    assert {await ask("n3", b"GET", b"k%d" % number) for number in range(KEYS)} == {b"4"}


@pytest.mark.parametrize("mode", ["register", "cas"])
@pytest.mark.parametrize("seed", range(1, 6))
def test_what_was_written_before_is_there_and_nothing_of_what_came_after(mode: str, seed: int) -> None:
    loop = SimLoop()
    try:
        system = Story(parse_plan(PLAN.format(mode=mode), "plan"), "sim").system
        loop.run_until_complete(story(SimWorld(system, NETWORK, seed, loop=loop)))
    finally:
        loop.close()
