"""What a node may have done, and with what: an effect that cannot be is told with its place, and what is answered is what it was when it was said."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from math import inf, nan
from typing import Any

import pytest

from harness.worlds.sim import SimLoop, SimWorld
from harness.worlds.sim.sansio import Caller, Clock, Command, Event, NodeError, Reply, SetTimer, Write
from tests.sim.test_sansio import Noting, ask, play


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        (Write(["a"], 1), r"the key \['a'\] could be changed afterwards"),
        (SetTimer(-5, "x"), "a timer of -5 ms; give a number of milliseconds, 0 or more"),
        (SetTimer(nan, "x"), "a timer of nan ms; give a number"),
        (SetTimer(inf, "x"), "a timer of inf ms; give a number"),
        (SetTimer("5", "x"), "a timer of '5' ms; give a number"),  # type: ignore[arg-type]
        (Reply(Caller(1, 1), [b"a", {"b": {1}}]), r"the answer \{1\} could be changed afterwards"),
    ],
    ids=["key", "past", "nan", "inf", "text", "set"],
)
def test_what_cannot_be_is_told_with_its_place(effect: Any, words: str) -> None:
    class Odd(Noting):
        def step(self, clock: Clock, event: Event) -> Iterator[Any]:
            if isinstance(event, Command):
                yield effect

    async def story(world: SimWorld, loop: SimLoop) -> None:
        await ask(world, b"GO")

    with pytest.raises(NodeError, match=r"node n1 broke off at .* s of the simulator, at Command.*" + words):
        play(Odd, story)


def test_what_a_client_is_told_is_what_it_was_when_the_node_said_it() -> None:
    class Changing(Noting):
        def step(self, clock: Clock, event: Event) -> Iterator[Any]:
            if isinstance(event, Command):
                rows, about = [b"a"], {"more": [b"b"]}
                yield Reply(event.caller, [rows, about])
                rows.append(b"later")
                about["more"].append(b"later")

    async def story(world: SimWorld, loop: SimLoop) -> None:
        assert await ask(world, b"GO") == [[b"a"], {"more": [b"b"]}]

    play(Changing, story)


def test_a_time_that_is_none_does_not_stop_the_clock() -> None:
    loop = SimLoop()

    async def story() -> float:
        await asyncio.sleep(1)
        await asyncio.sleep(nan)
        await asyncio.sleep(1)
        return loop.time()

    try:
        assert loop.run_until_complete(story()) == 2
    finally:
        loop.close()
