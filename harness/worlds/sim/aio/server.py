"""What `asyncio.start_server` and `create_server` give: a port of the node, taken as long as the server is open.

start_serving ──► Stack.listen ──► for each connection: a protocol of the factory, over its transport
close         ──► Stack.leave      connections that are open stay so
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from harness.worlds.sim.aio.stack import Stack
from harness.worlds.sim.aio.transport import SimSocket, Transport

Factory = Callable[[], asyncio.BaseProtocol]


class Server(asyncio.AbstractServer):
    """What `create_server` gives."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, stack: Stack, factory: Factory, host: str | None, port: int
    ) -> None:
        self._loop, self._stack = loop, stack
        self._factory, self._host, self._port = factory, host, port
        self._address: tuple[str, int] | None = None
        self._ended: asyncio.Future[None] = loop.create_future()

    @property
    def sockets(self) -> tuple[SimSocket, ...]:
        """To be asked for their names."""
        return () if self._address is None else (SimSocket(self._address),)

    def _accept(self, transport: Transport) -> None:
        transport.begin(self._factory())

    async def start_serving(self) -> None:
        """Listen from now on."""
        if self._address is None:
            self._address = self._stack.listen(self._host, self._port, self._accept)

    async def serve_forever(self) -> None:
        """Listen until cancelled or closed."""
        await self.start_serving()
        try:
            await self._ended
        finally:
            self.close()

    def is_serving(self) -> bool:
        """Whether it listens."""
        return self._address is not None

    def close(self) -> None:
        """Take no more connections; those that are open stay so."""
        if self._address is not None:
            self._stack.leave(self._address[1])
            self._address = None
        if not self._ended.done():
            self._ended.cancel()

    async def wait_closed(self) -> None:
        """Nothing to wait for: a port is free at once."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Its loop."""
        return self._loop
