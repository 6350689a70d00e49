"""The port for browsers and Prometheus: one request a connection, answered from `kvstore.web` and closed.

    bytes ──h11──► GET /ring ──► web.page(picture) ──h11──► bytes, close

It only reads. Too many connections, a request that is too large or too slow, and anything but GET and HEAD end at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

import h11

from kvstore.web import Picture, page

REQUEST_BYTES_MAX: Final = 8192
REQUEST_S_MAX: Final = 5.0
CONNECTIONS_MAX: Final = 64


class HttpPort:
    """What all its connections share: how to see the node, and how many they are."""

    def __init__(self, picture: Callable[[], Picture]) -> None:
        self.picture = picture
        self.open: set[HttpConnection] = set()

    def connection(self) -> HttpConnection:
        """For `loop.create_server`."""
        return HttpConnection(self)

    def close(self) -> None:
        """Close all."""
        for connection in list(self.open):
            connection.close()


class HttpConnection(asyncio.Protocol):
    """One browser, one request."""

    def __init__(self, port: HttpPort) -> None:
        self._port = port
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=REQUEST_BYTES_MAX)
        self._transport: asyncio.Transport | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._head = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many."""
        self._transport = cast(asyncio.Transport, transport)
        if len(self._port.open) >= CONNECTIONS_MAX:
            self._transport.abort()
            return
        self._port.open.add(self)
        self._limit = asyncio.get_running_loop().call_later(REQUEST_S_MAX, self.close)

    def data_received(self, data: bytes) -> None:
        """Answer once the request is whole."""
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            self._answer(error.error_status_hint, "text/plain", f"{error}\n".encode())
            return
        if not isinstance(event, h11.Request):
            return
        self._head = event.method == b"HEAD"
        if event.method not in (b"GET", b"HEAD"):
            self._answer(405, "text/plain", b"Only GET and HEAD.\n")
            return
        try:
            answer = page(event.target.decode("ascii", "replace"), self._port.picture())
        except Exception as error:  # a page that cannot be drawn must not end a node that serves
            answer = 500, "text/plain", f"The page cannot be made: {type(error).__name__}: {error}\n".encode()
        self._answer(*answer)

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        headers = [
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
            ("Connection", "close"),
        ]
        said = [
            h11.Response(status_code=status, headers=headers),
            *([] if self._head else [h11.Data(data=body)]),
            h11.EndOfMessage(),
        ]
        if self._transport is not None:
            self._transport.write(b"".join(filter(None, map(self._http.send, said))))
        self.close()

    def close(self) -> None:
        """What was written still leaves."""
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Forget it."""
        self._port.open.discard(self)
        if self._limit is not None:
            self._limit.cancel()
