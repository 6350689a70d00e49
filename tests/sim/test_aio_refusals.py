"""Asyncio programs in the simulator: what they may not do ends the run with its place, even if they swallow the error."""

from __future__ import annotations

import _thread as threads
import asyncio
import logging
import os
import select
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from harness.system import SystemFault
from harness.worlds.sim import SimWorld
from harness.worlds.sim.aio import Host
from harness.worlds.sim.guard import LeakError
from harness.worlds.sim.loop import ForbiddenInSimError
from tests.sim.programs import PEERS, play, program, short


async def _thread() -> None:
    await asyncio.to_thread(print)


async def _signal() -> None:
    asyncio.get_running_loop().add_signal_handler(15, print)


async def _reader() -> None:
    asyncio.get_running_loop().add_reader(0, print)


async def _process() -> None:
    await asyncio.create_subprocess_exec("true")


async def _foreigner() -> None:
    await asyncio.open_connection("example.com", 80)


async def _name() -> None:
    await asyncio.get_running_loop().getaddrinfo("example.com", 80)


async def _tls() -> None:
    await asyncio.open_connection("n2", PEERS, ssl=True)


async def _sleep() -> None:
    time.sleep(1)


async def _start() -> None:
    threading.Thread(target=print).start()


async def _file() -> None:
    open("/etc/hostname").close()


async def _path() -> None:
    Path("/etc/hostname").read_text()


async def _socket() -> None:
    socket.socket()


async def _own_port() -> None:
    await asyncio.open_connection("n2", PEERS, local_addr=("10.0.0.1", 5000))


async def _service() -> None:
    await asyncio.open_connection("n2", "http")


async def _other_address() -> None:
    await asyncio.start_server(print, ["127.0.0.1", "10.9.9.9"], PEERS)


async def _made_folder() -> None:
    os.mkdir("/tmp/of-a-simulated-node")


async def _temporary() -> None:
    tempfile.mkdtemp()


async def _descriptor() -> None:
    os.close(os.open("/etc/hostname", os.O_RDONLY))


async def _log_file() -> None:
    logging.FileHandler("/tmp/of-a-simulated-node.log")


async def _database() -> None:
    sqlite3.connect("/tmp/of-a-simulated-node.db")


async def _listed() -> None:
    list(Path("/etc").iterdir())


async def _shell() -> None:
    os.system("true")


async def _spawned() -> None:
    os.posix_spawn("/bin/true", ["true"], {})


async def _killed() -> None:
    os.kill(os.getpid(), 0)


async def _looked_up() -> None:
    socket.getaddrinfo("localhost", 80)


async def _handler() -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


async def _selected() -> None:
    select.select([], [], [], 0)


async def _waited() -> None:
    threading.Event().wait(0.001)


async def _low() -> None:
    threads.start_new_thread(print, ())


async def _ended() -> None:
    os._exit(0)


FORBIDDEN = [
    (_own_port, "loop.create_connection with local_addr .* is not simulated"),
    (_service, "there is no service 'http' in the simulator"),
    (_other_address, "there is no host '10.9.9.9'"),
    (_made_folder, r"LeakError: test_aio_refusals.py, line \d+, calls os.mkdir\(\) in a simulated run"),
    (_temporary, r"LeakError: test_aio_refusals.py, line \d+, calls (open|os.mkdir)\(\) in a simulated run"),
    (_descriptor, r"LeakError: test_aio_refusals.py, line \d+, calls open\(\) in a simulated run"),
    (_log_file, r"LeakError: test_aio_refusals.py, line \d+, calls open\(\) in a simulated run"),
    (_database, r"calls sqlite3.connect\(\) in a simulated run"),
    (_listed, r"LeakError: test_aio_refusals.py, line \d+, calls os.listdir\(\) in a simulated run"),
    (_shell, r"calls os.system\(\) in a simulated run"),
    (_spawned, r"calls os.posix_spawn\(\) in a simulated run"),
    (_killed, r"calls os.kill\(\) in a simulated run"),
    (_looked_up, r"calls socket.getaddrinfo\(\) in a simulated run"),
    (_handler, r"calls signal.signal\(\) in a simulated run"),
    (_selected, r"calls select.select\(\) in a simulated run"),
    (
        _waited,
        r"LeakError: test_aio_refusals.py, line \d+, calls threading.Condition.wait\(\) in a simulated run",
    ),
    (_low, r"calls _thread.start_new_thread\(\) in a simulated run"),
    (_ended, r"calls os._exit\(\) in a simulated run"),
    (_thread, r"loop.run_in_executor reaches outside the simulator \(test_aio_refusals.py, line \d+\)"),
    (_signal, "loop.add_signal_handler reaches outside"),
    (_reader, "loop.add_reader reaches outside"),
    (_process, "loop.subprocess_exec reaches outside"),
    (_foreigner, "there is no host 'example.com' in this run, only n1, n2 and localhost"),
    (_name, "there is no host 'example.com'"),
    (_tls, "loop.create_connection with ssl reaches outside"),
    (_sleep, r"calls time.sleep\(\) in a simulated run"),
    (_file, r"calls builtins.open\(\) in a simulated run"),
    (_path, r"calls io.open\(\) in a simulated run"),
    (_socket, r"calls socket.socket.__init__\(\) in a simulated run"),
    (_start, r"calls threading.Thread.start\(\) in a simulated run"),
]


@pytest.mark.parametrize("swallowed", [False, True], ids=["raised", "swallowed"])
@pytest.mark.parametrize(("call", "words"), FORBIDDEN, ids=[call.__name__ for call, _ in FORBIDDEN])
def test_what_reaches_outside_ends_the_run_even_if_the_program_swallows_the_error(
    call: Callable[[], Awaitable[None]], words: str, swallowed: bool
) -> None:
    async def reaching(host: Host) -> None:
        try:
            await call()
        except (ForbiddenInSimError, LeakError):
            if not swallowed:
                raise

    with pytest.raises(SystemFault, match=r"n1 broke off .*" + words):
        play(program(reaching), short)


def test_a_subprocess_cannot_be_begun_by_another_way() -> None:
    async def beginning(host: Host) -> None:
        subprocess.run(["true"], check=True)

    with pytest.raises(SystemFault, match=r"calls subprocess.Popen.__init__\(\) in a simulated run"):
        play(program(beginning), short)


def test_what_python_reads_for_itself_and_what_is_in_memory_is_no_leak() -> None:
    async def looking(host: Host) -> None:
        import this  # noqa: F401

        try:
            raise KeyError("told")
        except KeyError:
            traceback.print_exc()
        sqlite3.connect(":memory:").execute("create table rows (key)")
        names.append((socket.gethostname(), os.getpid()))

    async def story(world: SimWorld) -> str:
        await world.kill("n1")
        await world.start("n1")
        await asyncio.sleep(1)
        return (await world.logs())["n1"]

    names: list[tuple[str, int]] = []
    assert 'raise KeyError("told")' in play(program(looking), story)
    assert [name for name, _ in names] == ["n1", "n1"]
    assert len({pid for _, pid in names}) == 2, "another in each life"


def test_other_threads_may_do_what_they_like_while_a_program_runs(tmp_path: Path) -> None:
    async def waiting(host: Host) -> None:
        while not made.exists():
            await asyncio.sleep(0)
        seen.append(made)

    async def story(world: SimWorld) -> None:
        while not seen:
            await asyncio.sleep(0.001)

    seen: list[Path] = []
    made = tmp_path / "made"
    thread = threading.Timer(0.01, made.touch)
    thread.start()
    try:
        play(program(waiting), story)
    finally:
        thread.join()
