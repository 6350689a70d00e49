"""One load for all: so many connections, one request at a time on each, small clients that cost little and alike.

    RespLink    RESP over TCP: our store, and Redis                  SET key value · GET key
    GrpcLink    gRPC over HTTP/2, etcd's own protocol                Put · Range (linearizable)

The gRPC client is written out by hand, because a library would spend more processor time than the server: a request is one HEADERS
frame, always the same bytes, and one DATA frame; an answer that carries DATA succeeded, one that has none is an error
(RFC 9113; the gRPC protocol over HTTP/2). etcd's JSON gateway would be simpler here and cost etcd a second request of its own.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import hiredis

VALUE = b"v" * 200


class LoadError(Exception):
    """A request failed: the measurement is void."""


class Link(Protocol):
    """One connection."""

    async def put(self, key: bytes, value: bytes) -> None:
        """Write durably. Raises LoadError."""

    async def get(self, key: bytes) -> None:
        """Read. Raises LoadError."""

    def close(self) -> None:
        """Hang up."""


class Wire(asyncio.Protocol):
    """Bytes out, one answer back: subclasses say when it is whole."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.answer: asyncio.Future[Any] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self.transport = cast(asyncio.Transport, transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(LoadError(f"the server hung up: {error}"))

    async def ask(self, request: bytes) -> Any:
        """Send, and wait for the answer."""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.answer

    def done(self, value: Any) -> None:
        """The answer is whole."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(value)

    def close(self) -> None:
        """Hang up."""
        self.transport.abort()


class RespLink(Wire):
    """A connection that speaks RESP."""

    def __init__(self) -> None:
        super().__init__()
        self._reader = hiredis.Reader()

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._reader.feed(data)
        answer = self._reader.gets()
        if answer is not False:
            self.done(answer)

    async def put(self, key: bytes, value: bytes) -> None:
        """SET."""
        answer = await self.ask(hiredis.pack_command((b"SET", key, value)))
        if answer != b"OK":
            raise LoadError(f"SET was answered with {answer!r}")

    async def get(self, key: bytes) -> None:
        """GET."""
        answer = await self.ask(hiredis.pack_command((b"GET", key)))
        if isinstance(answer, Exception):
            raise LoadError(f"GET was answered with {answer!r}")


DATA, HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    """An HTTP/2 frame."""
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


def header_block(method: str) -> bytes:
    """The headers of a gRPC call, each written out as a literal that nobody need remember."""
    fields = {
        ":method": "POST", ":scheme": "http", ":path": f"/etcdserverpb.KV/{method}", ":authority": "etcd",
        "content-type": "application/grpc", "te": "trailers",
    }  # fmt: skip
    return b"".join(
        b"\0%c%b%c%b" % (len(n), n.encode(), len(v), v.encode())
        for n, v in ((name, value) for name, value in fields.items())
    )


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field of a protobuf message."""
    size, length = len(value), b""
    while size >= 0x80:
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value


PUT, RANGE = header_block("Put"), header_block("Range")
PREFACE = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    + frame(SETTINGS, 0, 0, b"")
    + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", (1 << 31) - 1 - 65_535))
)


class GrpcLink(Wire):
    """A connection to etcd, one call at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._stream = -1
        self._buffer = b""
        self._message = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        super().connection_made(transport)
        self.transport.write(PREFACE)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        buffer, at = self._buffer + data, 0
        while len(buffer) - at >= 9:
            size = int.from_bytes(buffer[at : at + 3], "big")
            if len(buffer) - at < 9 + size:
                break
            kind, flags = buffer[at + 3], buffer[at + 4]
            body = buffer[at + 9 : at + 9 + size]
            at += 9 + size
            if kind == DATA:
                self._message += body
            elif kind in (SETTINGS, PING) and not flags & ACK:
                self.transport.write(frame(kind, ACK, 0, body if kind == PING else b""))
            elif kind == GOAWAY:
                self.transport.abort()
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                message, self._message = self._message, b""
                self.done(message)
        self._buffer = buffer[at:]

    async def _call(self, headers: bytes, message: bytes) -> bytes:
        self._stream += 2
        head = frame(HEADERS, END_HEADERS, self._stream, headers)
        body = b"\0" + struct.pack(">I", len(message)) + message
        answer: bytes = await self.ask(head + frame(DATA, END_STREAM, self._stream, body))
        if len(answer) < 5:
            raise LoadError("etcd answered with an error")
        return answer

    async def put(self, key: bytes, value: bytes) -> None:
        """Put."""
        await self._call(PUT, field(1, key) + field(2, value))

    async def get(self, key: bytes) -> None:
        """Range over one key."""
        await self._call(RANGE, field(1, key))


@dataclass(frozen=True, slots=True)
class Measured:
    """What a load met. `client_us`: the generator's own processor time."""

    ops: int
    seconds: float
    p50_ms: float
    p99_ms: float
    client_us: float


async def load(
    link: type[RespLink] | type[GrpcLink],
    ports: Sequence[int],
    what: str,
    *,
    connections: int,
    seconds: float,
    keys: int,
) -> Measured:
    """`connections` clients, spread evenly over the ports, each busy all the time; `what`: put or get."""
    loop = asyncio.get_running_loop()
    links = [
        (await loop.create_connection(link, "127.0.0.1", ports[at % len(ports)]))[1]
        for at in range(connections)
    ]
    took_ms: list[float] = []
    begin, processor = time.perf_counter(), time.process_time()
    end = begin + seconds

    async def client(each: Link, rng: random.Random) -> None:
        now = time.perf_counter()
        while now < end:
            key = b"key:%012d" % rng.randrange(keys)
            if what == "put":
                await each.put(key, VALUE)
            else:
                await each.get(key)
            before, now = now, time.perf_counter()
            took_ms.append(1000 * (now - before))

    await asyncio.gather(*(client(each, random.Random(at)) for at, each in enumerate(links)))
    lasted, used = time.perf_counter() - begin, time.process_time() - processor
    for each in links:
        each.close()
    took_ms.sort()
    count = len(took_ms)
    return Measured(count, lasted, took_ms[count // 2], took_ms[count * 99 // 100], 1e6 * used / count)
