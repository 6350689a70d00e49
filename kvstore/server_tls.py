"""TLS on both ports, by the standard library: files in, contexts out, and a port that counts its handshakes.

    [tls]
    cert = "n1.pem"                # the node's certificate, for its name: DNS:n1
    key = "n1.key"
    ca = "ca.pem"                  # who signs the certificates of nodes, and of clients
    require_client_cert = true     # clients must show one too; peers always must

Peers check each other: the one that connects wants a certificate for the name of the node it means to reach, the other
one for the name that says Hello. The password is proved inside, as ever.

Whoever is in a handshake is a stranger, and there are few of them; so connections are accepted here, one by one. The library would let a first message
have 128 KiB, and hold thrice that for it: so it is not given to the library before all of it has come, which no more than 6 KiB may be. And the
library holds as much of what comes then as one reading gives: so little is read at a time until it is known who sends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from kvstore.config import ConfigError, TlsConfig
from kvstore.strangers import (
    CERTIFICATES_COST,
    HANDSHAKE_COST,
    HANDSHAKES_ROOM,
    TLS_COST,
    Strangers,
    source_of,
)

ROOM_S = 0.1  # so long a connection waits, as no more than a socket, for a handshake or a login before it to end; then the oldest has to go
ROOM_POLL_S = 0.002
RECEIVED_BYTES = (
    8 << 10
)  # of a stranger, that the system may keep (Linux doubles it): so much the library then has to hold
RECEIVED_BYTES_MAX = 4 << 20  # of others; the system has its own limit
# A record of the kind 22, its version and length; in it a message of the kind 1, and the length of that in three bytes.
HELLO = struct.Struct(">BHHBBH")
HELLO_BYTES_MAX = 6 << 10  # with its record; usual ones have 200 to 2,500
HANDSHAKE_TIMEOUT_S = 5.0
ACCEPT_AGAIN_S = 0.05


class Tls(NamedTuple):
    """What each kind of connection is wrapped in."""

    clients: ssl.SSLContext
    peers_in: ssl.SSLContext
    peers_out: ssl.SSLContext


def tls_from(config: TlsConfig) -> Tls:
    """The contexts of a node. Raises ConfigError for a file that is missing or is not what it should be."""
    try:
        clients = _context(config, ssl.PROTOCOL_TLS_SERVER, config.require_client_cert)
        return Tls(
            clients,
            _context(config, ssl.PROTOCOL_TLS_SERVER, True),
            _context(config, ssl.PROTOCOL_TLS_CLIENT, True),
        )
    except (OSError, ssl.SSLError) as error:
        what = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(
            f"The files of [tls] cannot be used ({what}); cert, key and ca must be PEM files, and the key that of cert."
        ) from None


def _context(config: TlsConfig, protocol: int, verify: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(config.cert, config.key, password=lambda: b"")  # never ask at the terminal
    if verify:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(config.ca)
    return context


def shows_name(transport: asyncio.BaseTransport, name: str) -> bool:
    """Whether the other side's certificate is for this name."""
    certificate = transport.get_extra_info("peercert") or {}
    return ("DNS", name) in certificate.get("subjectAltName", ())


def trusted(transport: asyncio.BaseTransport) -> None:
    """Whoever is behind this connection is no stranger any more: it may send faster."""
    with contextlib.suppress(OSError):  # gone already
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES_MAX)


class Gate:
    """Who is in a handshake at any port of a node, and who comes after them."""

    def __init__(self, strangers: Strangers) -> None:
        """`strangers`: who has shaken hands and is not known yet."""
        self.shaking = Strangers(HANDSHAKES_ROOM)
        self._strangers = strangers

    async def room(self, cost: int) -> None:
        """Wait until one more handshake that costs so much fits, and a stranger after it; ROOM_S at most."""
        loop = asyncio.get_running_loop()
        until = loop.time() + ROOM_S
        while loop.time() < until and not (self.shaking.fits(cost) and self._strangers.fits(TLS_COST)):
            await asyncio.sleep(ROOM_POLL_S)


class TlsPort:
    """Accepts connections and gives those whose handshake succeeds to a protocol of their own."""

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext,
        gate: Gate,
    ) -> None:
        self._gate = gate
        self._listener = listener
        self._protocol = protocol
        self._context = context
        self._cost = HANDSHAKE_COST if context.verify_mode == ssl.CERT_NONE else CERTIFICATES_COST
        self._mine: set[_Handshake] = set()
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    def close(self) -> None:
        """Accept no more; give up the handshakes on their way."""
        self._accepting.cancel()
        self._listener.close()
        for each in list(self._mine):
            each.evict()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._listener)
            except OSError:  # gone before it was accepted, or too many files are open
                await asyncio.sleep(ACCEPT_AGAIN_S)
                continue
            await self._gate.room(self._cost)
            shaking = _Handshake(connection, self._protocol, self._context)
            self._mine.add(shaking)
            shaking.task.add_done_callback(partial(self._done, shaking))
            self._gate.shaking.add(shaking, source_of(address), self._cost)

    def _done(self, shaking: _Handshake, task: asyncio.Task[None]) -> None:
        self._mine.discard(shaking)
        self._gate.shaking.remove(shaking)
        if task.cancelled() or task.exception() is not None:  # no TLS, no certificate of ours, or too slow
            shaking.connection.close()
        # What it failed with leads back to it: all of the library's memory would stay until a collection.
        del shaking.task


async def served(
    listener: socket.socket,
    protocol: Callable[[], asyncio.Protocol],
    context: ssl.SSLContext | None,
    gate: Gate,
) -> asyncio.AbstractServer | TlsPort:
    """A port where connections are accepted, with TLS if there is a context."""
    if context is None:
        return await asyncio.get_running_loop().create_server(protocol, sock=listener)
    return TlsPort(listener, protocol, context, gate)


class _Handshake:
    """A stranger, until its handshake is over."""

    def __init__(
        self, connection: socket.socket, protocol: Callable[[], asyncio.Protocol], context: ssl.SSLContext
    ) -> None:
        self.connection = connection
        self.task = asyncio.get_running_loop().create_task(self._shake(protocol, context))

    def evict(self) -> None:
        """Close at once."""
        self.task.cancel()

    async def _shake(self, protocol: Callable[[], asyncio.Protocol], context: ssl.SSLContext) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            await _hello(self.connection)
        await asyncio.get_running_loop().connect_accepted_socket(
            protocol, self.connection, ssl=context, ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S
        )


async def _hello(connection: socket.socket) -> None:
    """Wait until the first message of a handshake is there, whole. Raises ConnectionError if it is something else, or too long."""
    if await _peek(connection, 1) != b"\x16":
        raise ConnectionError("this is no TLS")
    _, _, size, message, high, low = HELLO.unpack(await _peek(connection, HELLO.size))
    if message != 1 or not (high << 16 | low) + 4 <= size <= HELLO_BYTES_MAX:
        raise ConnectionError("this is no handshake")
    await _peek(connection, size + 5)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)


async def _peek(connection: socket.socket, size: int) -> bytes:
    """The next bytes, so many, once all are there; they stay there. Raises ConnectionError if they do not come."""
    loop = asyncio.get_running_loop()
    there = loop.create_future()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)

    def arrived() -> None:
        if not there.done():
            there.set_result(None)

    loop.add_reader(connection, arrived)
    try:
        await there
    finally:
        loop.remove_reader(connection)
    data = connection.recv(size, socket.MSG_PEEK)
    if len(data) < size:
        raise ConnectionError("it ended before its first message")
    return data
