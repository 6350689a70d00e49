"""What asyncio's streams and protocols see of a connection: a transport, over whatever carries its bytes.

    protocol ◄── data_received, eof_received, connection_lost ── Transport ◄── arrived, ended, lost ── Wire
             ── write, close, abort ──►                                    ── write, finish, cut ──►

What comes is handed over in the node's own turns: a program that is paused reads nothing, and what it has no room for stays with the sender.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol, cast

from harness.worlds.sim.loop import ForbiddenInSimError
from harness.worlds.sim.sansio import Caller

HIGH_BYTES: Final = 65_536  # what a program may write before it is told to wait, as asyncio has it


class Wire(Protocol):
    """What carries the bytes: an end of a connection, or the harness that asks for a client."""

    @property
    def backlog(self) -> int:
        """How many bytes are written and not yet taken."""

    def write(self, data: bytes) -> None:
        """Send."""

    def finish(self) -> None:
        """Nothing more will be written."""

    def cut(self) -> None:
        """Break it off."""

    def was_read(self) -> None:
        """The program has taken what was there."""


class Turns(Protocol):
    """What a connection needs of its node's loop."""

    cause: Caller | None  # the request for which things happen now

    def call_soon(self, callback: Callable[..., object], *args: Any) -> object:
        """In the node's next turn, for the request for which things happen now."""

    def number(self) -> int:
        """The next number of this node's things: what they are told apart by, in place of an address."""


class SimSocket:
    """What a program may ask a socket that is not there."""

    family, type, proto = socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP

    def __init__(self, name: tuple[str, int], peer: tuple[str, int] | None = None) -> None:
        self._name, self._peer = name, peer

    def getsockname(self) -> tuple[str, int]:
        """Its own address."""
        return self._name

    def getpeername(self) -> tuple[str, int]:
        """The other end's."""
        if self._peer is None:
            raise OSError("the socket is not connected")
        return self._peer

    def setsockopt(self, *_: object) -> None:
        """Options change nothing here."""

    def fileno(self) -> int:
        """There is none."""
        raise ForbiddenInSimError("socket.fileno reaches outside the simulator; there is no descriptor")


