"""Asking a node whether it serves: every way of not answering means not yet, in bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from harness.client import ChannelError
from harness.system import SystemFault
from harness.worlds.serving import PATIENCE_S, first_asked, serves
from harness.worlds.sim import SimLoop


class Asked:
    """A world of one node, and its system, which answers as it is told to. Counts what is open."""

    name = "toy"

    def __init__(self, answer: Callable[[], Awaitable[bool]], slowness: float = 1.0) -> None:
        self.system, self.answer, self.open, self.slowness = self, answer, 0, slowness

    async def dial(self, node: str) -> Any:
        self.open += 1
        return self

    async def ready(self, channel: Any) -> bool:
        return await self.answer()

    async def close(self) -> None:
        self.open -= 1


async def yes() -> bool:
    return True


async def for_ever() -> bool:
    return await asyncio.get_running_loop().create_future()


def raising(error: BaseException) -> Callable[[], Awaitable[bool]]:
    async def answer() -> bool:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "expected", "after_s"),
    [
        (yes, True, 0.0),
        (raising(ChannelError("lost", definite=False)), False, 0.0),
        (raising(ConnectionResetError()), False, 0.0),
        (raising(EOFError()), False, 0.0),
        (for_ever, False, PATIENCE_S),
    ],
)
def test_what_is_no_answer(answer: Callable[[], Awaitable[bool]], expected: bool, after_s: float) -> None:
    loop, world = SimLoop(), Asked(answer)
    begun_s = loop.time()
    assert loop.run_until_complete(serves(world, "n1")) is expected
    assert loop.time() - begun_s == pytest.approx(after_s)
    assert world.open == 0


def test_machines_that_are_slow_have_more_time() -> None:
    loop = SimLoop()
    assert not loop.run_until_complete(serves(Asked(for_ever, slowness=3.0), "n1"))
    assert loop.time() == pytest.approx(3 * PATIENCE_S)


def test_a_mistake_in_asking_is_not_taken_for_silence() -> None:
    world = Asked(raising(KeyError("role")))
    with pytest.raises(KeyError, match="role"):
        SimLoop().run_until_complete(serves(world, "n1"))
    assert world.open == 0
    world = Asked(lambda: {}["role"])
    with pytest.raises(
        SystemFault,
        match=r"toy cannot be asked whether n1 serves: KeyError: 'role' \(test_serving.py, line \d+\)",
    ):
        SimLoop().run_until_complete(first_asked(world, "n1"))
