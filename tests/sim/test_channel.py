"""A client's connection in the simulator: each request has its own time limit, to the microsecond."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness.client import ChannelError
from harness.worlds.sim import SimLoop, SimWorld
from tests.sim.three import in_world


async def wait_for_error(channel: Any, loop: SimLoop, timeout_s: float) -> float:
    """Send PING, expect no answer; how long it took."""
    begin_s = loop.time()
    with pytest.raises(ChannelError, match=f"within {timeout_s * 1000:g} ms") as caught:
        await channel.request([b"PING"], timeout_s=timeout_s)
    assert not caught.value.definite
    return loop.time() - begin_s


def test_every_request_has_its_own_limit() -> None:
    async def story(world: SimWorld, loop: SimLoop) -> list[float]:
        channels = [await world.dial("n1") for _ in range(4)]
        assert (
            await channels[0].request([b"PING"], timeout_s=1.0) is not None
        )  # answered: its limit does nothing
        await world.pause("n1")
        waits = []
        for channel, limit_s in zip(channels, (1.0, 0.25, 1.0, 0.5), strict=True):
            waits.append(loop.create_task(wait_for_error(channel, loop, limit_s)))
            await asyncio.sleep(0.1)
        return [await wait for wait in waits]

    assert in_world(story) == pytest.approx([1.0, 0.25, 1.0, 0.5])


def test_a_late_answer_changes_nothing_and_the_next_request_gets_its_own() -> None:
    async def story(world: SimWorld, loop: SimLoop) -> tuple[float, Any]:
        channel = await world.dial("n1")
        await world.pause("n1")
        took_s = await wait_for_error(channel, loop, 0.2)
        await world.resume("n1")
        return took_s, await channel.request([b"ECHO-is-no-command"], timeout_s=0.2)

    took_s, answer = in_world(story)
    assert took_s == pytest.approx(0.2)
    assert "ECHO-is-no-command" in str(answer)
