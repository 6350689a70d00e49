r"""The client protocol: RESP, as Redis speaks it (https://redis.io/docs/latest/develop/reference/protocol-spec).

    commands    *2\r\n$3\r\nGET\r\n$1\r\nk\r\n      or inline, as typed:  GET k\r\n
    values      Simple  +OK    Failure  -CODE text    int  :7    bytes  $3 abc    list  *2 …
                None    $-1  (RESP2)    _    (RESP3)
                dict    *2n  (RESP2)    %n   (RESP3)

No attributes are ever sent (`|1`): redis-py and redis-cli take them for the answer.

Any web page may have a browser post lines to a port of this machine, and a line is a command here. So what only HTTP begins a line with, ends the
stream, as in Redis: no line behind it is a command.

`as_parsed` gives the form in which a client that uses hiredis sees a value, without the bytes in between: the
simulator uses it, so that a client cannot tell the worlds apart. hiredis without an encoding gives a simple
string as bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import hiredis
import msgspec

from kvstore.events import Failure, Simple, Value

MAX_INLINE_BYTES = 64 << 10
HTTP = (b"post", b"host:")  # every request has the one or the other before what its sender may choose
_MAX_NUMBER_BYTES = 24
_ANY = 1 << 60
LARGE_BYTES = 16 << 10  # a command above it needs room
_ARRAY = re.compile(rb"\*([1-9][0-9]{0,4})\r\n")
_BULK = re.compile(rb"\$([0-9]{1,8})\r\n")


class Limits(msgspec.Struct, frozen=True):
    """What a client may send at most in one command."""

    args: int
    arg_bytes: int
    command_bytes: int


LIMITS = Limits(args=65_536, arg_bytes=16 << 20, command_bytes=32 << 20)
STRANGER = Limits(args=10, arg_bytes=16 << 10, command_bytes=64 << 10)  # before AUTH, as Redis does


class _MalformedError(Exception):
    """The stream is not RESP; the text is what Redis says in the same case."""


class CommandDecoder:
    """Cuts a client's stream into commands, however its bytes arrive."""

    def __init__(self, limits: Limits = LIMITS, room: Callable[[int], bool] = lambda size: True) -> None:
        """`room` is asked before a large command is taken, and told a negative size when it is not to come after all."""
        self.limits = limits
        self.large: dict[int, int] = {}  # of the commands given last: which are large, and the room they take
        self.error: str | None = None  # set once, for good: answer it and close the connection
        self._buffer = bytearray()
        self._args: list[bytes] = []
        self._missing = 0  # arguments of the command begun that have not been read
        self._size = 0
        self._room = room
        self._reserved = 0  # of the command begun
        self._refused = False  # there is no room for the command begun
        self._skip = 0  # bytes of its argument that are still to come, to be dropped

    def let_go(self) -> None:
        """Hold nothing any more, and take nothing."""
        self.error = self.error or "closed"
        self._room(-self._reserved)
        self._reserved = 0
        self._buffer.clear()
        self._args.clear()
        self._size = 0

    @property
    def held(self) -> int:
        """Bytes taken and not given yet."""
        return len(self._buffer) + self._size

    def feed(self, data: bytes, at_most: int = _ANY) -> list[tuple[bytes, ...]]:
        """Take bytes, give the commands they complete, `at_most` so many: the rest stays bytes until a later call,
        with no more bytes if need be, for as bytes it is smallest.

        A malformed stream gives what came before, then sets `error`. A command there is no room for is given as ().
        """
        self.large.clear()
        commands: list[tuple[bytes, ...]] = []
        if self.error is not None:
            return commands
        buffer = self._buffer
        if not self._missing:
            if buffer:
                data = bytes(buffer) + data
                buffer.clear()
            ended = self._whole(data, commands, at_most)
            if ended == len(data):
                return commands
            data = data[ended:]
        buffer += data
        position: int | None = 0
        done = 0
        try:
            while position is not None and position < len(buffer) and len(commands) < at_most:
                if self._missing:
                    position = self._argument(buffer, position)
                elif buffer[position] == 0x2A:  # '*'
                    position = self._begin(buffer, position)
                else:
                    position = self._inline(buffer, position)
                if position is not None:
                    done = position
                    if not self._missing and (self._args or self._refused):
                        self._complete(commands)
        except _MalformedError as error:
            self.error = f"Protocol error: {error}"
            buffer.clear()
        del buffer[:done]
        return commands

    def _complete(self, commands: list[tuple[bytes, ...]]) -> None:
        if self._reserved:
            self.large[len(commands)] = self._reserved
        commands.append(tuple(self._args))
        self._args.clear()
        self._size = self._reserved = 0
        self._refused = False

    def _whole(self, data: bytes, commands: list[tuple[bytes, ...]], at_most: int) -> int:
        """The quick way for whole, ordinary commands; where it ended. What is left goes the careful way."""
        limits, position = self.limits, 0
        while (
            len(commands) < at_most
            and (head := _ARRAY.match(data, position)) is not None
            and (count := int(head[1])) <= limits.args
        ):
            start, size = head.end(), 0
            args: list[bytes] = []
            while len(args) < count and (bulk := _BULK.match(data, start)) is not None:
                length, begin = int(bulk[1]), bulk.end()
                start = begin + length + 2
                size += length
                if length > limits.arg_bytes or size > LARGE_BYTES or start > len(data):
                    return position
                if data[start - 2 : start] != b"\r\n":
                    return position
                args.append(data[begin : start - 2])
            if len(args) < count:
                return position
            commands.append(tuple(args))
            position = start
        return position

    def _begin(self, buffer: bytearray, position: int) -> int | None:
        found = _number(buffer, position + 1, "invalid multibulk length")
        if found is None:
            return None
        count, after = found
        if count > self.limits.args:
            raise _MalformedError("invalid multibulk length")
        self._missing = max(0, count)
        self._size = 0
        return after

    def _argument(self, buffer: bytearray, position: int) -> int | None:
        if self._skip:
            dropped = min(self._skip, len(buffer) - position)
            self._skip -= dropped
            self._missing -= not self._skip
            return position + dropped
        if buffer[position] != 0x24:  # '$'
            raise _MalformedError(f"expected '$', got {chr(buffer[position])!r}")
        found = _number(buffer, position + 1, "invalid bulk length")
        if found is None:
            return None
        length, start = found
        if not 0 <= length <= self.limits.arg_bytes:
            raise _MalformedError("invalid bulk length")
        if self._size + length > self.limits.command_bytes:
            raise _MalformedError("too big command")
        if self._refused or not self._take(length):
            self._skip = length + 2
            return start
        end = start + length
        if len(buffer) < end + 2:
            return None
        if buffer[end] != 0x0D or buffer[end + 1] != 0x0A:
            raise _MalformedError("a bulk string does not end where it says")
        self._args.append(bytes(buffer[start:end]))
        self._size += length
        self._missing -= 1
        return end + 2

    def _take(self, length: int) -> bool:
        """Ask for room, once the command is large with this argument."""
        wanted = self._size + length - self._reserved
        if wanted <= LARGE_BYTES:
            return True
        if self._room(wanted):
            self._reserved += wanted
            return True
        self._room(-self._reserved)
        self._args.clear()
        self._reserved = self._size = 0
        self._refused = True
        return False

    def _inline(self, buffer: bytearray, position: int) -> int | None:
        end = buffer.find(b"\n", position)
        limit = min(MAX_INLINE_BYTES, self.limits.command_bytes)
        if (end if end >= 0 else len(buffer)) - position > limit:
            raise _MalformedError("too big inline request")
        if end < 0:
            return None
        words = split_inline(bytes(buffer[position:end]), self.limits.args)
        if words and words[0].lower() in HTTP:
            raise _MalformedError(
                "this is HTTP, and the port is not for browsers; see `http` in the configuration"
            )
        self._args.extend(words)
        return end + 1


