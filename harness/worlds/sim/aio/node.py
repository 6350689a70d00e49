"""One life of a node that is a program written with asyncio.

    harness's client ── words ──► ClientWire ── bytes ──► the program's own server, on its client port
                     ◄─ answer ──            ◄─ bytes ──

A client speaks RESP to the program, as `redis-cli` would: its commands are arrays of bulk strings, its answers are parsed in order. It lives beside its node:
what it sends is never lost or cut, but may arrive in pieces.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol

import hiredis

from harness.named import told
from harness.system import SimulatedEnv
from harness.worlds.sim.aio.disk import Disk
from harness.worlds.sim.aio.loop import NodeLoop, is_misfortune
from harness.worlds.sim.aio.stack import LOOPBACK, Stack
from harness.worlds.sim.aio.tcp import Segment
from harness.worlds.sim.aio.transport import Transport
from harness.worlds.sim.sansio import READY, Caller

CLIENT_PORT_FIRST: Final = 32_768  # of the harness's own connections: what `peername` shows


@dataclass(frozen=True, slots=True)
class Host:
    """What a program is started with: the place where it runs."""

    name: str
    nodes: tuple[str, ...]
    options: Mapping[str, Any]
    disk: Disk
    rng: random.Random


class Program(Protocol):
    """A program as a class: made with its host, then run."""

    async def run(self) -> None:
        """What the process does; when it returns, the process ends."""


Make = Callable[[Host], Program | Coroutine[Any, Any, None]]
"""`async def main(host)`, or a class."""


class ClientWire:
    """Carries one client's commands to the program, and its answers back."""

    def __init__(self, env: SimulatedEnv, stack: Stack, conn: int, transport: Transport) -> None:
        self._env, self._stack, self._conn, self._transport = env, stack, conn, transport
        self._answers: Any = hiredis.Reader()
        self._asked: deque[int] = deque()
        self._open = True
        transport.wire = self

    backlog = 0

    def ask(self, request: int, command: Sequence[bytes]) -> None:
        """A command, in one piece or two."""
        if not self._open:
            return
        self._asked.append(request)
        data = b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in command)
        cut = self._stack.cut_at(len(data))
        self._transport.arrived(data[:cut])
        if cut is not None:
            self._env.after(0.0, self._transport.arrived, data[cut:])

    def close(self) -> None:
        """The client has gone."""
        self._open = False
        self._transport.ended()

    def write(self, data: bytes) -> None:
        """The program answers."""
        self._answers.feed(data)
        while self._open and (answer := self._answers.gets()) is not False:
            if not self._asked:
                self.cut()
                return
            self._env.reply(self._conn, self._asked.popleft(), answer)

    def finish(self) -> None:
        """The program closes the connection."""
        self.cut()

    def cut(self) -> None:
        """The same."""
        if self._open:
            self._open = False
            self._env.hang_up(self._conn)

    def was_read(self) -> None:
        """A client waits for nothing."""


class AioNode:
    """`harness.system.KernelNode` around a program. `program` is the object that was made, if it is a class; `host` its place."""

    def __init__(
        self, make: Make, env: SimulatedEnv, addresses: Mapping[str, str], options: Mapping[str, Any], *,
        client_port: int, life: int,
    ) -> None:  # fmt: skip
        self._env, self._make, self._client_port = env, make, client_port
        self.loop = NodeLoop.of(env, addresses, life)
        self.program: Any = None
        disk = Disk(env, self.loop.after)
        self.host = Host(env.node, tuple(addresses), MappingProxyType(dict(options)), disk, env.rng)
        self._clients: dict[int, ClientWire] = {}

    @property
    def listens(self) -> bool:
        """Whether a client can connect."""
        return self.loop.stack.listener(self._client_port) is not None

    def start(self) -> None:
        """Begin with the program's first turn."""
        self.loop.call_soon(self._begin)

    def _begin(self) -> None:
        made = self._make(self.host)
        if not inspect.iscoroutine(made):
            self.program = made
            made = self.program.run()
        self.loop.create_task(made, name="main").add_done_callback(self._on_end)

    def _on_end(self, main: asyncio.Task[None]) -> None:
        """The program has come to its end. What ends it as it would end a process is no mistake of it."""
        error = asyncio.CancelledError() if main.cancelled() else main.exception()
        if error is None:
            self._env.end("main returned")
        elif isinstance(error, Exception) and not is_misfortune(error):
            self.loop.fail("in main", error)
        else:
            self._env.end(f"main ended with {told(error)}")

    def on_message(self, src: str, message: Segment) -> None:
        """A segment has arrived, while the program runs or is paused."""
        self.loop.stack.on_segment(src, message)

    def on_reset(self, other: str, message: Segment) -> None:
        """The connection of this segment was reset on its way."""
        self.loop.stack.on_reset(other, message)

    def on_request(self, conn: int, request: int, command: Sequence[bytes]) -> None:
        """A client's command. With its first one it connects."""
        if command[0] == READY:
            self._env.reply(conn, request, self.listens)
            return
        self.loop.cause = Caller(conn, request)
        if conn in self._clients or self._connect(conn):
            self._clients[conn].ask(request, command)
        else:
            self._env.hang_up(conn)
        self.loop.cause = None

    def _connect(self, conn: int) -> bool:
        listener = self.loop.stack.listener(self._client_port)
        if listener is None:
            return False
        transport = Transport(self.loop, (LOOPBACK, self._client_port), (LOOPBACK, CLIENT_PORT_FIRST + conn))
        self._clients[conn] = ClientWire(self._env, self.loop.stack, conn, transport)
        self.loop.call_soon(listener.accept, transport)
        return True

    def on_close(self, conn: int) -> None:
        """A client has gone."""
        if conn in self._clients:
            self._clients.pop(conn).close()

    def on_stop(self) -> float:
        """SIGTERM ends the process at once, as it does where nobody handles it; the machine's kernel writes what is left."""
        self.host.disk.settle()
        return 0.0

    def on_crash(self) -> int:
        """The power goes. If the link is there, the other ends hear of it: as after `kill -9`, whose kernel says so."""
        if not self._env.unplugged:
            self.loop.stack.hang_up()
        self.loop.die()
        return self.host.disk.crash()

    def shown(self) -> dict[str, Any]:
        """What there is to see."""
        return {
            "listens": self.loop.stack.listens,
            "connections": self.loop.stack.shown(),
            "files": {name: len(self.host.disk.read(name) or b"") for name in self.host.disk.names()},
        }
