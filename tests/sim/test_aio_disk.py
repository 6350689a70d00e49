"""Files of an asyncio program: what is synced outlives a crash, of the rest a beginning does; what a disk refuses is an OSError."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from harness.worlds.disk_trouble import BROKEN, FULL, LYING, READ_ONLY, SLOW, DiskTrouble
from harness.worlds.sim import SimWorld
from harness.worlds.sim.aio import Disk, Host
from tests.sim.programs import CLIENTS, play

Body = Callable[[Disk], Awaitable[Any]]
LINES = [b"line %d\n" % number for number in range(8)]


def lives(*bodies: Body, between: Callable[[SimWorld], Awaitable[Any]], seed: int = 1) -> list[Any]:
    """What each life of n1 gives back; between two of them something happens."""
    left, gave = list(bodies), list[Any]()

    async def main(host: Host) -> None:
        await asyncio.start_server(lambda reader, writer: None, port=CLIENTS)
        if host.name == "n1" and left:
            gave.append(await left.pop(0)(host.disk))
        await asyncio.Event().wait()

    async def story(world: SimWorld) -> None:
        for _ in bodies[1:]:
            await asyncio.sleep(1)
            await between(world)
            await world.start("n1")  # if it is gone
        await asyncio.sleep(1)

    play(main, story, seed=seed)
    return gave


async def kill(world: SimWorld) -> None:
    await world.kill("n1")


async def stop(world: SimWorld) -> None:
    await world.stop("n1")


async def files(disk: Disk) -> dict[str, bytes]:
    return {name: disk.read(name) or b"" for name in disk.names()}


async def synced(disk: Disk) -> None:
    disk.write("a", b"old")
    disk.write("b", b"there")
    await disk.sync()
    disk.write("a", b"new")
    disk.remove("b")
    disk.append("c", b"more")
    await disk.sync()


async def not_synced(disk: Disk) -> None:
    disk.write("log", b"begin\n")
    await disk.sync()
    for line in LINES:
        disk.append("log", line)
    assert disk.read("log") == b"begin\n" + b"".join(LINES)


def test_what_is_synced_outlives_a_crash() -> None:
    _, found = lives(synced, files, between=kill)
    assert found == {"a": b"new", "c": b"more"}


def test_of_what_is_not_synced_a_crash_leaves_a_beginning_that_may_be_torn() -> None:
    whole, left = b"begin\n" + b"".join(LINES), set[bytes]()
    for seed in range(30):
        _, found = lives(not_synced, files, between=kill, seed=seed)
        assert whole.startswith(found["log"])
        assert found["log"].startswith(b"begin\n")
        left.add(found["log"])
    assert any(text.endswith(b"\n") for text in left)
    assert any(not text.endswith(b"\n") for text in left), "no line is torn"
    assert len(left) > 5


def test_a_file_that_is_written_whole_is_the_old_one_or_the_new_one() -> None:
    async def replaced(disk: Disk) -> None:
        disk.write("a", b"old" * 10)
        await disk.sync()
        disk.write("a", b"new" * 10)

    found = {lives(replaced, files, between=kill, seed=seed)[1]["a"] for seed in range(10)}
    assert found == {b"old" * 10, b"new" * 10}


def test_an_end_without_a_crash_loses_nothing() -> None:
    _, found = lives(not_synced, files, between=stop)
    assert found["log"] == b"begin\n" + b"".join(LINES)


def test_only_bytes_are_written_and_as_they_were() -> None:
    async def writing(disk: Disk) -> dict[str, bytes]:
        for data in (5, "text", None, [1, 2]):
            for write in (disk.write, disk.append):
                with pytest.raises(TypeError, match="a bytes-like object is required, not"):
                    write("a", data)  # type: ignore[arg-type]
        buffer = bytearray(b"now")
        disk.write("b", buffer)
        disk.append("c", memoryview(buffer))
        buffer[:] = b"new"
        return await files(disk)

    assert lives(writing, between=kill) == [{"b": b"now", "c": b"now"}]


def test_a_wiped_disk_is_empty() -> None:
    async def wipe(world: SimWorld) -> None:
        await world.kill("n1")
        await world.wipe("n1")

    assert lives(synced, files, between=wipe)[1] == {}


def test_a_disk_that_lies_keeps_nothing_when_the_power_goes() -> None:
    async def lie(world: SimWorld) -> None:
        await world.spoil_disks(["n1"], DiskTrouble(LYING))
        await asyncio.sleep(1.2)
        await world.cut_power(["n1"])

    async def late(disk: Disk) -> None:
        disk.write("a", b"true")
        await disk.sync()
        await asyncio.sleep(2)
        disk.write("a", b"false")
        await disk.sync()

    assert lives(late, files, between=lie)[1] == {"a": b"true"}


@pytest.mark.parametrize(("kind", "code"), [(FULL, errno.ENOSPC), (BROKEN, errno.EIO), (READ_ONLY, errno.EROFS)])  # fmt: skip
def test_a_disk_that_refuses_says_so_and_what_was_not_synced_is_gone(kind: str, code: int) -> None:
    async def writing(disk: Disk) -> dict[str, bytes]:
        disk.append("log", b"kept\n")
        await disk.sync()
        disk.append("log", b"lost\n")
        await spoilt.wait()
        for attempt in (disk.sync(), adding(disk)):
            with pytest.raises(OSError, match=rf"^\[Errno {code}\]"):
                await attempt
        await mended.wait()
        await disk.sync()
        return await files(disk)

    async def adding(disk: Disk) -> None:
        disk.append("log", b"refused\n")

    async def spoil(world: SimWorld) -> None:
        await world.spoil_disks(["n1"], DiskTrouble(kind))
        spoilt.set()
        await asyncio.sleep(1)
        await world.mend_disks(["n1"])
        mended.set()
        await asyncio.sleep(1)
        await world.kill("n1")

    spoilt, mended = Flag(), Flag()
    assert lives(writing, files, between=spoil) == [{"log": b"kept\n"}] * 2


def test_a_slow_disk_takes_longer() -> None:
    async def timing(disk: Disk) -> list[bool]:
        loop, took = asyncio.get_running_loop(), []
        for _ in range(2):
            began_s = loop.time()
            for _ in range(5):
                await disk.sync()
            took.append(loop.time() - began_s)
            await asyncio.sleep(2)
        return [took[0] < 0.006, took[1] > 0.2]

    async def slow(world: SimWorld) -> None:
        await world.spoil_disks(["n1"], DiskTrouble(SLOW, stall_ms=400.0))
        await asyncio.sleep(6)

    assert lives(timing, files, between=slow)[0] == [True, True]


class Flag:
    """Set by the story, seen by the program: they live on different loops."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    async def wait(self) -> None:
        while not self._is_set:
            await asyncio.sleep(0.01)
