"""A client of the store, for programs and for the harness.

    StoreClient ── get, put, delete ──► channel.request([b"GET", b"k"], timeout_s=1.0) ──► a node
        │                                    │
        │ raises StoreError                  │ raises ChannelLost
        ▼                                    ▼
    the node answered with an error      no answer came

Both carry `definite`: True proves that the request had and will have no effect. In doubt it is False.

A *channel* is anything with `request` and `close`: `SocketChannel` here, a stream of events in a simulator.
It returns answers in the form hiredis gives them, errors as exception objects.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol, cast

import hiredis

from kvstore import errors, resp


class StoreError(Exception):
    """A node's error answer. `code` is a row of `kvstore.errors.TABLE`; `definite` is what that row says."""

    def __init__(self, code: str, text: str, definite: bool | None = None) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text
        self.definite = errors.definite(code) if definite is None else definite


class ChannelLost(Exception):
    """A request got no answer. `definite` is True only if the request surely never left this machine."""

    def __init__(self, message: str, *, definite: bool) -> None:
        super().__init__(message)
        self.definite = definite


class Channel(Protocol):
    """A connection to one node."""

    async def request(self, command: Sequence[bytes], *, timeout_s: float) -> Any:
        """Send one command and wait for its answer; an error answer is returned, not raised."""

    async def close(self) -> None:
        """Close. Never raises."""


class StoreClient:
    """Get, put and delete over a channel. One request at a time."""

    def __init__(self, channel: Channel, *, timeout_s: float = 5.0) -> None:
        self.channel = channel
        self.timeout_s = timeout_s

    async def call(self, *command: bytes) -> Any:
        """Any command. Raises StoreError for an error answer; whatever the channel raises passes through."""
        answer = await self.channel.request(command, timeout_s=self.timeout_s)
        if isinstance(answer, BaseException):
            raise store_error(answer)
        return answer

    async def ping(self) -> None:
        """Return if the node answers."""
        await self.call(b"PING")

    async def use(self, bucket: str) -> None:
        """Take a named bucket for the commands that follow."""
        await self.call(b"KV.USE", bucket.encode())

    async def get(self, key: bytes) -> bytes | None:
        """The value, None if there is none."""
        answer = await self.call(b"GET", key)
        assert answer is None or isinstance(answer, bytes)
        return answer

    async def put(self, key: bytes, value: bytes) -> None:
        """Write; returns when the bucket's W replicas hold it durably."""
        await self.call(b"SET", key, value)

    async def delete(self, key: bytes) -> None:
        """Write a tombstone; returns when the bucket's W replicas hold it durably."""
        await self.call(b"DEL", key)

    async def close(self) -> None:
        """Close the channel. Never raises."""
        await self.channel.close()


def store_error(answer: BaseException) -> StoreError:
    """The error answer as a StoreError: the code is its first word."""
    if isinstance(answer, StoreError):
        return answer
    code, _, text = str(answer).partition(" ")
    return StoreError(code, text)


class SocketChannel(asyncio.Protocol):
    """A Channel over TCP. Requests may overlap; answers come in order. A time-out closes it."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._reader = hiredis.Reader()
        self._lost = "the channel is closed"

    @classmethod
    async def connect(
        cls,
        host: str,
        port: int,
        *,
        timeout_s: float = 5.0,
        user: str = "default",
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> SocketChannel:
        """Open a channel, over TLS if there is a context, which says whom to believe: `ssl.create_default_context(cafile=…)`.

        Raises ChannelLost, definite unless the login got no answer, or StoreError if the password is wrong.
        """
        channel = cls()
        opening = asyncio.get_running_loop().create_connection(lambda: channel, host, port, ssl=tls)
        try:
            await asyncio.wait_for(opening, timeout_s)
            if password is not None:
                login = [b"AUTH", user.encode(), password.encode()]
                answer = await channel.request(login, timeout_s=timeout_s)
                if isinstance(answer, BaseException):
                    raise store_error(answer)
        except (OSError, TimeoutError, ValueError) as error:  # ValueError: a name that no host can have
            await channel.close()  # it may have connected too late
            why = str(error) or f"no answer in {timeout_s} s"
            raise ChannelLost(f"cannot connect to {host}:{port}: {why}", definite=True) from None
        except BaseException:  # whoever waited for it may have given up
            await channel.close()
            raise
        return channel

    async def request(self, command: Sequence[bytes], *, timeout_s: float) -> Any:
        """Send one command and wait for its answer; an error answer is returned, not raised.

        Raises ChannelLost. It is definite if the channel was closed before anything was sent, and never after
        a time-out, which also closes the channel: the late answer must not be taken for that of the next
        request.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ChannelLost(f"not sent: {self._lost}", definite=True)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(answer)
        transport.write(resp.encode(list(command), 2))
        timer = loop.call_later(timeout_s, self._expire, f"no answer in {timeout_s} s")
        try:
            return await answer
        finally:
            timer.cancel()

    @property
    def open(self) -> bool:
        """Whether a request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def close(self) -> None:
        """Close. Never raises."""
        self._end("the channel was closed")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)
        connection = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # gone already: connection_lost follows
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._reader.feed(data)
        try:
            while self._waiting and (answer := self._reader.gets()) is not False:
                waiter = self._waiting.popleft()
                if not waiter.done():
                    waiter.set_result(answer)
        except hiredis.ProtocolError as error:
            self._end(f"the node does not speak RESP: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop."""
        self._end(str(error) if error else "the node closed the connection")

    def _expire(self, why: str) -> None:
        self._end(why)

    def _end(self, why: str) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            self._lost = why
            transport.abort()
        waiting, self._waiting = self._waiting, deque()
        for waiter in waiting:
            if not waiter.done():
                waiter.set_exception(ChannelLost(why, definite=False))
