"""One end of a simulated TCP connection: bytes arrive once and in order, or the connection breaks.

      opener                                acceptor
        │  SYN ─────────────────────────────► │      nobody listens: RST, the connection is refused
        │ ◄───────────────────────── SYN-ACK  │
        │  DATA at 0, at 1460 ──────────────► │      kept until what lies before it has come
        │ ◄──────────── ACK to 2920, window   │      as many bytes as the reader has room for
        │  DATA at 2920, last ──────────────► │      the end of the stream
       RST  either way: no such connection (any more)

The network loses, doubles and reorders segments; what is not acknowledged is sent again after 200 ms, then twice as long each time, as Linux does; after 15
times (6 for SYN) the end gives up. So a connection outlives a short partition, and one whose other end has died without a word stays open until something is
sent. The rules are those of RFC 9293, without what a simulator has no use for: congestion, options, TIME-WAIT (a connection's number is never used again).
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from harness.worlds.sim.sansio import Caller

SEGMENT_BYTES: Final = 1460
SEND_BYTES: Final = 65_536  # what the kernel takes from a program before the other end has it
RECEIVE_BYTES: Final = 65_536  # what it keeps for a program that does not read
RETRY_MS: Final = 200.0
RETRY_MS_MAX: Final = 120_000.0
RETRIES_MAX: Final = 15
OPEN_RETRY_MS: Final = 1000.0
OPEN_RETRIES_MAX: Final = 6
ROUNDING_MS: Final = 1e-3  # a timer may fire this much early

CODES: Final[Mapping[type[OSError], int]] = {
    ConnectionRefusedError: errno.ECONNREFUSED,
    ConnectionResetError: errno.ECONNRESET,
    TimeoutError: errno.ETIMEDOUT,
}

SYN, SYN_ACK, DATA, ACK, ASK, RST = "SYN", "SYN-ACK", "DATA", "ACK", "ASK", "RST"


class Segment(NamedTuple):
    """What goes over the network. `flow` is the life of the node that opened the connection, and the how-manyth of that life it is."""

    about: Caller | None  # the request it was sent for
    flow: tuple[int, int]
    back: bool  # from the acceptor to the opener
    what: str
    port: int = 0  # where a SYN goes; where it comes from is `source`
    source: int = 0
    at: int = 0
    data: bytes = b""
    last: bool = False
    acked: int = 0
    window: int = RECEIVE_BYTES

    def words(self) -> str:
        """As it is drawn."""
        text = f"{self.what} {self.data!r}" if self.data else self.what
        return f"{text}, last" if self.last else text


def refusal(segment: Segment) -> Segment | None:
    """What is answered by a machine that knows no such connection."""
    return None if segment.what == RST else Segment(segment.about, segment.flow, not segment.back, RST)


class Port(Protocol):
    """What an end may do."""

    @property
    def cause(self) -> Caller | None:
        """The request for which things happen now."""

    def now_ms(self) -> float:
        """The monotonic clock."""

    def after(self, delay_ms: float, call: Callable[..., None], *args: Any) -> None:
        """Call later."""

    def cut_at(self, size: int) -> int | None:
        """Where to cut in two what is so long, None for not at all: no reader may count on whole frames."""


class Reader(Protocol):
    """Who is told what comes out of an end. `unread` is what waits for the program."""

    @property
    def unread(self) -> int:
        """How many bytes wait to be read."""

    @property
    def deaf(self) -> bool:
        """Whether nobody will read any more."""

    def opened(self) -> None:
        """The other end has answered."""

    def arrived(self, data: bytes) -> None:
        """The next bytes."""

    def ended(self) -> None:
        """No more will come."""

    def drained(self) -> None:
        """The other end has more of what was written."""

    def lost(self, error: OSError | None) -> None:
        """The connection is gone."""


class End:
    """One end. `send` hands a segment to the network; `forget` is called when nothing is left to be done."""

    def __init__(
        self, port: Port, send: Callable[[Segment], None], forget: Callable[[], None], reader: Reader,
        flow: tuple[int, int], *, back: bool, number: int, source: int,
    ) -> None:  # fmt: skip
        self._port, self._send, self._forget, self._reader = port, send, forget, reader
        self._flow, self._back = flow, back  # whether what is sent goes back to the opener
        self._number, self._source = number, source
        self._opening = not back
        self._unsent = bytearray()
        self._flight: deque[Segment] = deque()
        self._next = self._acked = self._expected = 0
        self._room = RECEIVE_BYTES
        self._shut = self._said_last = self._heard_last = self.gone = False
        self._early: dict[int, Segment] = {}
        self._told_room = RECEIVE_BYTES
        self._tries, self._since_ms, self._armed = 0, 0.0, False

    # ---- what the program does --------------------------------------------------------------------------------------

    def open(self) -> None:
        """Say hello: the opener asks, the acceptor answers."""
        if self._opening:
            self._put(SYN, port=self._number, source=self._source)
            self._begin_waiting()
        else:
            self._put(SYN_ACK)

    @property
    def backlog(self) -> int:
        """How many bytes the kernel has not taken yet."""
        return max(0, len(self._unsent) + self._next - self._acked - SEND_BYTES)

    def write(self, data: bytes) -> None:
        """Send after what was written before."""
        cut = self._port.cut_at(len(data))
        for part in (data,) if cut is None else (data[:cut], data[cut:]):
            self._unsent += part
            self._pump()

    def finish(self) -> None:
        """After what was written comes the end."""
        self._shut = True
        self._pump()

    def cut(self) -> None:
        """Break it off."""
        if not self.gone:
            self._put(RST)
            self._end()

    def was_read(self) -> None:
        """There is room again: tell, if the other end waits for it."""
        if self._told_room < SEGMENT_BYTES and not self.gone:
            self._put(ACK)

    # ---- what comes from the network --------------------------------------------------------------------------------

    def on_segment(self, segment: Segment) -> None:
        """Take it in, whatever else has been lost or comes twice."""
        if segment.what == RST:
            self._break(ConnectionRefusedError if self._opening else ConnectionResetError)
            return
        if segment.what == SYN:
            self._put(SYN_ACK)
            return
        if self._opening:
            self._opening = False
            self._begin_waiting()
            self._reader.opened()
        self._take_ack(segment)
        if segment.what == DATA:
            self._take_data(segment)
        elif segment.what == ASK:
            self._put(ACK)
        self._pump()
        if self._said_last and self._heard_last and not self._flight:
            self._end()

    def _take_ack(self, segment: Segment) -> None:
        self._room = segment.window
        if segment.acked <= self._acked:
            if not self._flight:
                self._begin_waiting()  # it lives, and has no room
            return
        self._acked = segment.acked
        while (
            self._flight
            and self._flight[0].at + len(self._flight[0].data) + self._flight[0].last <= self._acked
        ):
            self._flight.popleft()
        self._begin_waiting()
        self._reader.drained()

    def _take_data(self, segment: Segment) -> None:
        if self._reader.deaf and segment.data and segment.at >= self._expected:
            self.cut()
            return
        if segment.at >= self._expected:
            self._early[segment.at] = segment
        while self._expected in self._early:
            part = self._early.pop(self._expected)
            self._expected += len(part.data) + part.last
            if part.data:
                self._reader.arrived(part.data)
            if part.last:
                self._heard_last = True
                self._reader.ended()
        self._put(ACK)

    # ---- sending ----------------------------------------------------------------------------------------------------

    def _put(self, what: str, **more: Any) -> None:
        self._told_room = max(0, RECEIVE_BYTES - self._reader.unread)
        self._send(Segment(self._port.cause, self._flow, self._back, what, acked=self._expected, window=self._told_room, **more))  # fmt: skip

    def _pump(self) -> None:
        """Send what the other end has room for."""
        if self.gone or self._opening:
            return
        while self._unsent and self._next - self._acked < self._room:
            self._put_data(bytes(self._unsent[:SEGMENT_BYTES]), last=False)
            del self._unsent[:SEGMENT_BYTES]
        if self._shut and not self._unsent and not self._said_last:
            self._said_last = True
            self._put_data(b"", last=True)
        if self._flight or self._unsent:
            self._arm()

    def _put_data(self, data: bytes, *, last: bool) -> None:
        if not self._flight:
            self._begin_waiting()
        segment = Segment(self._port.cause, self._flow, self._back, DATA, at=self._next, data=data, last=last)
        self._flight.append(segment)
        self._next += len(data) + last
        self._resend(segment)

    def _resend(self, segment: Segment) -> None:
        self._told_room = max(0, RECEIVE_BYTES - self._reader.unread)
        self._send(segment._replace(acked=self._expected, window=self._told_room))

    # ---- time -------------------------------------------------------------------------------------------------------

    def _begin_waiting(self) -> None:
        self._tries, self._since_ms = 0, self._port.now_ms()
        if self._opening:
            self._arm()

    def _patience_ms(self) -> float:
        return min((OPEN_RETRY_MS if self._opening else RETRY_MS) * 2.0**self._tries, RETRY_MS_MAX)

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            self._port.after(self._since_ms + self._patience_ms() - self._port.now_ms(), self._ring)

    def _ring(self) -> None:
        """Time to send again, if nothing has come meanwhile."""
        self._armed = False
        if self.gone or not (self._opening or self._flight or self._unsent):
            return
        if self._port.now_ms() < self._since_ms + self._patience_ms() - ROUNDING_MS:
            self._arm()
            return
        self._tries += 1
        self._since_ms = self._port.now_ms()
        if self._tries > (OPEN_RETRIES_MAX if self._opening else RETRIES_MAX):
            self._break(TimeoutError)
            return
        if self._opening:
            self._put(SYN, port=self._number, source=self._source)
        for segment in self._flight:
            self._resend(segment)
        if not self._flight and not self._opening:
            self._put(ASK)
        self._arm()

    # ---- the end ----------------------------------------------------------------------------------------------------

    def _break(self, kind: type[OSError]) -> None:
        if self.gone:
            return
        code = CODES[kind]
        self._end()
        self._reader.lost(kind(code, os.strerror(code)))

    def _end(self) -> None:
        self.gone = True
        self._flight.clear()
        self._unsent.clear()
        self._early.clear()
        self._forget()
