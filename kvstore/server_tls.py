"""TLS on both ports, by the standard library: files in, contexts out, and a port that counts its handshakes.

    [tls]
    cert = "n1.pem"                # the node's certificate, for its name: DNS:n1
    key = "n1.key"
    ca = "ca.pem"                  # who signs the certificates of nodes, and of clients
    require_client_cert = true     # clients must show one too; peers always must

Peers check each other: the one that connects wants a certificate for the name of the node it means to reach, the other
one for the name that says Hello. The password is proved inside, as ever.

Whoever is in a handshake is a stranger, and there are few of them; so connections are accepted here, one by one.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, NamedTuple

from kvstore.config import ConfigError, TlsConfig
from kvstore.strangers import Strangers, source_of

HANDSHAKES_MAX = 32
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


class TlsPort:
    """Accepts connections and gives those whose handshake succeeds to a protocol of their own."""

    def __init__(
        self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol], context: ssl.SSLContext
    ) -> None:
        self._listener = listener
        self._protocol = protocol
        self._context = context
        self._shaking = Strangers(count_max=HANDSHAKES_MAX, bytes_max=0)
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    def close(self) -> None:
        """Accept no more; give up the handshakes on their way."""
        self._accepting.cancel()
        self._listener.close()
        for each in self._shaking.all():
            each.evict()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._listener)
            except OSError:  # gone before it was accepted, or too many files are open
                await asyncio.sleep(ACCEPT_AGAIN_S)
                continue
            _Handshake(connection, source_of(address), self._protocol, self._context, self._shaking)


class _Handshake:
    """A stranger, until its handshake is over."""

    def __init__(
        self,
        connection: socket.socket,
        source: str,
        protocol: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext,
        shaking: Strangers,
    ) -> None:
        opening = asyncio.get_running_loop().connect_accepted_socket(
            protocol, connection, ssl=context, ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S
        )
        self._connection = connection
        self._task = asyncio.ensure_future(opening)
        self._task.add_done_callback(lambda task: self._done(task, shaking))
        shaking.add(self, source)

    def evict(self) -> None:
        """Close at once."""
        self._task.cancel()

    def _done(self, task: asyncio.Task[Any], shaking: Strangers) -> None:
        shaking.remove(self)
        if task.cancelled() or task.exception() is not None:  # no TLS, no certificate of ours, or too slow
            self._connection.close()
