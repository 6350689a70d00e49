"""Plain asyncio programs in a small simulated world: what tests of it begin with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from harness.worlds.sim import SimLoop, SimWorld
from harness.worlds.sim.aio import AioNode, AsyncioSystem, Host
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


async def pong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(100):
        writer.write(b"+PONG\r\n")


def program(body: Callable[[Host], Awaitable[None]]) -> Any:
    """Serves clients, then does something on n1."""

    async def main(host: Host) -> None:
        await asyncio.start_server(pong, port=CLIENTS)
        if host.name == "n1":
            await body(host)
        await asyncio.Event().wait()

    return main


async def short(world: SimWorld) -> None:
    await asyncio.sleep(1)
