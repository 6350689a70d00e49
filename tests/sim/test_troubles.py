"""Troubles in the simulated network: what each does to messages, seen at the receiver and not in what it says of itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from harness.worlds.sim.loop import SimLoop, simulate
from harness.worlds.sim.net import NetOptions, Network
from harness.worlds.trouble import DROP, Touch, Trouble

ONE_WAY = {"b": frozenset("a")}


def arrivals(story: Callable[[Network], Awaitable[object]]) -> tuple[list[tuple[str, float]], object]:
    """What arrives, and when, in a network of constant delay; and what the story returns."""
    got: list[tuple[str, float]] = []

    async def main() -> object:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        network = Network(loop, random.Random(1), NetOptions(latency="constant", duplicate=0, reorder=0))
        for node in "ab":
            network.attach(node, lambda src, text: got.append((text, round(loop.time(), 6))))
        return await story(network)

    result = simulate(main())
    return got, result


def texts(got: list[tuple[str, float]]) -> list[str]:
    return [text for text, _ in got]


def test_a_cut_is_one_way_counts_what_it_drops_and_ends_by_its_number() -> None:
    async def story(network: Network) -> object:
        network.send("a", "b", "in flight")
        network.disturb(Trouble(number=4, kind=DROP, links=ONE_WAY), random.Random(1))
        network.send("b", "a", "the other way")
        await asyncio.sleep(1)
        assert network.relieve(5) == {}
        told = network.relieve(4)
        network.send("a", "b", "after")
        await asyncio.sleep(1)
        return told

    got, told = arrivals(story)
    assert texts(got) == ["the other way", "after"]
    assert told == {"a->b": Touch(1, 1)}


def test_a_loss_drops_its_share_and_draws_from_its_own_stream_only() -> None:
    async def story(network: Network) -> object:
        network.disturb(Trouble(number=1, kind=DROP, links=ONE_WAY, share=0.3), random.Random("loss"))
        for number in range(1000):
            network.send("a", "b", str(number))
            network.send("b", "a", f"back {number}")
        await asyncio.sleep(1)
        return network.relieve(1)

    got, told = arrivals(story)
    there = [text for text in texts(got) if "back" not in text]
    assert len(texts(got)) - len(there) == 1000, "the other way nothing is lost"
    assert 650 < len(there) < 750
    assert told == {"a->b": Touch(1000, 1000 - len(there))}
    assert arrivals(story) == (got, told), "the same seed, the same losses"


def test_a_message_meets_all_troubles_until_one_drops_it() -> None:
    async def story(network: Network) -> object:
        network.disturb(Trouble(number=1, kind=DROP, links=ONE_WAY, share=0.5), random.Random(2))
        network.disturb(Trouble(number=2, kind=DROP, links=ONE_WAY), random.Random(3))
        for number in range(100):
            network.send("a", "b", str(number))
        await asyncio.sleep(1)
        return network.relieve(1)["a->b"], network.relieve(2)["a->b"]

    got, told = arrivals(story)
    assert got == []
    assert isinstance(told, tuple)
    (seen, lost), second = told
    assert seen == 100
    assert 0 < lost < 100
    assert second == (100 - lost, 100 - lost)
