"""The virtual-time loop and the network: order, refusal of the outside world, named errors instead of hangs."""

from __future__ import annotations

import asyncio
import gc
import random
import sys

import pytest

from harness.plan import PlanError
from harness.runner import simulate as play_to_the_end
from harness.worlds.sim.loop import (
    FORBIDDEN,
    ForbiddenInSimError,
    SimDeadlockError,
    SimLoop,
    SimStormError,
    SimTimeLimitError,
    simulate,
)
from harness.worlds.sim.net import LATENCIES, NetOptions, Network, delay_draw


async def sleeper(log: list[str], name: str, delay_s: float) -> None:
    await asyncio.sleep(delay_s)
    log.append(f"{name}@{asyncio.get_running_loop().time():g}")


def test_an_hour_passes_at_once_and_in_order() -> None:
    log: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        tasks = [
            loop.create_task(sleeper(log, name, delay_s))
            for name, delay_s in (("c", 3600), ("a", 1), ("b", 1))
        ]
        for task in tasks:
            await task

    simulate(main())
    assert log == ["a@1", "b@1", "c@3600"]


def test_timeouts_work_on_it() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(10)
        return asyncio.get_running_loop().time()

    assert simulate(main()) == 5


def test_waiting_for_nothing_is_an_error_and_no_hang() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(SimDeadlockError, match="nothing is left to happen"):
        simulate(main())


def test_a_run_without_end_stops_at_its_limit() -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(1)

    with pytest.raises(SimTimeLimitError, match="60 virtual seconds"):
        simulate(main(), time_virtual_s_max=60)


def test_messages_that_make_messages_without_end_are_an_error_and_no_hang() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)

        def two_for_one() -> None:
            for _ in range(2 if loop.steps < 1_000 else 1):
                loop.post(1e-5, two_for_one)

        two_for_one()
        await asyncio.sleep(60)

    with pytest.raises(SimStormError, match="sends, or wakes itself, without end"):
        simulate(main())


def test_a_coroutine_that_never_waits_is_an_error_and_no_hang() -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(SimStormError, match="and more are ready"):
        simulate(main())


def test_after_a_storm_the_story_is_left() -> None:
    left = list[float]()

    async def play(loop: SimLoop) -> None:
        def again() -> None:
            loop.post(1e-8, again)

        again()
        try:
            await asyncio.sleep(60)
        finally:
            left.append(loop.time())

    with pytest.raises(SimStormError, match="without end"):
        play_to_the_end(play)
    assert left[0] < 1.1


@pytest.mark.parametrize("name", FORBIDDEN)
def test_the_outside_world_is_refused_by_name(name: str) -> None:
    with pytest.raises(ForbiddenInSimError, match=name):
        getattr(SimLoop(), name)()


def test_an_error_in_a_callback_ends_the_run() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_later(1, lambda: 1 // 0)
        await asyncio.sleep(10)

    with pytest.raises(ZeroDivisionError):
        simulate(main())


def test_a_coroutine_that_waits_in_its_finally_ends_with_the_loop_and_without_a_word() -> None:
    async def stubborn(never: asyncio.Future[None]) -> None:
        try:
            await never
        finally:
            try:
                await never
            except Exception:
                ended.append("it was told of itself")
            finally:
                await never
                ended.append("it went on")

    async def outer(never: asyncio.Future[None]) -> None:
        try:
            await stubborn(never)
        except Exception:
            ended.append("it was told of the inner one")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(outer(loop.create_future()))
        await asyncio.sleep(1)
        assert not task.done()

    ended, ignored = list[str](), list[object]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", ignored.append)
        simulate(main())
        gc.collect()
    assert (ended, ignored) == ([], [])


def arrivals(options: NetOptions, count: int = 300) -> list[int]:
    """Numbers sent in order over one link, in order of arrival."""
    got: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        network = Network(loop, random.Random(1), options)
        network.attach("b", lambda src, number: got.append(number))
        for number in range(count):
            network.send("a", "b", number)
        await asyncio.sleep(60)

    simulate(main())
    return got


def test_a_link_keeps_order_unless_told_to_reorder() -> None:
    assert arrivals(NetOptions(duplicate=0, reorder=0)) == list(range(300))
    shuffled = arrivals(NetOptions(duplicate=0, reorder=1))
    assert shuffled != list(range(300))
    assert sorted(shuffled) == list(range(300))


def test_loss_and_duplication() -> None:
    assert len(arrivals(NetOptions(duplicate=1, reorder=0))) == 600
    assert arrivals(NetOptions(loss=1)) == []


@pytest.mark.parametrize("latency", LATENCIES)
def test_every_distribution_has_the_mean_it_was_given(latency: str) -> None:
    draw = delay_draw(NetOptions(latency=latency, latency_ms=10, latency_ms_min=0), random.Random(3))
    mean_ms = sum(draw() for _ in range(50_000)) / 50_000 * 1000
    assert mean_ms == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ({"lag": 1}, "lag"),
        ({"loss": 2}, "probability"),
        ({"latency": "slow"}, "slow"),
        ({"loss": True}, "number"),
    ],
)
def test_bad_options_are_refused(table: dict[str, object], word: str) -> None:
    with pytest.raises(PlanError, match=word):
        NetOptions.parse(table)
