"""A system of 30 lines, so that the hosts world is tested without the store: answers a word a line.

PING -> PONG · TIME -> its wall clock · NOTE word -> "noted" · NOTED -> all words that were noted · HOLDS -> the files it has opened
READ file -> what is in it, in hex · REACH host port -> "yes" or why not (a new connection, half a second)
On hosts that are slow every limit is so many times longer (`pace`), this one and those of requests.
"""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from harness.client import Channel, ChannelError
from harness.control import Connection
from harness.provision.inventory import Inventory
from harness.system import Deployment, SystemFault
from harness.worlds.hosts import HostsWorld

PORT = 7400
NODES = ("n1", "n2", "n3")
SERVER = b"""
import asyncio, os, sys, time

async def reach(host, port):
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), float(sys.argv[2]))
        writer.close()
        return "yes"
    except Exception as error:
        return type(error).__name__

held = {name: open(f"/var/lib/quorate/tiny/{name}", "rb") for name in os.listdir("/var/lib/quorate/tiny")}
noted = []

def note(word):
    noted.append(word)
    return "noted"

async def serve(reader, writer):
    while line := await reader.readline():
        word, *rest = line.decode().split()
        answers = {"PING": lambda: "PONG", "TIME": lambda: repr(time.time()), "NOTED": lambda: " ".join(noted)}
        answers |= {"NOTE": lambda: note(*rest), "HOLDS": lambda: " ".join(sorted(held))}
        answer = answers.get(word) if word != "READ" else lambda: os.pread(held[rest[0]].fileno(), 1 << 16, 0).hex()
        text = await reach(*rest) if word == "REACH" else answer() if answer else "?"
        writer.write(text.encode() + b"\\n")
        await writer.drain()

async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", int(sys.argv[1]))
    print("serving", open("name").read(), flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


class TinyChannel:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pace: float) -> None:
        self._reader, self._writer, self._pace = reader, writer, pace

    async def request(self, command: Sequence[bytes], *, timeout_s: float) -> Any:
        self._writer.write(b" ".join(command) + b"\n")
        try:
            line = await asyncio.wait_for(self._reader.readline(), timeout_s * self._pace)
        except (TimeoutError, OSError) as error:
            raise ChannelError(str(error), definite=False) from error
        if not line:
            raise ChannelError("closed", definite=False)
        return line.strip().decode()

    async def close(self) -> None:
        self._writer.close()


class TinySystem:
    name = "tiny"

    def __init__(self, nodes: Sequence[str], *, lacking: str = "", pace: float = 1.0) -> None:
        self.nodes = tuple(nodes)
        self.lacking, self.pace = lacking, pace

    def deployment(self) -> Deployment:
        return Deployment(
            bundle=_bundle,
            directory="/opt/tiny",
            files=lambda node, addresses: {"/opt/tiny/name": node.encode()},
            command=("python3", "server.py", str(PORT), str(0.5 * self.pace)),
            environment={"TINY": "{node}"},
            client_port=PORT,
            data_directory="/var/lib/quorate/tiny",
            log_file="/var/log/tiny.log",
            requires=self._requires,
            data_files={"notes": "notes", "log": "log"},
        )

    def _requires(self, run: Any) -> None:
        if "Python 3" not in run("python3 --version"):
            raise SystemFault("there is no python3")
        if self.lacking:
            raise SystemFault(f"there is no {self.lacking}; install it")

    async def dial(self, host: str, port: int, *, timeout_s: float) -> Channel:
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), timeout_s)
        except (TimeoutError, OSError) as error:
            raise ChannelError(f"{host}:{port}: {error or 'timed out'}", definite=True) from error
        return TinyChannel(reader, writer, self.pace)

    async def ready(self, channel: Channel) -> bool:
        return bool(await channel.request([b"PING"], timeout_s=1.0) == "PONG")

    def describe(self) -> Mapping[str, Any]:
        return {}


def _bundle() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("server.py")
        entry.size = len(SERVER)
        archive.addfile(entry, io.BytesIO(SERVER))
    return buffer.getvalue()


def in_world(five: Inventory, story: Callable[[HostsWorld], Awaitable[None]], **options: Any) -> None:
    """Bring the tiny system up on three hosts, tell the story, take it down."""

    async def whole() -> None:
        world = HostsWorld(TinySystem(NODES, pace=five.hosts[0].slowness), five, **options)
        try:
            await world.up()
            await story(world)
        finally:
            await world.down()

    asyncio.run(whole())


def on(five: Inventory, node: str, script: str, timeout_s: float = 15.0) -> str:
    """What a script says on a host."""
    connection = Connection(next(host for host in five.hosts if host.name == node))
    try:
        return connection.shell(script, check=False, timeout_s=timeout_s).stdout
    finally:
        connection.close()
