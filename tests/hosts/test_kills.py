"""SIGKILL at any time loses no acknowledged write: five real hosts, three modes at once, every process death verified.

    writers ── SET key value, every key once ──► ok? remember it           killer ── 1, 2 or all 5 nodes ──► gone? start, wait
                                                    │
    at the end, through every node in turn: GET ────┘  each remembered key must hold its value

A key is written once, so that nothing but durability can make its value vanish. Where a key is written again, mode `quorum` orders
by clocks, and a restarted node's clock runs ahead (`docs/decisions/0004`): an older value may win over an acknowledged one there. That
is a broken order, and another claim; here is asked whether an acknowledged write can be *gone*.

QUORATE_KILLS says how many processes must die; the short run takes 8.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from harness.client import Channel, ChannelError
from harness.provision.inventory import Inventory
from harness.system import find_system
from harness.worlds.hosts.world import HostsWorld

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

KILLS = int(os.environ.get("QUORATE_KILLS", "8"))
MODES = ("register", "cas", "quorum")
WRITERS = 6
TIMEOUT_S = 1.5


class Load:
    """Writers that write each key once, and remember what was acknowledged: (mode, key) -> value."""

    def __init__(self, world: HostsWorld) -> None:
        self.world = world
        self.acknowledged: dict[tuple[str, bytes], bytes] = {}
        self.doubtful = 0
        self.over = False
        self._numbers = itertools.count()

    async def write(self, at: int) -> None:
        """One writer: mode after mode, at one node until it fails, then at the next."""
        nodes = itertools.cycle(self.world.nodes[at % len(self.world.nodes) :] + self.world.nodes)
        channel: Channel | None = None
        mode = ""
        while not self.over:
            try:
                if channel is None:
                    mode = MODES[at % len(MODES)]
                    channel = await use(self.world, next(nodes), mode)
                number = next(self._numbers)
                key, value = b"key-%d" % number, b"%d-%s" % (number, b"x" * 100)
                answer = await channel.request([b"SET", key, value], timeout_s=TIMEOUT_S)
                if answer == b"OK":
                    self.acknowledged[mode, key] = value
                else:
                    self.doubtful += 1
            except ChannelError:
                if channel is not None:
                    self.doubtful += 1
                    await channel.close()
                    channel = None
                await asyncio.sleep(0.02)  # the node may be dead: no busy loop

    async def lost(self, mode: str) -> list[bytes]:
        """The acknowledged keys of this mode that some node does not tell any more."""
        wanted = {key: value for (each, key), value in self.acknowledged.items() if each == mode}
        channels = [await use(self.world, node, mode, 60.0) for node in self.world.nodes]
        gone = []
        for (key, value), channel in zip(wanted.items(), itertools.cycle(channels), strict=False):
            if await channel.request([b"GET", key], timeout_s=60.0) != value:
                gone.append(key)
        for channel in channels:
            await channel.close()
        return gone


async def use(world: HostsWorld, node: str, mode: str, timeout_s: float = TIMEOUT_S) -> Channel:
    """A connection to the bucket of this mode. Raises ChannelError."""
    channel = await world.dial(node)
    answer = await channel.request([b"KV.USE", b"kills-" + mode.encode()], timeout_s=timeout_s)
    if answer != b"OK":
        await channel.close()
        raise ChannelError(str(answer), definite=True)
    return channel


async def serves(world: HostsWorld, node: str) -> None:
    """Wait until the node is ready, as it says itself."""
    async with asyncio.timeout(300.0):
        while True:
            with suppress(ChannelError):
                channel = await world.dial(node)
                try:
                    if await world.system.ready(channel):
                        return
                finally:
                    await channel.close()
            await asyncio.sleep(0.05)


async def kill(world: HostsWorld, victims: list[str]) -> int:
    """Kill them all at once, see them gone, start them, see others in their place; how many died."""
    before = {node: await world.process(node) for node in victims}
    await asyncio.gather(*(world.kill(node) for node in victims))
    for node in victims:
        assert before[node].pid is not None
        assert (await world.process(node)).state == "gone"
    for node in victims:
        await world.start(node)
        assert (await world.process(node)).pid not in (None, before[node].pid)
    for node in victims:
        await serves(world, node)
    return len(victims)


async def attack(world: HostsWorld, rng: random.Random) -> tuple[Load, int]:
    """Load and kills side by side, to the number of kills that is wanted."""
    channel = await world.dial(world.nodes[0])
    for mode in MODES:
        create = [b"KV.BUCKET", b"CREATE", b"kills-" + mode.encode(), b"MODE", mode.encode()]
        assert await channel.request(create, timeout_s=60.0) == b"OK"
    await channel.close()
    load, deaths = Load(world), 0
    writers = [asyncio.create_task(load.write(at)) for at in range(WRITERS)]
    try:
        while deaths < KILLS:
            enough = len(load.acknowledged) + 50
            while len(load.acknowledged) < enough:
                await asyncio.sleep(0.01)
            await asyncio.sleep(rng.random() * 0.2)
            count = rng.choice((1, 1, 1, 2, len(world.nodes)))
            deaths += await kill(world, rng.sample(list(world.nodes), count))
            print(f"{deaths} killed, {len(load.acknowledged)} acknowledged", flush=True)
    finally:
        load.over = True
        await asyncio.gather(*writers)
    return load, deaths


def on_world(five: Inventory, story: Callable[[HostsWorld], Awaitable[None]]) -> None:
    """Play a story on the store on five hosts."""
    system = find_system("kvstore")({"mode": "register"}, [f"n{number}" for number in range(1, 6)])
    world = HostsWorld(system, five, shift_clocks=False)

    async def play() -> None:
        try:
            await world.up()
            await story(world)
        finally:
            await world.down()

    asyncio.run(play())


def test_no_acknowledged_write_is_gone_after_kills(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        load, deaths = await attack(world, random.Random(1))
        counts = Counter(mode for mode, _ in load.acknowledged)
        lost = {mode: await load.lost(mode) for mode in MODES}
        print(
            f"{deaths} processes killed; acknowledged {dict(counts)}, in doubt {load.doubtful}, lost {lost}"
        )
        assert deaths >= KILLS
        assert min(counts[mode] for mode in MODES) > 0
        assert lost == {mode: [] for mode in MODES}

    on_world(five, story)
