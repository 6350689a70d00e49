"""The interpreter's rules, with small real clients; on the simulator's loop where time matters, and on asyncio's."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from memory_clients import Lost, MemoryClient, Store, brief, run, story

from checkers.jsonl import decode_line, encode_op
from checkers.op import Op, Type
from harness.client import Client
from harness.generator import (
    Context,
    Generator,
    GeneratorError,
    any_of,
    clients,
    delay,
    keyed,
    limit,
    mix,
    nemesis,
    numbered,
    on_update,
    op,
    phases,
    repeat,
    reserve,
    sequence,
    sleep,
    time_limit,
)
from harness.interpreter import InterpreterError
from harness.recorder import FileSink, MemorySink, Recorder

READ = op("read", 1)


def write(number: int, ctx: Context) -> Generator:
    return op("write", int(ctx.rng.random() * 3), number)


def test_a_write_and_a_read() -> None:
    ops = run(sequence(op("write", 1, 0), READ))
    assert brief(ops) == [
        (0, "invoke", "write", 0),
        (0, "ok", "write", 0),
        (0, "invoke", "read", None),
        (0, "ok", "read", 0),
    ]
    assert [each.index for each in ops] == [0, 1, 2, 3]


def test_fail_keeps_process_and_client() -> None:
    store = Store()
    ops = run(sequence(op("fail"), READ), store)
    assert [each.process for each in ops] == [0, 0, 0, 0]
    assert store.opened == store.closed == [("n1", 0)]


def test_info_retires_the_process_and_its_client() -> None:
    store = Store()
    ops = run(phases(op("info", process=0), op("info", process=2), repeat(READ, 2)), store, concurrency=2)
    assert [each.process for each in ops if each.f == "info"] == [0, 0, 2, 2]
    assert {each.process for each in ops if each.f == "read"} <= {1, 4}
    assert ("n1", 2) in store.opened
    assert sorted(store.opened) == sorted(store.closed)


@pytest.mark.parametrize(
    ("f", "word", "error"),
    [
        ("refuse", "fail", "Refused: not today"),
        ("lose", "info", "Lost"),
        ("cancelled", "info", "CancelledError"),
        ("exit", "info", "SystemExit: 3"),
    ],
)
def test_an_error_ends_as_its_table_says_and_costs_the_client(f: str, word: str, error: str) -> None:
    store = Store()
    ops = run(sequence(op(f), READ), store)
    assert brief(ops)[1] == (0, word, f, error)
    assert ops[2].process == (0 if word == "fail" else 1)
    assert len(store.opened) == len(store.closed) == 2


def test_a_hang_ends_as_info_at_the_time_limit_and_the_thread_goes_on() -> None:
    store = Store()
    ops = run(sequence(op("hang"), READ), store, op_timeout_ms=250)
    assert brief(ops) == [
        (0, "invoke", "hang", None),
        (0, "info", "hang", "time-out after 250 ms"),
        (1, "invoke", "read", None),
        (1, "ok", "read", None),
    ]
    assert ops[1].time_ns == pytest.approx(250_000_000, abs=2000)
    assert sorted(store.closed) == [("n1", 0), ("n1", 1)]


def test_every_operation_has_its_own_time_limit() -> None:
    ops = run(clients(limit(6, delay(0.1, repeat(op("hang"))))), concurrency=3, op_timeout_ms=250)
    begun = {each.process: each.time_ns for each in ops if each.type is Type.INVOKE}
    ended = {each.process: each.time_ns for each in ops if each.type is Type.INFO}
    assert len(ended) == 6
    assert all(ended[process] - begun[process] == pytest.approx(250e6, abs=3000) for process in begun)


class Deaf(MemoryClient):
    """Swallows the cancellation and answers all the same, late."""

    async def invoke(self, op: Op) -> Op:
        try:
            return await super().invoke(op)
        except asyncio.CancelledError:
            return op.ok("too late")


def test_a_late_answer_is_not_recorded() -> None:
    store = Store()

    async def connect(node: str, process: int) -> Client:
        return Deaf(store, node, process)

    ops = run(sequence(op("hang"), READ), store, connect=connect)
    assert [each.type.word for each in ops] == ["invoke", "info", "invoke", "ok"]
    assert "too late" not in [each.value for each in ops]


def test_no_client_is_a_fail_and_the_thread_rests_longer_each_time() -> None:
    async def refuse(node: str, process: int) -> Client:
        raise ConnectionRefusedError(f"{node} is down")

    ops = run(clients(time_limit(5, repeat(READ))), connect=refuse)
    assert {each.error for each in ops if each.type is not Type.INVOKE} == {
        "no client: ConnectionRefusedError: n1 is down"
    }
    assert {each.type for each in ops} == {Type.INVOKE, Type.FAIL}
    assert {each.process for each in ops} == {0}
    called = [each.time_ns for each in ops if each.type is Type.INVOKE]
    gaps_ms = [round((late - early) / 1e6) for early, late in pairwise(called)]
    assert gaps_ms[:8] == [10, 20, 40, 80, 160, 320, 640, 1000]


def test_a_connection_that_hangs_is_a_fail_since_nothing_was_sent() -> None:
    async def hang(node: str, process: int) -> Client:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    ops = run(READ, connect=hang)
    assert brief(ops)[1] == (0, "fail", "read", "no client: no connection within 1000 ms")


def test_threads_are_spread_over_the_nodes() -> None:
    store = Store()
    run(clients(repeat(READ, 60)), store, concurrency=5, nodes=["a", "b", "c"])
    assert sorted(store.opened) == [("a", 0), ("a", 3), ("b", 1), ("b", 4), ("c", 2)]


def test_the_nemesis_is_a_thread_of_its_own_that_nothing_retires() -> None:
    store = Store()
    bad = MemoryClient(store, "-", -1)
    ops = run(nemesis(sequence(op("info"), op("lose"), op("fail"))), store, nemesis=bad)
    assert brief(ops) == [
        ("nemesis", "invoke", "info", None),
        ("nemesis", "info", "info", "who knows"),
        ("nemesis", "invoke", "lose", None),
        ("nemesis", "info", "lose", "Lost"),
        ("nemesis", "invoke", "fail", None),
        ("nemesis", "fail", "fail", "said so"),
    ]
    assert store.closed == []


def test_the_nemesis_has_no_time_limit() -> None:
    class Slow(MemoryClient):
        async def invoke(self, op: Op) -> Op:
            await asyncio.sleep(60)
            return op.ok()

    ops = run(nemesis(op("kill")), nemesis=Slow(Store(), "-", -1), op_timeout_ms=10)
    assert [(each.type.word, round(each.time_ns / 1e9)) for each in ops] == [("invoke", 0), ("ok", 60)]


def test_sleep_is_not_recorded_and_times_are_kept() -> None:
    ops = run(sequence(sleep(2), READ))
    assert [round(each.time_ns / 1e9, 3) for each in ops] == [2.0, 2.0]
    staggered = run(clients(limit(4, delay(0.5, repeat(READ)))), concurrency=3)
    assert [round(each.time_ns / 1e9, 3) for each in staggered if each.type is Type.INVOKE] == [
        0.0,
        0.5,
        1.0,
        1.5,
    ]


@pytest.mark.parametrize(
    ("f", "message"),
    [
        ("wrong-process", "called with process 0 and answered with process 99"),
        ("wrong-key", "called with key None and answered with key 'other'"),
        ("wrong-f", "called with f 'wrong-f' and answered with f 'other'"),
        ("no-end", "without ok, fail or info"),
        ("no-op", "which is no Op"),
    ],
)
def test_a_client_that_breaks_its_contract_stops_the_run(f: str, message: str) -> None:
    with pytest.raises(InterpreterError, match=message):
        run(sequence(op(f), READ))


def test_what_cannot_be_recorded_stops_the_run() -> None:
    with pytest.raises(ValueError, match="has no JSON form"):
        run(op("no-json"))


def test_a_generator_that_breaks_stops_the_run() -> None:
    def broken(ctx: Context) -> Generator:
        raise ZeroDivisionError("in the generator")

    with pytest.raises(ZeroDivisionError):
        run(sequence(READ, broken))
    with pytest.raises(GeneratorError, match="for the nemesis, but this run has none"):
        run(sequence(READ, nemesis(READ)))


def test_a_full_disk_stops_the_run() -> None:
    class Full(MemorySink):
        def write(self, lines: bytes) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        asyncio.run(story(READ, Recorder(Full()), Store()))


def test_cancelling_closes_the_clients_and_leaves_what_is_under_way_open() -> None:
    store, recorder = Store(), Recorder(MemorySink(), keep=True)

    async def interrupted() -> None:
        gen = clients(repeat(op("hang")))
        task = asyncio.get_running_loop().create_task(story(gen, recorder, store, concurrency=3))
        while len(store.opened) < 3 or len(recorder.ops) < 3:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    assert [each.type for each in recorder.ops] == [Type.INVOKE] * 3
    assert sorted(store.opened) == sorted(store.closed)


def test_a_client_that_never_waits_does_not_keep_the_loop() -> None:
    class Instant(MemoryClient):
        async def invoke(self, op: Op) -> Op:
            return op.ok()

    async def connect(node: str, process: int) -> Client:
        return Instant(Store(), node, process)

    async def beside() -> int:
        turns = 0
        task = asyncio.get_running_loop().create_task(
            story(clients(repeat(READ, 500)), Recorder(None), Store(), connect=connect)
        )
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        await task
        return turns

    assert asyncio.run(beside()) >= 500


def workload() -> Generator:
    many = mix(repeat(READ), numbered(write), repeat(op("lose")), repeat(op("refuse")))
    return time_limit(5, clients(limit(300, many)))


@pytest.mark.parametrize("seed", range(5))
def test_equal_seeds_give_equal_histories(seed: int) -> None:
    def history() -> bytes:
        ops = run(workload(), concurrency=4, rng=random.Random(seed))
        return b"".join(encode_op(each) for each in ops)

    assert history() == history()
    assert history() != b"".join(
        encode_op(each) for each in run(workload(), concurrency=4, rng=random.Random(seed + 100))
    )


LATE = delay(0.5, repeat(READ, 2))  # one at once, one in half a second
SOON = repeat(op("write", 1, 1), 4)


@pytest.mark.parametrize(
    ("both", "threads"),
    [
        (any_of(nemesis(LATE), clients(SOON)), 1),
        (clients(reserve(1, SOON, LATE)), 2),
        (clients(keyed(1, [1, 2], lambda key: SOON if key == 1 else LATE)), 2),
        (clients(any_of(reserve(1, SOON, None), delay(0.5, repeat(READ, 2)))), 2),
    ],
    ids=["any_of", "reserve", "keyed", "nested"],
)
def test_a_part_that_waits_for_a_thread_is_not_held_up_by_one_that_lies_ahead(
    both: Generator, threads: int
) -> None:
    ops = run(both, concurrency=threads, nemesis=MemoryClient(Store(), "n1", -1))
    writes = [each.time_ns for each in ops if each.f == "write"]
    reads = [each.time_ns for each in ops if each.f == "read"]
    assert len(writes) == 8
    assert max(writes) < 1e8
    assert max(reads) >= 5e8


def test_what_lies_ahead_is_asked_for_once() -> None:
    asked: list[int] = []

    def counting(number: int, ctx: Context) -> Generator:
        asked.append(number)
        return READ

    ops = run(clients(delay(0.001, limit(50, numbered(counting)))), concurrency=4)
    assert len(ops) == 100
    assert len(asked) == 50


def test_an_event_may_change_what_lies_ahead() -> None:
    def react(gen: Generator, ctx: Context, event: Op) -> Generator:
        return op("write", 1, 1) if event.type is Type.OK and event.f == "read" else gen

    ops = run(clients(on_update(react, delay(30, repeat(READ)))))
    assert brief(ops)[2:] == [(0, "invoke", "write", 1), (0, "ok", "write", 1)]
    assert ops[-1].time_ns < 1e9


def test_on_the_real_loop_and_into_a_file(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    recorder = Recorder(FileSink(path), keep=True)
    asyncio.run(story(workload(), recorder, Store(), concurrency=4))
    recorder.close()
    assert [decode_line(line) for line in path.read_bytes().splitlines()] == recorder.ops
    assert len(recorder.ops) == 600
    busy: set[Any] = set()
    for each in recorder.ops:
        if each.type is Type.INVOKE:
            assert each.process not in busy
        busy ^= {each.process}
    assert all(early.time_ns <= late.time_ns for early, late in pairwise(recorder.ops))


def test_an_invocation_is_in_the_file_before_its_client_runs(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    seen: list[bool] = []

    class Looks(MemoryClient):
        async def invoke(self, op: Op) -> Op:
            seen.append(encode_op(op) in path.read_bytes().splitlines(keepends=True))
            return op.ok()

    async def connect(node: str, process: int) -> Client:
        return Looks(Store(), node, process)

    recorder = Recorder(FileSink(path))
    asyncio.run(story(clients(repeat(READ, 20)), recorder, Store(), connect=connect, concurrency=3))
    recorder.close()
    assert seen == [True] * 20


VICTIM = """
import asyncio, os, signal, sys
from pathlib import Path
from harness.generator import clients, op, repeat
from harness.recorder import FileSink, Recorder
from memory_clients import Store, story

class Deadly(Store):
    async def connect(self, node, process):
        client = await super().connect(node, process)
        if len(self.opened) > 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return client

asyncio.run(story(clients([repeat(op("write", 1, 5), 50), repeat(op("lose"))]), Recorder(FileSink(Path(sys.argv[1]))), Deadly()))
"""


def test_a_killed_harness_leaves_a_readable_history(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    here, root = Path(__file__).parent, Path(__file__).parents[2]
    victim = subprocess.run(
        [sys.executable, "-c", VICTIM, str(path)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{here}"},
        check=False,
    )
    assert victim.returncode == -9
    ops = [decode_line(line) for line in path.read_bytes().splitlines()]
    assert [each.index for each in ops] == list(range(len(ops)))
    assert [each.f for each in ops].count("lose") == 7  # three ended, and the fourth had been called
    assert json.loads(path.read_bytes().splitlines()[-1])["type"] == "invoke"


def test_a_history_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    FileSink(path).close()
    with pytest.raises(FileExistsError):
        FileSink(path)


def test_lost_is_not_in_the_table() -> None:
    assert Lost not in MemoryClient.errors
