"""Connections between nodes: one out to each peer, one in from each (`kvstore.wire`: what is said).

    PeerLink  ── connect, prove, send batches ──►  PeerConnection of the other node ──► Deliver events there
       │ lost or refused: try again after 20 ms, 40 ms, … 500 ms
       └ while it is down or slow: frames wait, the newest at least; the oldest are dropped and counted, above 4 MiB or when they have waited
         for a minute. What is older than a tombstone's grace must not arrive at all: it could be the value that was deleted

A message may be lost at any time, which every protocol above allows for; so nothing is sent twice. A peer
that went silent with its cable cut is given up after 2 s (TCP_USER_TIMEOUT); otherwise TCP's own doubling
waits would keep a healed network unused for minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections import deque
from typing import TYPE_CHECKING, cast

from kvstore import handshake, wire
from kvstore.messages import Message
from kvstore.server_tls import shows_name, trusted
from kvstore.strangers import source_of

if TYPE_CHECKING:
    from kvstore.server import Server

CONNECT_TIMEOUT_S = 1.0
HANDSHAKE_TIMEOUT_S = 5.0
SILENCE_MS = 2000
RETRY_S = (0.02, 0.5)  # the first wait and the longest
MAX_WAITING_BYTES = 4 << 20
MAX_WAITING_S = 60.0


def _tune(transport: asyncio.BaseTransport) -> asyncio.Transport:
    connection = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):  # gone already: connection_lost follows
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_MS)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    return cast(asyncio.Transport, transport)


class PeerLink:
    """The way to one peer. `send` during a turn of the loop, `flush` at its end."""

    def __init__(self, server: Server, peer: str, address: str) -> None:
        self.peer = peer
        self.dropped = 0
        self.state = "connecting"
        self._server = server
        host, _, port = address.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._fresh: list[Message] = []
        self._waiting: deque[tuple[float, int, bytes]] = deque()  # since when, messages in it, frame
        self._wait_max_s = min(MAX_WAITING_S, server.config.tombstone_grace_ms / 4000)
        self._waiting_bytes = 0
        self._transport: asyncio.Transport | None = None  # set while messages may be written to it

    def send(self, message: Message) -> None:
        """Take a message for the next flush."""
        self._fresh.append(message)

    def flush(self) -> None:
        """Send what was taken, or let it wait."""
        fresh = self._fresh
        if not fresh:
            return
        data, lost = wire.encode_batch(fresh)
        count = len(fresh) - lost
        fresh.clear()
        self._count_dropped(lost)
        if self._transport is not None:
            self._server.metrics.messages_sent += count
            self._transport.write(data)
            return
        self._waiting.append((asyncio.get_running_loop().time(), count, data))
        self._waiting_bytes += len(data)
        while self._waiting_bytes > MAX_WAITING_BYTES and len(self._waiting) > 1:
            self._drop_oldest()

    def open(self, transport: asyncio.Transport) -> None:
        """Messages may be written to this connection from now on."""
        self.state = "up"
        self._transport = transport
        oldest = asyncio.get_running_loop().time() - self._wait_max_s
        while self._waiting and self._waiting[0][0] < oldest:
            self._drop_oldest()
        while self._waiting and self._transport is not None:  # a write may block the connection again
            _, count, frame = self._waiting.popleft()
            self._waiting_bytes -= len(frame)
            self._server.metrics.messages_sent += count
            transport.write(frame)

    def block(self, state: str) -> None:
        """Messages must wait: the connection is lost, or the peer does not read."""
        self.state = state
        self._transport = None

    async def run(self) -> None:
        """Keep a connection for ever; cancel to end."""
        wait_s, said = RETRY_S[0], ""
        while True:
            why, welcomed = await self._connection()
            if welcomed:
                wait_s, said = RETRY_S[0], ""
            self.block(why)
            if why != said:
                self._server.log("link", f"no connection to {self.peer}: {why}")
                said = why
            await asyncio.sleep(wait_s * random.uniform(0.75, 1.25))
            wait_s = min(2 * wait_s, RETRY_S[1])

    async def _connection(self) -> tuple[str, bool]:
        """One connection, until it is lost: why, and whether it was ever of use."""
        tls, attempt = self._server.tls, _Outgoing(self._server, self)
        opening = asyncio.get_running_loop().create_connection(
            lambda: attempt,
            self._host,
            self._port,
            ssl=tls.peers_out if tls else None,
            server_hostname=self.peer if tls else None,
        )
        try:
            await asyncio.wait_for(opening, CONNECT_TIMEOUT_S)
            return await attempt.lost, attempt.welcomed
        except (OSError, TimeoutError, ValueError) as error:  # ValueError: a name that no host can have
            return str(error) or "no answer", False
        finally:
            self.block("given up")
            attempt.give_up()

    def _drop_oldest(self) -> None:
        _, count, frame = self._waiting.popleft()
        self._waiting_bytes -= len(frame)
        self._count_dropped(count)

    def _count_dropped(self, count: int) -> None:
        self.dropped += count
        self._server.metrics.messages_dropped += count


class _Outgoing(asyncio.Protocol):
    """The initiator's end of a connection. After `give_up` it does nothing to its link any more, which has another by then.

    An attempt that took too long may have connected all the same, unknown to whoever waited for it.
    """

    def __init__(self, server: Server, link: PeerLink) -> None:
        self._handshake = handshake.Initiator(
            server.cluster, server.config.name, link.peer, server.nonce(), server.config.password
        )
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._server = server
        self._link = link
        self._decoder = wire.Decoder()
        self._transport: asyncio.Transport | None = None

    def give_up(self) -> None:
        """Close it, however far it came."""
        if not self.lost.done():
            self.lost.set_result("given up")
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = _tune(transport)
        if self.lost.done():
            self._transport.abort()
            return
        asyncio.get_running_loop().call_later(HANDSHAKE_TIMEOUT_S, self._expire)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._decoder.feed(data):
                if self._transport is not None and not self.lost.done():
                    self._frame(frame, self._transport)
        except wire.FrameError as error:
            self._server.metrics.peer_errors += 1
            self._fail(str(error))

    @property
    def welcomed(self) -> bool:
        return self._handshake.welcomed

    def _frame(self, frame: wire.Frame, transport: asyncio.Transport) -> None:
        answer = self._handshake.take(frame)
        if answer is not None:
            transport.write(wire.encode(answer))
        else:
            self._link.open(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(str(error) if error else "the peer closed the connection")

    def pause_writing(self) -> None:
        if not self.lost.done():
            self._link.block("the peer does not read")

    def resume_writing(self) -> None:
        if self.welcomed and self._transport is not None and not self.lost.done():
            self._link.open(self._transport)

    def _expire(self) -> None:
        if not self.welcomed:
            self._fail("no welcome in time")

    def _fail(self, why: str) -> None:
        if not self.lost.done():
            self._link.block(why)
            self.lost.set_result(why)
            if self._transport is not None:
                self._transport.abort()


class PeerConnection(asyncio.Protocol):
    """The acceptor's end of a connection. `node` is None until the initiator has been welcomed."""

    def __init__(self, server: Server) -> None:
        self.node: str | None = None
        self._server = server
        self._decoder = wire.Decoder()
        self._nonce = server.nonce()
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has connected: challenge them."""
        self._transport = _tune(transport)
        source = source_of(transport.get_extra_info("peername"))
        self._server.strangers.add(self, source, self._server.stranger_cost)
        self._transport.write(wire.encode(wire.Challenge(self._nonce)))
        self._timer = asyncio.get_running_loop().call_later(HANDSHAKE_TIMEOUT_S, self._expire)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        try:
            for frame in self._decoder.feed(data):
                if isinstance(frame, wire.Batch) and self.node is not None:
                    self._server.deliver(self.node, frame.messages)
                elif isinstance(frame, wire.Hello) and self.node is None:
                    self._greet(frame)
                else:
                    raise wire.BodyError(f"A {type(frame).__name__} came at the wrong time.")
        except wire.FrameError as error:
            self._server.metrics.peer_errors += 1
            if self.node:
                self._server.log("link", f"cut the connection from {self.node}: {error}")
            else:
                self._server.complain(f"cut the connection from a stranger: {error}")
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """The peer is gone; its link will come back."""
        self._timer.cancel()
        self._server.peer_gone(self)

    def close(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def evict(self) -> None:
        """Cut the connection of a stranger."""
        self._transport.abort()

    def _greet(self, hello: wire.Hello) -> None:
        config = self._server.config
        reason = handshake.why_refused(
            hello,
            cluster=self._server.cluster,
            node=config.name,
            members=(hello.node,) if self._server.known(hello.node) else (),
            nonce=self._nonce,
            password=config.password,
        )
        if reason is None and self._server.tls and not shows_name(self._transport, hello.node):
            reason = f"{hello.node} shows a certificate that is not for this name."
        if reason is not None:
            self._server.metrics.peer_errors += 1
            self._server.complain(f"refused a connection: {reason}")
            self._transport.write(wire.encode(wire.Refusal(reason[:200])))
            self._transport.close()
            return
        self.node = hello.node
        self._decoder.max_body_bytes = wire.MAX_BODY_BYTES
        self._server.peer_came(self)
        if self._server.tls:
            trusted(self._transport)
        self._transport.write(wire.encode(handshake.welcome(hello, self._nonce, config.password)))

    def _expire(self) -> None:
        if self.node is None:
            self._transport.abort()