class Transport(asyncio.Transport):
    """One connection of a program, as asyncio knows it."""

    def __init__(self, turns: Turns, name: tuple[str, int], peer: tuple[str, int]) -> None:
        super().__init__({"sockname": name, "peername": peer, "socket": SimSocket(name, peer)})
        self.wire: Wire | None = None  # until it is there
        self.waiter: asyncio.Future[None] | None = None  # who waits for the other end to answer
        self._turns, self._number = turns, turns.number()
        self._protocol: asyncio.BaseProtocol | None = None
        self._inbox = bytearray()
        self._heard_last = self._reading = self._handing = False
        self._closing = self._shut = self._gone = False
        self._why: Exception | None = None
        self._high, self._low = HIGH_BYTES, HIGH_BYTES // 4
        self._waits = False  # the protocol has been told to

    def __hash__(self) -> int:
        return self._number

    def begin(self, protocol: asyncio.BaseProtocol) -> None:
        """From now on there is somebody to tell."""
        self._protocol = protocol
        protocol.connection_made(self)
        if self._gone:
            self._turns.call_soon(protocol.connection_lost, self._why)
        else:
            self.resume_reading()

    # ---- from the wire ----------------------------------------------------------------------------------------------

    @property
    def unread(self) -> int:
        """How many bytes wait to be read."""
        return len(self._inbox)

    @property
    def deaf(self) -> bool:
        """Whether nobody will read any more."""
        return self._closing

    def opened(self) -> None:
        """The other end has answered."""
        self._turns.call_soon(self._wake, None)

    def arrived(self, data: bytes) -> None:
        """The next bytes."""
        self._inbox += data
        self._hand_over_soon()

    def ended(self) -> None:
        """No more will come."""
        self._heard_last = True
        self._hand_over_soon()

    def drained(self) -> None:
        """There is room for what was written."""
        if self._waits or self._closing:
            self._turns.call_soon(self._look_at_room)

    def lost(self, error: OSError | None) -> None:
        """The connection is gone."""
        self._turns.call_soon(self._lose, error)

    def _hand_over_soon(self) -> None:
        if self._reading and not self._handing:
            self._handing = True
            self._turns.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._handing = False
        try:
            self._take_in()
        except (
            Exception
        ) as error:  # of the program's protocol: asyncio ends the connection, and tells who handles errors
            self._break(error)
            raise

    def _take_in(self) -> None:
        if not self._reading or self._closing:
            return
        if self._inbox:
            data = bytes(self._inbox)
            self._inbox.clear()
            self._give(data)
            self._the_wire().was_read()
        if self._heard_last and not self._inbox and self._reading and not self._closing:
            self._reading = self._heard_last = False
            if not cast(asyncio.Protocol, self._protocol).eof_received():
                self.close()

    def _give(self, data: bytes) -> None:
        if not isinstance(self._protocol, asyncio.BufferedProtocol):
            cast(asyncio.Protocol, self._protocol).data_received(data)
            return
        while data and not self._closing:
            room = memoryview(self._protocol.get_buffer(len(data)))
            size = min(len(room), len(data))
            room[:size] = data[:size]
            self._protocol.buffer_updated(size)
            data = data[size:]

    def _break(self, error: Exception) -> None:
        if not self._gone:
            self._closing = True
            self._the_wire().cut()
            self._turns.call_soon(self._lose, error)

    def _look_at_room(self) -> None:
        backlog = self._the_wire().backlog
        if self._waits and backlog <= self._low and not self._gone:
            self._waits = False
            self._the_protocol().resume_writing()
        if self._closing and not backlog:
            self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        if self._gone:
            return
        self._gone = self._closing = True
        self._why = error
        self._wake(error)
        if self._protocol is not None:
            self._protocol.connection_lost(error)

    def _wake(self, error: Exception | None) -> None:
        waiter, self.waiter = self.waiter, None
        if waiter is None or waiter.done():
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)

    def _the_wire(self) -> Wire:
        assert self.wire is not None
        return self.wire

    def _the_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    # ---- from the program -------------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """Send. Of what is written to a connection that is gone or closed, nothing is."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._shut:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing or not data:
            return
        self._the_wire().write(bytes(data))
        if self._the_wire().backlog > self._high and not self._waits:
            self._waits = True
            self._the_protocol().pause_writing()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Send all of it."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """It can."""
        return True

    def write_eof(self) -> None:
        """Nothing more will be written; reading goes on."""
        if not self._shut and not self._closing:
            self._shut = True
            self._the_wire().finish()

    def close(self) -> None:
        """Send what was written, then end."""
        if self._closing:
            return
        self._closing = True
        self._the_wire().finish()
        if not self._the_wire().backlog:
            self._turns.call_soon(self._lose, None)

    def abort(self) -> None:
        """End now."""
        self._closing = True
        self._the_wire().cut()
        self._turns.call_soon(self._lose, None)

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._closing

    def is_reading(self) -> bool:
        """Whether the protocol is given what comes."""
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        """Keep what comes."""
        self._reading = False

    def resume_reading(self) -> None:
        """Hand it over, and go on."""
        if self._closing or self._reading:
            return
        self._reading = True
        if self._inbox or self._heard_last:
            self._hand_over_soon()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When the protocol is told to wait, and when to go on."""
        if high is None:
            high = HIGH_BYTES if low is None else 4 * low
        low = high // 4 if low is None else low
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high, self._low = high, low

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The same, low first."""
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """How much is written and not yet taken."""
        return self._the_wire().backlog

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Another protocol from now on."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who is told."""
        return self._the_protocol()


def addresses(nodes: Iterable[str]) -> Mapping[str, str]:
    """{node: IP address}: as in a small network of its own."""
    return {node: f"10.0.{number >> 8}.{number & 255}" for number, node in enumerate(nodes, 1)}
