"""A node in this process, to look into while others talk to it over sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import uvloop

from kvstore.__main__ import listen
from kvstore.config import NodeConfig
from kvstore.engine import SqliteEngine
from kvstore.server import Server
from kvstore.server_tls import tls_from


@contextlib.asynccontextmanager
async def serving(folder: Path, config: NodeConfig) -> AsyncIterator[tuple[Server, int, int]]:
    """The server at work, its client port and its peer port."""
    engine = SqliteEngine(folder / "data")
    with listen("127.0.0.1:0", "client") as clients, listen("127.0.0.1:0", "peer") as peers:
        ports = clients.getsockname()[1], peers.getsockname()[1]
        tls = tls_from(config.tls) if config.tls else None
        server = Server(msgspec.structs.replace(config, client=f"127.0.0.1:{ports[0]}"), engine, tls)
        thresholds = gc.get_threshold()
        task = asyncio.get_running_loop().create_task(server.run(clients, peers))
        try:
            yield server, *ports
        finally:
            server.stop()
            await task
            gc.unfreeze()
            gc.set_threshold(*thresholds)
            engine.close()


def run_inside(
    folder: Path, config: NodeConfig, scenario: Callable[[Server, int, int], Awaitable[None]]
) -> None:
    """Run a scenario beside a node, on uvloop as in production."""

    async def all_of_it() -> None:
        async with serving(folder, config) as (server, client, peer):
            await scenario(server, client, peer)

    uvloop.run(all_of_it())


async def in_thread(work: Callable[[], object]) -> None:
    """Do blocking work in a thread of its own, while the node goes on."""
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)
        finally:
            loop.call_soon_threadsafe(done.set)

    thread = threading.Thread(target=run, name=f"client {os.getpid()}")
    thread.start()
    await done.wait()
    thread.join()
    if failures:
        raise failures[0]
