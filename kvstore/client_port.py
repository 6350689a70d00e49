"""One client's connection: bytes in, commands to the node, answers out in the order of the commands.

    data ─► CommandDecoder ─► backlog ─► (at most WINDOW at once) ─► node
                                                                       │ replies, in any order
    data ◄── flush, once a turn of the loop ◄── next answer due ◄──────┘

Reading stops while the client does not take its answers, or has a backlog: a fast sender is slowed, not
buffered.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from typing import TYPE_CHECKING, cast

from kvstore import resp
from kvstore.events import Failure, Value

if TYPE_CHECKING:
    from kvstore.server import Server

WINDOW = 64  # commands of one connection in the node at once
MAX_CLIENTS = 10_000
_LOGINS = (b"AUTH", b"HELLO")


class ClientConnection(asyncio.Protocol):
    """A client, as the server sees it. `number` is its name in events."""

    def __init__(self, server: Server) -> None:
        self.number = 0
        self.version = 2
        self._server = server
        self._trusted = server.config.password is None
        self._decoder = resp.CommandDecoder(resp.LIMITS if self._trusted else resp.STRANGER)
        self._transport: asyncio.Transport | None = None
        self._backlog: deque[tuple[bytes, ...]] = deque()
        self._asked = 0  # commands given a request number
        self._due = 0  # the request whose answer goes out next
        self._early: dict[int, bytes] = {}  # answers that are not due yet
        self._out: list[bytes] = []
        self._logins: set[int] = set()
        self._closing = False  # take no more commands
        self._done = False  # close at the next flush, whatever is unanswered
        self._blocked = False  # the client does not read

    # ---- called by the loop ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast(asyncio.Transport, transport)
        with contextlib.suppress(OSError):  # gone already: connection_lost follows
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._server.admit(self):
            self._transport.write(resp.encode(Failure("OVERLOADED", "too many clients"), 2))
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._backlog.extend(self._decoder.feed(data))
        self.pump()

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone."""
        self._transport = None
        self._backlog.clear()
        self._server.client_gone(self)

    def pause_writing(self) -> None:
        """The client does not take its answers."""
        self._blocked = True
        self._read_or_not()

    def resume_writing(self) -> None:
        """It does again."""
        self._blocked = False
        self.pump()

    # ---- called by the server --------------------------------------------------------------------------

    def pump(self) -> None:
        """Give the node as many commands as the window allows."""
        backlog = self._backlog
        while backlog and not self._blocked and self._asked - self._due < WINDOW and not self._closing:
            args = backlog.popleft()
            request = self._asked
            self._asked += 1
            if not self._trusted and args[0].upper() in _LOGINS:
                self._logins.add(request)
            self._server.command(self, request, args, self._trusted)
        if self._decoder.error is not None and not backlog and not self._closing:
            self._server.metrics.protocol_errors += 1
            self._asked += 1
            self.answer(self._asked - 1, Failure("ERR", self._decoder.error))
            self.close_when_answered()
        self._read_or_not()

    def answer(self, request: int, value: Value) -> None:
        """Take the answer to a request; it goes out when all before it have."""
        if request in self._logins:
            self._logins.discard(request)
            if not isinstance(value, Failure):
                self._trusted = True
                self._decoder.limits = resp.LIMITS
        data = resp.encode(value, self.version)
        if request != self._due:
            self._early[request] = data
            return
        self._out.append(data)
        self._due += 1
        while self._early and self._due in self._early:
            self._out.append(self._early.pop(self._due))
            self._due += 1
        self._server.touch(self)

    def close_when_answered(self) -> None:
        """Take no more commands; close after the last answer."""
        self._closing = True
        self._backlog.clear()
        self._server.touch(self)

    def hang_up(self) -> None:
        """The node says it is done with this client (QUIT): close after the answers that are due."""
        self._done = True
        self.close_when_answered()

    def flush(self) -> None:
        """Send the answers that are due, then see whether there is more to do."""
        transport = self._transport
        if transport is None:
            self._out.clear()
            return
        if self._out:
            transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
            self._out.clear()
        if self._done or (self._closing and self._due == self._asked):
            transport.close()
        elif self._backlog:
            self.pump()

    def close(self) -> None:
        """Close after what has been written."""
        if self._transport is not None:
            self._transport.close()

    def _read_or_not(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._blocked or self._backlog or self._closing:
            transport.pause_reading()
        elif not transport.is_reading():
            transport.resume_reading()
