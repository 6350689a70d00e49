"""What a paused node holds, if the first of it ends the node: the rest falls on the floor, as with every other end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest

from harness.client import ChannelError
from harness.worlds.sim import SimLoop, SimWorld
from harness.worlds.sim.sansio import (  # fmt: skip
    Clock,
    Command,
    Deliver,
    Effect,
    Event,
    Halt,
    Reply,
    Send,
    Setting,
    Write,
    sans_io,
)


class Fragile:
    """Keeps what it is told to keep, tells the other node of it, and ends when it is told to."""

    def __init__(self, setting: Setting) -> None:
        self.heard: list[object] = []

    def step(self, clock: Clock, event: Event) -> Iterator[Effect]:
        if isinstance(event, Deliver):
            self.heard.append(event.message)
        elif isinstance(event, Command) and event.words == (b"end",):
            yield Halt("it was told to end")
        elif isinstance(event, Command):
            yield Send("n2", event.words[0])
            yield Write(event.words[0], event.words[0])
            yield Reply(event.caller, b"taken")


@pytest.mark.parametrize("seed", range(6))
def test_a_node_that_ends_does_nothing_of_what_it_holds(seed: int) -> None:
    """A write was on its way to the disk when the node was paused: a crash keeps it or loses it, and later it does not come back."""
    loop = SimLoop()

    async def story() -> None:
        world = SimWorld(sans_io(Fragile)({}, ["n1", "n2"]), {}, seed, loop=loop)
        await world.up()
        n1, n2 = world.machine("n1"), world.machine("n2")
        first, second, third = [await world.dial("n1") for _ in range(3)]
        await first.request([b"x"], timeout_s=1.0)
        last = [loop.create_task(channel.request([word], timeout_s=1.0)) for channel, word in ((second, b"end"), (third, b"y"))]  # fmt: skip
        await asyncio.sleep(0)
        await world.pause("n1")
        await asyncio.sleep(0.1)
        assert len(n1.held) == 3, "to end, to tell of y, and the disk is through with x"
        await world.resume("n1")
        assert n1.state == "gone"
        kept = dict(n1.disk["rows"])
        for request in last:
            with pytest.raises(ChannelError, match="the process died"):
                await request
        await asyncio.sleep(0.1)
        assert set(cast(Any, n2.process).node.heard) == {b"x"}
        assert n1.disk["rows"] == kept

    try:
        loop.run_until_complete(story())
    finally:
        loop.close()
