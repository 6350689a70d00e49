"""Asyncio programs in the simulator: what they may not do ends the run with its place, even if they swallow the error."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from harness.system import SystemFault
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
    socket.create_connection(("127.0.0.1", 9))


FORBIDDEN = [
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