def _number(buffer: bytearray, position: int, complaint: str) -> tuple[int, int] | None:
    """The number from `position` to the end of its line, and where the next line begins;

    None when it is not all here.
    """
    end = buffer.find(b"\r\n", position, position + _MAX_NUMBER_BYTES)
    if end < 0:
        if len(buffer) - position >= _MAX_NUMBER_BYTES:
            raise _MalformedError(complaint)
        return None
    digits = buffer[position:end]
    if not digits.isdigit() and not (digits[:1] == b"-" and digits[1:].isdigit()):
        raise _MalformedError(complaint)
    return int(digits), end + 2


_WORD = re.compile(
    rb"""\s*(?:"((?:[^"\\]|\\.)*)"(?=\s|$)|'((?:[^'\\]|\\.)*)'(?=\s|$)|([^\s"']+)(?=\s|$))\s*""", re.S
)
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.S)
_CONTROL = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}


def split_inline(line: bytes, at_most: int = LIMITS.args) -> list[bytes]:
    """The words of a typed line: separated by spaces, in double quotes with escapes, or in single quotes."""
    words: list[bytes] = []
    position = 0
    line = line.strip()
    while position < len(line):
        match = _WORD.match(line, position)
        if match is None:
            raise _MalformedError("unbalanced quotes in request")
        if len(words) == at_most:
            raise _MalformedError("too many words in an inline request")
        double, single, bare = match.groups()
        if double is not None:
            words.append(_ESCAPE.sub(_unescape, double))
        elif single is not None:
            words.append(single.replace(b"\\'", b"'"))
        else:
            words.append(bare)
        position = match.end()
    return words


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match.group(1)
    if len(code) == 3:
        return bytes([int(code[1:], 16)])
    return _CONTROL.get(code, code)


def encode(value: Value, version: int) -> bytes:
    """A value as RESP 2 or 3."""
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    if isinstance(value, Simple):
        return b"+%b\r\n" % _line(value.text)
    if value is None:
        return b"_\r\n" if version == 3 else b"$-1\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, Failure):
        return b"-%b\r\n" % _line(error_text(value))
    if isinstance(value, list):
        return b"*%d\r\n%b" % (len(value), b"".join([encode(each, version) for each in value]))
    head = b"%%%d\r\n" % len(value) if version == 3 else b"*%d\r\n" % (2 * len(value))
    pairs = [encode(name.encode(), version) + encode(each, version) for name, each in value.items()]
    return head + b"".join(pairs)


def as_parsed(value: Value, version: int = 2) -> Any:
    """The same as hiredis makes of `encode(value, version)`:

    bytes, int, None, list, dict, or a hiredis.ReplyError.
    """
    if value is None or type(value) is bytes or type(value) is int:
        return value
    if isinstance(value, Simple):
        return _line(value.text)
    if isinstance(value, Failure):
        return hiredis.ReplyError(_line(error_text(value)).decode())
    if isinstance(value, list):
        return [as_parsed(each, version) for each in value]
    if isinstance(value, dict):
        pairs = [(name.encode(), as_parsed(each, version)) for name, each in value.items()]
        return dict(pairs) if version == 3 else [each for pair in pairs for each in pair]
    return value


def error_text(failure: Failure) -> str:
    """An error as it goes over the wire, without the leading minus: its code, then its text."""
    return f"{failure.code} {failure.text}"


def _line(text: str) -> bytes:
    """Text that must not end its line early."""
    return text.replace("\r", " ").replace("\n", " ").encode()
