"""The port for browsers and Prometheus: one request a connection, answered from `kvstore.web` and closed.

    bytes ──h11──► GET /ring ──► web.page(picture) ──h11──► bytes, close

It only reads. Whoever asks is a stranger (`kvstore.strangers`), as those at the other ports are before they log in. A request that is too large, an answer that is not taken in time, and anything but GET and HEAD end as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

import h11

from kvstore.strangers import PLAIN_COST, Strangers, source_of
from kvstore.web import Picture, page

REQUEST_BYTES_MAX: Final = 8192
REQUEST_S_MAX: Final = 5.0


class HttpPort:
    """What all its connections share: how to see the node, and the strangers of all its ports."""

    def __init__(self, picture: Callable[[], Picture], strangers: Strangers) -> None:
        self.picture = picture
        self.strangers = strangers

    def connection(self) -> HttpConnection:
        """For `loop.create_server`."""
        return HttpConnection(self)


class HttpConnection(asyncio.Protocol):
    """One browser, one request."""

    def __init__(self, port: HttpPort) -> None:
        self._port = port
        self._http: h11.Connection | None = h11.Connection(
            h11.SERVER, max_incomplete_event_size=REQUEST_BYTES_MAX
        )
        self._transport: asyncio.Transport | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._head = False
        self._read = 0  # bytes of a request that is not whole

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._limit = asyncio.get_running_loop().call_later(REQUEST_S_MAX, self.evict)
        self._port.strangers.add(self, source_of(transport.get_extra_info("peername")), PLAIN_COST)

    def data_received(self, data: bytes) -> None:
        """Answer once the request is whole."""
        if self._http is None:
            return
        try:
            self._http.receive_data(data[: REQUEST_BYTES_MAX + 1])  # with more it is too large, or has a body
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            error.__traceback__ = (
                None  # else it and h11's frames hold each other, and the bytes, until a collection
            )
            self._answer(error.error_status_hint, "text/plain", f"{error}\n".encode())
            return
        if not isinstance(event, h11.Request):
            self._read += len(data)
            self._port.strangers.hold(self, self._read)
            return
        self._head = event.method == b"HEAD"
        if event.method not in (b"GET", b"HEAD"):
            self._answer(405, "text/plain", b"Only GET and HEAD.\n", ("Allow", "GET, HEAD"))
            return
        try:
            answer = page(event.target.decode("ascii", "replace"), self._port.picture())
        except Exception as error:  # a page that cannot be drawn must not end a node that serves
            answer = 500, "text/plain", f"The page cannot be made: {type(error).__name__}: {error}\n".encode()
        self._answer(*answer)

    def _answer(self, status: int, kind: str, body: bytes, *more: tuple[str, str]) -> None:
        headers = [
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
            ("Connection", "close"),
            *more,
        ]
        said = [
            h11.Response(status_code=status, headers=headers),
            *([] if self._head else [h11.Data(data=body)]),
            h11.EndOfMessage(),
        ]
        http, self._http = self._http, None  # what it holds is of no more use
        if self._transport is not None and http is not None:
            self._transport.write(b"".join(filter(None, map(http.send, said))))
            self._port.strangers.hold(self, self._transport.get_write_buffer_size())
            self._transport.close()  # what was written still leaves

    def evict(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Forget it."""
        self._port.strangers.remove(self)
        self._transport = self._http = None
        if self._limit is not None:
            self._limit.cancel()
