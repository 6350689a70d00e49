"""Troubles in the simulated network: what each does to messages, seen at the receiver and not in what it says of itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from harness.worlds.sim.loop import SimLoop, simulate
from harness.worlds.sim.net import NetOptions, Network
from harness.worlds.sim.troubles import size_bytes
from harness.worlds.trouble import (
    CORRUPT,
    DELAY,
    DROP,
    DUPLICATE,
    QUEUE_S,
    RATE,
    REORDER,
    RESET,
    Touch,
    Trouble,
)

LATENCY_S = 0.001
ONE_WAY = {"b": frozenset("a")}


def arrivals(story: Callable[[Network], Awaitable[object]]) -> tuple[list[tuple[str, float]], object]:
    """What arrives, and when, in a network of constant delay; and what the story returns."""
    got: list[tuple[str, float]] = []

    async def main() -> object:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        network = Network(
            loop,
            random.Random(1),
            NetOptions(latency="constant", latency_ms=1000 * LATENCY_S, duplicate=0, reorder=0),
        )
        for node in "abc":
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
    first, second = told
    assert first.seen == 100
    assert 0 < first.hit < 100
    assert second == Touch(100 - first.hit, 100 - first.hit)


def test_a_reset_takes_what_is_on_its_way_both_ways() -> None:
    async def story(network: Network) -> object:
        network.disturb(Trouble(number=1, kind=RESET, links=ONE_WAY), random.Random(1))
        network.send("b", "a", "on its way back")
        network.send("a", "b", "is reset")
        network.send("b", "a", "on its way back too")
        network.send("c", "a", "another connection")
        await asyncio.sleep(1)
        told = network.relieve(1)
        for src, dst in (("a", "b"), ("b", "a")):
            network.send(src, dst, "a new connection")
        await asyncio.sleep(1)
        return told

    got, told = arrivals(story)
    assert texts(got) == ["on its way back", "another connection", "a new connection", "a new connection"]
    assert told == {"a->b": Touch(1, 1)}


def test_a_slow_link_lets_one_through_after_the_other_until_its_queue_is_full() -> None:
    text = "x" * 1000
    takes_s = size_bytes(text) * 8 / 100_000

    async def story(network: Network) -> object:
        network.disturb(Trouble(number=1, kind=RATE, links=ONE_WAY, rate_kbit=100.0), random.Random(1))
        for _ in range(100):
            network.send("a", "b", text)
        network.send("b", "a", "the other way")
        await asyncio.sleep(60)
        return network.relieve(1)

    got, told = arrivals(story)
    assert got[0] == ("the other way", LATENCY_S)
    through = [at_s for _, at_s in got[1:]]
    expected = [LATENCY_S + takes_s * place for place in range(1, 1 + len(through))]
    assert through == pytest.approx(expected, abs=1e-5), "one after the other, at 100 kbit/s"
    assert len(through) == 1 + int(QUEUE_S / takes_s), "who would wait longer is dropped"
    assert isinstance(told, dict)
    assert (told["a->b"].seen, told["a->b"].hit) == (100, 99), (
        "all but the first had to wait, or were dropped"
    )


def test_a_delay_is_added_and_its_jitter_overtakes_nobody() -> None:
    async def story(network: Network) -> object:
        delay = Trouble(number=1, kind=DELAY, links=ONE_WAY, delay_ms=50.0, jitter_ms=20.0)
        network.disturb(delay, random.Random(1))
        for number in range(200):
            network.send("a", "b", str(number))
            await asyncio.sleep(0.001)
        network.send("b", "a", "the other way")
        await asyncio.sleep(1)
        return network.relieve(1)

    got, told = arrivals(story)
    there = [(int(text), at_s) for text, at_s in got if text.isdigit()]
    assert [number for number, _ in there] == list(range(200))
    assert all(at_s - 0.001 * number >= LATENCY_S + 0.03 - 1e-6 for number, at_s in there)
    assert len({round(at_s - 0.001 * number, 4) for number, at_s in there}) > 20, "it varies"
    assert ("the other way", pytest.approx(0.2 + LATENCY_S)) in got
    assert isinstance(told, dict)
    assert (told["a->b"].seen, told["a->b"].hit) == (200, 200)
    assert told["a->b"].held_ms == pytest.approx(50, abs=3)


def sent_in_turn(trouble: Trouble, count: int = 300) -> tuple[list[int], Touch]:
    """The numbers that arrive at b of those that a sends, a millisecond apart; and what the trouble says."""

    async def story(network: Network) -> object:
        network.disturb(trouble, random.Random(1))
        for number in range(count):
            network.send("a", "b", str(number))
            network.send("b", "a", "back")
            await asyncio.sleep(0.001)
        await asyncio.sleep(1)
        return network.relieve(1)["a->b"]

    got, told = arrivals(story)
    assert texts(got).count("back") == count, "the other way nothing happens"
    assert isinstance(told, Touch)
    return [int(text) for text in texts(got) if text != "back"], told


def test_some_arrive_twice_and_in_order() -> None:
    got, told = sent_in_turn(Trouble(number=1, kind=DUPLICATE, links=ONE_WAY, share=0.2))
    assert got == sorted(got)
    assert set(got) == set(range(300))
    assert told == Touch(300, len(got) - 300)
    assert 40 < told.hit < 80


def test_some_are_overtaken_and_all_arrive() -> None:
    got, told = sent_in_turn(Trouble(number=1, kind=REORDER, links=ONE_WAY, share=0.1, delay_ms=5.0))
    assert sorted(got) == list(range(300))
    overtaken = [each for place, each in enumerate(got) if any(other > each for other in got[:place])]
    assert told == Touch(300, len(overtaken))
    assert 15 < told.hit < 45
    assert all(got.index(each) - each <= 6 for each in overtaken), "by what was sent within 5 ms"


@pytest.mark.parametrize("mends_checksum", [False, True])
def test_what_is_corrupt_does_not_arrive_and_with_the_right_checksum_ends_its_connection(
    mends_checksum: bool,
) -> None:
    async def story(network: Network) -> object:
        corrupt = Trouble(number=1, kind=CORRUPT, links=ONE_WAY, share=1.0, mends_checksum=mends_checksum)
        network.disturb(corrupt, random.Random(1))
        network.send("a", "b", "corrupt")
        network.send("b", "a", "behind it on the connection")
        await asyncio.sleep(1)
        return network.relieve(1)

    network_got, told = arrivals(story)
    assert texts(network_got) == ([] if mends_checksum else ["behind it on the connection"])
    assert told == {"a->b": Touch(1, 1)}


def test_what_is_late_and_what_is_dropped_is_shown_to_who_watches() -> None:
    seen: list[str] = []

    async def story(network: Network) -> object:
        network.watch = lambda what, src, dst, text: seen.append(f"{what} {text}")
        network.disturb(Trouble(number=1, kind=RATE, links=ONE_WAY, rate_kbit=8.0), random.Random(1))
        network.send("a", "b", "x" * 2000)
        network.send("a", "b", "too late")
        await asyncio.sleep(10)
        return None

    arrivals(story)
    assert seen == [f"sent {'x' * 2000}", "sent too late", "cut too late", f"arrived {'x' * 2000}"]
