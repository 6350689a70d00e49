"""A simulated node with a share of a processor: what comes while it stands still is answered when its turn comes, to the microsecond."""

from __future__ import annotations

import asyncio

import pytest

from harness.client import ChannelError
from harness.nemesis.pressure import CpuPressure
from harness.worlds.sim import SimLoop, SimWorld
from harness.worlds.sim.quota import PERIOD_S
from tests.sim.three import in_world


async def answered_s(world: SimWorld, loop: SimLoop) -> float:
    """When a request that is sent now is answered; nothing else delays it."""
    channel = await world.dial("n1")
    await channel.request([b"PING"], timeout_s=1.0)
    await channel.close()
    return loop.time()


def test_it_answers_in_its_share_of_each_period_only() -> None:
    async def story(world: SimWorld, loop: SimLoop) -> None:
        begun_s = loop.time()
        await world.throttle(("n1",), 0.25)
        seen = []
        for _ in range(40):
            seen.append((await answered_s(world, loop) - begun_s) % PERIOD_S)
            await asyncio.sleep(0.0137)
        assert max(seen) < 0.25 * PERIOD_S + 0.001, "and the way back"
        waited = await world.unthrottle(("n1", "n2"))
        assert 300 < waited["n1"] < 1000 * (loop.time() - begun_s)
        assert waited["n2"] == 0
        for _ in range(20):
            asked_s = loop.time()
            assert await answered_s(world, loop) - asked_s < 0.002, "it answers at any time again"
            await asyncio.sleep(0.0137)

    in_world(story)


def test_a_pause_lasts_until_it_is_over() -> None:
    async def story(world: SimWorld, loop: SimLoop) -> None:
        await world.throttle(("n1",), 0.5)
        channel = await world.dial("n1")
        await world.pause("n1")
        with pytest.raises(ChannelError):
            await channel.request([b"PING"], timeout_s=0.35)
        assert (await world.unthrottle(("n1",)))["n1"] == 0, "it was the pause that held it"
        assert (await world.process("n1")).state == "stopped"
        await world.resume("n1")
        assert await channel.request([b"PING"], timeout_s=0.1)

    in_world(story)


def test_a_whole_processor_is_no_pressure() -> None:
    async def story(world: SimWorld, loop: SimLoop) -> None:
        fault = CpuPressure(1, ("n1",), {"share": 1.0})
        await fault.start(world)
        for _ in range(10):
            await answered_s(world, loop)
            await asyncio.sleep(0.03)
        await fault.stop(world)
        assert (fault.bit, fault.note) == (False, "it had all the processor time it wanted on n1")

    in_world(story)
