"""One client's connection: bytes in, commands to the node, answers out in the order of the commands.

    data ─► CommandDecoder ─► (at most WINDOW at once, of a stranger one) ─► node
                                                                       │ replies, in any order
    data ◄── flush, once a turn of the loop ◄── next answer due ◄──────┘

What the window does not take stays bytes in the decoder. Reading stops while there are such bytes, or while the client
does not take its answers: a fast sender is slowed, not buffered.

A *stranger* is a client that must log in and has not: what it sends behind AUTH waits for the answer, what it makes this
node hold is little and counted (`kvstore.strangers`), and after `login_timeout_ms` it is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, cast

from kvstore import resp, server_tls
from kvstore.events import Failure, Value
from kvstore.strangers import source_of

if TYPE_CHECKING:
    from kvstore.server import Server

WINDOW = 64  # commands of one connection in the node at once
STRANGER_BYTES = 96 << 10  # one stranger may make a node hold: a command and what follows it
STRANGER_UNREAD_BYTES = 4 << 10  # answers it has not taken; above it nothing more is done for it
_NO_ROOM = Failure("OVERLOADED", "the node has too many bytes of requests in hand; nothing was done")
_LOGINS = (b"AUTH", b"HELLO", b"RESET")
ASLEEP_S = 300  # who is silent for so long is asked by the system whether it is there, as Redis does
ASLEEP_AGAIN_S, ASLEEP_TRIES = 100, 3  # and given up after so many questions without an answer


def _tune(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, ASLEEP_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, ASLEEP_AGAIN_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, ASLEEP_TRIES)


class ClientConnection(asyncio.Protocol):
    """A client, as the server sees it. `number` is its name in events."""

    def __init__(self, server: Server) -> None:
        self.number = 0
        self.version = 2
        self._server = server
        self._trusted = server.open_to_all
        self._decoder = resp.CommandDecoder(resp.LIMITS if self._trusted else resp.STRANGER, server.room_for)
        self._transport: asyncio.Transport | None = None
        self._asked = 0  # commands given a request number
        self._due = 0  # the request whose answer goes out next
        self._early: dict[int, bytes] = {}  # answers that are not due yet
        self._out: list[bytes] = []
        self._logins: dict[int, bytes] = {}  # requests whose answer says whether this is a stranger
        self._login_timer: asyncio.TimerHandle | None = None
        self._large: dict[int, int] = {}  # large requests in the node, and their bytes
        self._asking = 0  # bytes of a stranger's command in the node
        self._more = False  # the decoder may have whole commands still
        self._closing = False  # take no more commands
        self._done = False  # close at the next flush, whatever is unanswered
        self._blocked = False  # the client does not read
        self._ended = False  # the client sends no more, and waits for its answers

    # ---- called by the loop ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast(asyncio.Transport, transport)
        with contextlib.suppress(OSError):  # gone already: connection_lost follows
            _tune(transport.get_extra_info("socket"))
        if not self._server.admit(self):
            self._refuse("too many clients")
        elif not self._trusted:
            self._forget()
        elif self._server.tls:
            server_tls.trusted(transport)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._trusted or self._hold(len(data)):
            self.pump(data)

    def eof_received(self) -> bool:
        """The client sends no more. What it has sent is done and answered before the connection is closed; TLS has no such half of a close."""
        self._ended = not self._server.tls and not self._through
        if self._ended:
            self._server.touch(self)
        return self._ended

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone."""
        self._transport = None
        self._server.room_for(-sum(self._large.values()))
        self._large.clear()
        self._let_go()
        if self._login_timer is not None:
            self._login_timer.cancel()
        self._server.strangers.remove(self)
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

    def pump(self, data: bytes = b"") -> None:
        """Take bytes; give the node as many commands as the window allows."""
        if self._closing:
            return
        decoder, free = self._decoder, 0
        if not self._blocked:
            free = (WINDOW if self._trusted else 1) - (self._asked - self._due)
        commands = decoder.feed(data, max(0, free))
        for index, size in decoder.large.items():
            self._large[self._asked + index] = size
        for args in commands:
            if self._closing:  # the node has hung up
                break
            request = self._asked
            self._asked += 1
            if not self._trusted:
                self._asking = sum(map(len, args))
            if not args:
                self.answer(request, _NO_ROOM)
                continue
            if not self._server.open_to_all and len(args[0]) > 3 and (name := args[0].upper()) in _LOGINS:
                self._logins[request] = name
            self._server.command(self, request, args)
        self._more = decoder.held > 0 and len(commands) >= free
        if decoder.error is not None and not self._closing:
            self._server.metrics.protocol_errors += 1
            self._asked += 1
            self.answer(self._asked - 1, Failure("ERR", decoder.error))
            self.close_when_answered()
        self._read_or_not()
        if not self._trusted:
            self._hold()
        if self._ended and self._through:
            self._server.touch(self)

    def answer(self, request: int, value: Value) -> None:
        """Take the answer to a request; it goes out when all before it have."""
        if self._logins and (name := self._logins.pop(request, None)) and not isinstance(value, Failure):
            self._forget() if name == b"RESET" else self._trust()
        if self._large and (size := self._large.pop(request, 0)):
            self._server.room_for(-size)
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
        if self._done or (self._closing and self._due == self._asked) or (self._ended and self._through):
            transport.close()
        elif self._more:
            self.pump()
        if not self._trusted:
            self._hold()

    @property
    def idle(self) -> bool:
        """Whether it has all its answers."""
        transport = self._transport
        return transport is None or (
            self._due == self._asked and not self._out and not transport.get_write_buffer_size()
        )

    @property
    def _through(self) -> bool:
        """Whether all that came is done, answered, and on its way."""
        return self._due == self._asked and not self._out and not self._more

    def close(self) -> None:
        """Close after what has been written."""
        if self._transport is not None:
            self._transport.close()

    def evict(self) -> None:
        """Close at once: others need the room of this stranger."""
        self._let_go()
        self._server.client_gone(self)
        if self._transport is not None:
            self._transport.abort()

    def _trust(self) -> None:
        """The client has logged in."""
        self._trusted = True
        self._decoder.limits = resp.LIMITS
        self._server.strangers.remove(self)
        if self._login_timer is not None:
            self._login_timer.cancel()
        if self._transport is not None:
            self._transport.set_write_buffer_limits()
            if self._server.tls:
                server_tls.trusted(self._transport)

    def _forget(self) -> None:
        """The client is a stranger: at first, and after RESET."""
        self._trusted = False
        self._decoder.limits = resp.STRANGER
        if self._transport is None or self._transport.is_closing():
            return
        if self not in self._server.strangers:
            self._transport.set_write_buffer_limits(high=STRANGER_UNREAD_BYTES)
            self._login_timer = asyncio.get_running_loop().call_later(
                self._server.config.login_timeout_ms / 1000, self._refuse, "no login in time"
            )
            source = source_of(self._transport.get_extra_info("peername"))
            self._server.strangers.add(self, source, self._server.stranger_cost)

    def _hold(self, fresh: int = 0) -> bool:
        """Tell what this stranger makes the node hold, with bytes that have just come; False if it is closed for it."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        asking = self._asking if self._asked > self._due else 0
        held = (
            fresh + asking + self._decoder.held + sum(map(len, self._out)) + transport.get_write_buffer_size()
        )
        if held > STRANGER_BYTES:
            self._refuse("too much was sent before the login was answered")
        else:
            self._server.strangers.hold(self, held)
        return not transport.is_closing()

    def _refuse(self, why: str) -> None:
        """Close with an error that needs no request."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if not transport.get_write_buffer_size():
            transport.write(resp.encode(Failure("OVERLOADED", why), 2))
            transport.close()
        self._server.strangers.remove(self)
        self._let_go()
        self._server.client_gone(self)
        if not transport.is_closing():
            transport.abort()

    def _let_go(self) -> None:
        """Hold nothing any more: what Python frees late should be small."""
        self._closing = True
        self._decoder.let_go()
        self._out.clear()
        self._early.clear()

    def _read_or_not(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._blocked or self._more or self._closing or self._ended:
            transport.pause_reading()
        elif not transport.is_reading():
            transport.resume_reading()
