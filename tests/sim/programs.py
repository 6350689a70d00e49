"""Plain asyncio programs in a small simulated world: what tests of it begin with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from harness.worlds.sim import SimLoop, SimWorld
from harness.worlds.sim.aio import AioNode, AsyncioSystem
from harness.worlds.sim.aio.node import Make
from harness.worlds.sim.guard import guarded

CLIENTS, PEERS = 7000, 7001
NODES = ("n1", "n2")
CALM = {"latency": "constant", "duplicate": 0.0, "reorder": 0.0}

Story = Callable[[SimWorld], Awaitable[Any]]


def play(main: Make, story: Story, *, seed: int = 1, sim: Mapping[str, Any] = CALM) -> Any:
    """Run `story(world)` on two nodes that are up."""
    loop = SimLoop()

    async def whole() -> Any:
        world = SimWorld(AsyncioSystem(main, CLIENTS, {}, {}, NODES), sim, seed, loop=loop)
        await world.up()
        return await story(world)

    try:
        with guarded():
            return loop.run_until_complete(whole())
    finally:
        loop.close()


def node_of(world: SimWorld, name: str) -> AioNode:
    process = world.machine(name).process
    assert isinstance(process, AioNode)
    return process


async def ask(world: SimWorld, *words: bytes, node: str = "n1", timeout_s: float = 1.0) -> Any:
    """One command on a connection of its own."""
    channel = await world.dial(node)
    try:
        return await channel.request(words, timeout_s=timeout_s)
    finally:
        await channel.close()
