"""Asyncio programs as nodes: what a crash, a pause and a wrong clock do to them, and what repeats itself."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from harness.worlds import WorldError
from harness.worlds.sim import SimWorld
from harness.worlds.sim.aio import Host
from harness.worlds.sim.sansio import NodeError
from tests.sim.programs import CLIENTS, PEERS, ask, node_of, play, pong, program, short


def test_a_crash_runs_nothing_of_the_node_and_the_end_of_the_run_ends_its_coroutines() -> None:
    async def working(host: Host) -> None:
        asyncio.get_running_loop().call_later(2, said.append, "a timer")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(3))
                await asyncio.sleep(3)
        finally:
            said.append("finally")
            await asyncio.sleep(0)
            said.append("after the end")

    async def story(world: SimWorld) -> None:
        await asyncio.sleep(1)
        await world.kill("n1")
        await asyncio.sleep(5)
        assert said == []
        await world.start("n1")
        await asyncio.sleep(4)
        assert said == ["a timer", "finally", "after the end"]
        said.clear()

    said: list[str] = []
    play(program(working), story)
    assert said == ["finally"], (
        "the coroutine of the first life is ended once the run is over, and goes no further"
    )


def test_while_a_node_is_paused_nothing_of_it_runs_and_time_goes_on() -> None:
    async def ticking(host: Host) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < 5:
            await asyncio.sleep(0.1)
            ticks.append(loop.time())

    async def story(world: SimWorld) -> None:
        await asyncio.sleep(1)
        await world.pause("n1")
        await asyncio.sleep(2)
        await world.resume("n1")
        await asyncio.sleep(5)

    ticks: list[float] = []
    play(program(ticking), story)
    assert not [tick for tick in ticks if 1.02 < tick < 2.99]
    assert 27 < len(ticks) < 32


def test_the_clock_on_the_wall_can_be_shifted_and_the_monotonic_one_cannot() -> None:
    async def looking(host: Host) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(2):
            wall = [time.time(), time.time_ns() / 1e9, datetime.now(UTC).timestamp()]
            assert datetime.now(UTC).replace(tzinfo=None) == datetime.now()
            assert time.gmtime() == time.localtime() == time.gmtime(time.time())
            assert time.strftime("%c") == time.strftime("%c", time.gmtime(time.time()))
            assert time.asctime() == time.ctime() == time.ctime(time.time())
            clocks.append((*wall, loop.time(), time.monotonic(), time.perf_counter()))
            await asyncio.sleep(1)

    async def story(world: SimWorld) -> None:
        await asyncio.sleep(0.5)
        await world.set_clock("n1", 5000.0)
        await asyncio.sleep(2)

    clocks: list[tuple[float, ...]] = []
    play(program(looking), story)
    passed = [late - early for early, late in zip(*clocks, strict=True)]
    assert passed == pytest.approx([6, 6, 6, 1, 1, 1], abs=0.001)


def test_chance_is_the_nodes_own_and_of_the_seed() -> None:
    async def drawing(host: Host) -> None:
        cards = list(range(20))
        random.shuffle(cards)
        drawn.append(
            (
                random.random(),
                random.choice("abc"),
                uuid.uuid4(),
                os.urandom(4),
                secrets.token_hex(8),
                tuple(cards),
            )
        )

    drawn: list[Any] = []
    for seed in (1, 1, 2):
        play(program(drawing), short, seed=seed)
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert drawn[0][2].version == 4


def test_what_asyncio_and_programs_keep_in_sets_has_an_order() -> None:
    async def meeting(host: Host) -> None:
        loop = asyncio.get_running_loop()
        tasks = {loop.create_task(asyncio.sleep(1), name=f"t{n}") for n in range(40)}
        done, _ = await asyncio.wait({loop.create_task(asyncio.sleep(0.1), name=f"u{n}") for n in range(40)})
        futures = {loop.create_future(): n for n in range(40)}
        opened = [await asyncio.open_connection("n2", CLIENTS) for _ in range(40)]
        writers = {writer: writer.get_extra_info("sockname") for _, writer in opened}
        orders.append([
            [task.get_name() for task in tasks],
            [task.get_name() for task in done],
            [futures[future] for future in set(futures)],
            [writers[writer] for writer in set(writers)],
        ])  # fmt: skip

    orders: list[list[Any]] = []
    kept = []
    for size in (1, 1000):
        play(program(meeting), lambda world: asyncio.sleep(3))
        kept.append([object() for _ in range(size)])  # so that the next have other addresses
    assert orders[0] == orders[1]
    assert [len(order) for order in orders[0]] == [40] * 4


def test_what_a_program_prints_is_in_its_log() -> None:
    async def printing(host: Host) -> None:
        print("hello", "there")
        print("and a warning", file=sys.stderr)

    async def story(world: SimWorld) -> str:
        return (await world.logs())["n1"]

    log = play(program(printing), story)
    assert "hello there\n" in log
    assert "and a warning\n" in log


async def leave(host: Host) -> None:
    await asyncio.sleep(0.5)
    sys.exit(3)


async def stop_the_loop(host: Host) -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.set_task_factory(loop.get_task_factory())
    assert not loop.get_debug()
    with pytest.raises(RuntimeError, match="running"):
        loop.close()
    await asyncio.sleep(0.5)
    loop.stop()
    await asyncio.sleep(0.1)


async def break_down(host: Host) -> None:
    await asyncio.sleep(0.5)
    raise ConnectionResetError("by peer")


async def break_down_in_a_group(host: Host) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(break_down(host))
        group.create_task(asyncio.sleep(9))


@pytest.mark.parametrize(("body", "words"), [(leave, "exited with 3"), (stop_the_loop, "stopped its event loop"), (break_down, "main ended with ConnectionResetError: by peer"), (break_down_in_a_group, "main ended with ExceptionGroup: unhandled errors in a TaskGroup")])  # fmt: skip
def test_a_program_that_ends_is_a_process_that_ends(body: Any, words: str) -> None:
    async def story(world: SimWorld) -> None:
        await asyncio.sleep(1)
        assert world.machine("n1").state == "gone"
        assert words in (await world.logs())["n1"]
        await world.start("n1")
        await asyncio.sleep(0.1)
        assert await ask(world, b"PING") == b"PONG"

    play(program(body), story)


def test_a_program_that_ends_at_once_is_told_of() -> None:
    async def main(host: Host) -> None:
        return

    with pytest.raises(WorldError, match=r"n1 ended before it was ready: 0\.0\d+ main returned"):
        play(main, short)


async def fail_in_main(host: Host) -> None:
    await asyncio.sleep(0.5)
    raise KeyError("nothing")


async def fail_in_a_task(host: Host) -> None:
    await asyncio.sleep(0.5)
    task = asyncio.create_task(fail_in_main(host))
    del task  # nobody can ask for its error
    await asyncio.sleep(0.7)


async def fail_in_a_group(host: Host) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(break_down(host))
        group.create_task(fail_in_main(host))


async def fail_in_a_handler(host: Host) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise KeyError("nothing")

    await asyncio.start_server(serve, port=PEERS)
    await asyncio.sleep(0.5)
    await asyncio.open_connection("localhost", PEERS)


async def fail_in_a_timer(host: Host) -> None:
    asyncio.get_running_loop().call_later(0.5, {}.__getitem__, "nothing")


@pytest.mark.parametrize("body", [fail_in_main, fail_in_a_task, fail_in_a_handler, fail_in_a_timer, fail_in_a_group])  # fmt: skip
def test_a_mistake_of_the_program_ends_the_run_with_its_place(body: Any) -> None:
    said = "ExceptionGroup: unhandled errors" if body is fail_in_a_group else "KeyError: 'nothing'"
    where = rf"n1 broke off at (0\.5|1\.0)\d* s of the simulator, .*{said}"
    with pytest.raises(NodeError, match=where):
        play(program(body), lambda world: asyncio.sleep(2))


def test_what_a_network_does_to_a_task_is_no_mistake() -> None:
    async def dying(host: Host) -> None:
        async def task() -> None:
            raise ConnectionResetError("by peer")

        async def other() -> None:
            raise KeyError("handled")

        dropped = asyncio.create_task(task())
        del dropped
        with pytest.raises(KeyError):
            await asyncio.create_task(other())
        await asyncio.sleep(0.1)
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: seen.append(context["exception"])
        )
        asyncio.get_running_loop().call_soon({}.__getitem__, "theirs")
        await asyncio.sleep(0.1)

    async def story(world: SimWorld) -> str:
        await asyncio.sleep(1)
        return (await world.logs())["n1"]

    seen: list[BaseException] = []
    assert "ConnectionResetError: by peer" in play(program(dying), story)
    assert [type(error) for error in seen] == [KeyError]


async def broken(after_s: float) -> None:
    await asyncio.sleep(after_s)
    raise KeyError("handled")


async def gather_errors() -> Any:
    return await asyncio.gather(broken(0), asyncio.sleep(6), return_exceptions=True)


async def wait_and_look() -> Any:
    done, _ = await asyncio.wait([asyncio.create_task(broken(0)), asyncio.create_task(asyncio.sleep(6))])
    return [task.exception() for task in done]


async def wait_one_by_one() -> Any:
    tasks = [asyncio.create_task(asyncio.sleep(1)), asyncio.create_task(broken(0.5))]
    await tasks[0]
    with pytest.raises(KeyError):
        await tasks[1]
    return [None, tasks[1].exception()]


@pytest.mark.parametrize("wait", [gather_errors, wait_and_look, wait_one_by_one])
def test_an_error_of_a_task_that_is_asked_for_later_is_handled(wait: Callable[[], Awaitable[Any]]) -> None:
    async def waiting(host: Host) -> None:
        found.extend(await wait())

    async def story(world: SimWorld) -> str:
        await asyncio.sleep(9)
        return (await world.logs())["n1"]

    found: list[object] = []
    assert "handled" not in play(program(waiting), story)
    assert sorted(type(each).__name__ for each in found) == ["KeyError", "NoneType"]


def test_an_error_of_a_task_that_is_kept_and_never_asked_for_ends_the_run_in_the_end() -> None:
    async def keeping(host: Host) -> None:
        kept.append(asyncio.create_task(broken(0.5)))

    kept: list[object] = []
    with pytest.raises(NodeError, match=r"n1 broke off at 5\.5\d* s of the simulator, in task .*KeyError"):
        play(program(keeping), lambda world: asyncio.sleep(9))


def test_a_generator_that_is_left_half_way_comes_to_its_end() -> None:
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0.1)
            ended.append(asyncio.get_running_loop().time())

    async def leaving(host: Host) -> None:
        async for _ in numbers():
            break

    ended: list[float] = []
    play(program(leaving), short)
    assert ended == [pytest.approx(0.1, abs=0.001)]


def test_an_error_that_cannot_be_raised_is_a_line_in_the_log_and_nobody_types() -> None:
    class Broken:
        def __del__(self) -> None:
            raise KeyError("ignored")

    async def dropping(host: Host) -> None:
        Broken()
        with pytest.raises(EOFError):
            input()
        print("a terminal" if sys.stdout.isatty() else "no terminal")

    async def story(world: SimWorld) -> str:
        await asyncio.sleep(0.1)
        return (await world.logs())["n1"]

    log = play(program(dropping), story)
    assert "Broken.__del__: KeyError: 'ignored'" in log
    assert "no terminal" in log


def test_a_program_that_never_listens_is_told_of() -> None:
    with pytest.raises(WorldError, match="n1 was not ready within 10 s; it does not listen for clients"):
        play(lambda host: asyncio.Event().wait(), short)


def test_a_port_is_taken_once_and_is_free_when_it_is_closed() -> None:
    async def listening(host: Host) -> None:
        server = await asyncio.start_server(pong, port=PEERS)
        with pytest.raises(OSError, match="Address already in use: 7001"):
            await asyncio.start_server(pong, port=PEERS)
        with pytest.raises(OSError, match="Cannot assign requested address: n2"):
            await asyncio.start_server(pong, "n2", PEERS)
        server.close()
        await server.wait_closed()
        local = await asyncio.start_server(pong, "127.0.0.1", PEERS)
        free = await asyncio.start_server(pong)
        assert free.sockets[0].getsockname()[1] > PEERS
        await asyncio.open_connection("localhost", PEERS)
        assert local.is_serving()
        both = await asyncio.start_server(pong, ["127.0.0.1", "10.0.0.1"], 7002, reuse_port=True, backlog=5)
        assert both.sockets[0].getsockname() == ("10.0.0.1", 7002)
        for port in (65_536, -1):
            with pytest.raises(OverflowError, match="port must be 0-65535"):
                await asyncio.start_server(pong, port=port)
        with pytest.raises(TypeError, match="unexpected keyword argument 'keepalive'"):
            await asyncio.open_connection("n2", CLIENTS, keepalive=True)
        done.append(True)

    done: list[bool] = []
    play(program(listening), short)
    assert done


def test_a_program_that_only_spins_lets_time_pass() -> None:
    async def spinning(host: Host) -> None:
        loop, turns = asyncio.get_running_loop(), 0
        while loop.time() < 0.1:
            await asyncio.sleep(0)
            turns += 1
        done.append(turns)

    done: list[int] = []
    play(program(spinning), short)
    assert 5_000 < done[0] < 10_001


def test_a_program_that_is_a_class_can_be_looked_into() -> None:
    class Counting:
        def __init__(self, host: Host) -> None:
            self.count = 3

        async def run(self) -> None:
            await asyncio.start_server(pong, port=CLIENTS)
            await asyncio.Event().wait()

    async def story(world: SimWorld) -> None:
        shown = world.system.describe_node(node_of(world, "n2"))
        assert (shown["count"], shown["listens"]) == (3, [CLIENTS])

    play(Counting, story)
