"""One story of faults, told in both worlds with the same words: what a fault does to the store, and that it is over afterwards.

The story knows the World protocol and the store's own client, and nothing of either world.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest

from harness.client import NO_ANSWER, Channel, ChannelError
from harness.nemesis.client import KINDS
from harness.plan_options import CPU, DISK_KINDS, FREEZER, MEMORY
from harness.provision.inventory import Inventory
from harness.worlds import World
from harness.worlds.hosts import HostsWorld
from harness.worlds.sim import SimLoop, SimWorld
from kvstore.client import StoreClient, StoreError
from workloads.kvstore_system import KvStoreSystem

PATIENCE_S = 600.0  # emulated machines are slow
NODES = ("n1", "n2", "n3")
OPTIONS = {"mode": "register", "n": 3}
DELAY_MS = 100.0
OFFSET_MS = -600_000.0  # behind: a node that was far ahead is refused by its peers for as long, by design
ALONE = {"grudge": {"n1": ["n2", "n3"], "n2": ["n1"], "n3": ["n1"]}}


async def says(world: World, node: str, value: bytes = b"", timeout_s: float = 2.0) -> bytes | None:
    """What a node reads, or what it has written, on a connection of its own. Raises ChannelError, StoreError."""
    client = StoreClient(await world.dial(node), timeout_s=timeout_s * world.slowness)
    try:
        if not value:
            return await client.get(b"key")
        await client.put(b"key", value)
        return value
    finally:
        await client.close()


async def silent(world: World, channel: Channel) -> None:
    """It says nothing."""
    with pytest.raises(ChannelError) as caught:
        await channel.request([b"PING"], timeout_s=0.4)
    assert not caught.value.definite


async def refused(world: World, channel: Channel) -> None:
    """Nobody is there."""
    with pytest.raises(ChannelError) as caught:
        await world.dial("n1")
    assert caught.value.definite


async def alone(world: World, channel: Channel) -> None:
    """It is asked and has no majority; the others have one."""
    with pytest.raises((ChannelError, StoreError)):
        await says(world, "n1", b"of one alone", timeout_s=0.5)
    await two_go_on(world)


async def ended(world: World, channel: Channel) -> None:
    """It ends when its disk takes no write. One that the two others have taken may be answered before."""
    while (await world.process("n1")).state != "gone":
        with suppress(*NO_ANSWER, StoreError):
            await says(world, "n1", b"on a full disk")
        await asyncio.sleep(0.02)


async def late(world: World, channel: Channel) -> None:
    """A write waits for others, over links that are long."""
    loop = asyncio.get_running_loop()
    while True:
        began_s = loop.time()
        with suppress(*NO_ANSWER, StoreError):  # on a busy machine one may be too late for its node
            await says(world, "n1", b"late", timeout_s=60.0)
            break
    assert loop.time() - began_s >= 2 * DELAY_MS / 1000, "there and back"


async def slow(world: World, channel: Channel) -> None:
    """It is asked as fast as it can answer: then it stands still for most of each tenth of a second."""
    loop = asyncio.get_running_loop()
    took_s, least_s = [0.0], loop.time() + 1.0
    while loop.time() < least_s or max(took_s) <= 0.05:
        asked_s = loop.time()
        await channel.request([b"PING"], timeout_s=10.0 * world.slowness)
        took_s.append(loop.time() - asked_s)


async def crowded(world: World, channel: Channel) -> None:
    """It is given more than it has room for, and may be late, stand still, or end of a sync that fails: how often it met its limit is in the evidence."""
    loop = asyncio.get_running_loop()
    taken, most_s = 0, loop.time() + 10.0 * world.slowness
    while loop.time() < most_s and taken < 60:
        with suppress(*NO_ANSWER, StoreError):
            await says(world, "n1", b"x" * 60_000, timeout_s=0.5)
            taken += 1


async def killed(world: World, channel: Channel) -> None:
    """Nobody is there, once the last of its threads has gone; with them go its connections."""
    while True:
        try:
            await (await world.dial("n1")).close()
        except ChannelError as error:
            if error.definite:
                return
        await asyncio.sleep(0.02)


async def of_another_time(world: World, channel: Channel) -> None:
    """The node itself tells the time, and the others do."""
    told_s = [
        float((await (await world.dial(node)).request([b"TIME"], timeout_s=5.0 * world.slowness))[0])
        for node in ("n1", "n2")
    ]
    assert told_s[0] - told_s[1] == pytest.approx(OFFSET_MS / 1000, abs=60)


Seen = Callable[[World, Channel], Awaitable[None]]
FAULTS: tuple[tuple[str, Mapping[str, Any], Seen], ...] = (
    ("pause", {}, silent),
    ("pause", {"how": "freezer"}, silent),
    ("kill", {}, refused),
    ("partition", ALONE, alone),
    ("delay", {**ALONE, "delay_ms": DELAY_MS}, late),
    ("cpu-pressure", {"share": 0.02}, slow),
    ("memory-pressure", {"how": "kill"}, killed),
    ("clock", {"offsets_ms": {"n1": OFFSET_MS}}, of_another_time),
    ("power-loss", {}, refused),
    ("disk-full", {}, ended),
    ("memory-pressure", {}, crowded),  # the last: a node may end of it a while after
)


async def story(world: World) -> None:
    """Every fault in turn, on n1, to which a client is connected."""
    for number, (kind, detail, seen) in enumerate(FAULTS, 1):
        channel = await world.dial("n1")
        assert await channel.request([b"PING"], timeout_s=60.0 * world.slowness)
        fault = KINDS[kind](number, ("n1",), detail)
        await fault.start(world)
        await asyncio.wait_for(seen(world, channel), PATIENCE_S)
        await asyncio.wait_for(two_go_on(world), PATIENCE_S)
        await fault.stop(world)
        await channel.close()
        assert (fault.bit, fault.healed) == (True, True), (kind, detail, fault)
        try:
            await asyncio.wait_for(served(world), PATIENCE_S)
        except TimeoutError:
            state, log = (await world.process("n1")).state, (await world.logs())["n1"]
            raise AssertionError((kind, detail, fault, state, log[-2000:])) from None


async def two_go_on(world: World) -> None:
    """Two of three take a write; on a busy machine one that was in time may be a while in coming."""
    while True:
        with suppress(*NO_ANSWER, StoreError):
            await says(world, "n2", b"meanwhile")
            return
        await asyncio.sleep(0.02)


async def served(world: World) -> None:
    """A node that has just begun again may need a moment. (What it reads may be a write that was in doubt.)

    One that stood without memory may still end of what it met there, and is started again as by the heal of a run.
    """
    while True:
        await world.start("n1")
        with suppress(*NO_ANSWER, StoreError):
            await says(world, "n1", b"after")
            return
        await asyncio.sleep(0.02)


def test_in_the_simulator() -> None:
    loop = SimLoop()

    async def whole() -> None:
        world = SimWorld(KvStoreSystem(OPTIONS, NODES), {}, 1, loop=loop)
        await world.up()
        await story(world)

    try:
        loop.run_until_complete(whole())
    finally:
        loop.close()


@pytest.mark.hosts
@pytest.mark.slow
def test_on_hosts(five: Inventory) -> None:
    async def whole() -> None:
        system = KvStoreSystem(OPTIONS, NODES)
        world = HostsWorld(
            system, five, faults=("partition", "delay", *DISK_KINDS), grouped=(FREEZER, CPU, MEMORY)
        )
        try:
            await world.up()
            await story(world)
        finally:
            await world.down()

    asyncio.run(whole())
