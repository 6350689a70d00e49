"""Frames between nodes: bytes of a stream in, messages out.

    ┌──────────────┬────────────┬─────────┬──────────┬───────────────┬───────────────────┐
    │ u32 length   │ u8 version │ u8 kind │ u32 crc  │ u32 crc, head │ body: msgpack     │   big-endian; `length` counts the body,
    └──────────────┴────────────┴─────────┴──────────┴───────────────┴───────────────────┘   `crc` covers it and what is left of `crc`

    The head has a checksum of its own: who believes a damaged length waits for megabytes that nobody sends, and hears nothing meanwhile.

    connection:  acceptor ── Challenge ──────────►  initiator
                 acceptor ◄── Hello ──────────────  initiator      `kvstore.handshake`
                 acceptor ── Welcome | Refusal ──►  initiator
                 acceptor ◄══ Batch, Batch, … ════  initiator      one way; answers use a connection back

All messages that a node emits to a peer in one turn of its loop travel in one Batch: one header, one checksum
and one call of the codec for many. A stream that breaks any rule below is cut; TCP cannot be resynchronised.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from kvstore.messages import Message

VERSION = 4  # a head has a checksum of its own
MAX_BODY_BYTES = 16 << 20
MAX_HANDSHAKE_BYTES = 1024  # what a stranger may send before it has been welcomed
_HEAD = struct.Struct(">IBBII")
_SEALED = struct.Struct(">IBBI")  # the part of the head that its own checksum covers
_COVERED = struct.Struct(">IBB")  # the part of the head that the checksum covers


class FrameError(Exception):
    """The peer's stream breaks the rules; the connection must be closed."""


class FrameTooLargeError(FrameError):
    """A frame is, or would be, over the limit."""


class VersionError(FrameError):
    """The peer speaks another version of this protocol."""


class ChecksumError(FrameError):
    """Bytes were changed on the way."""


class BodyError(FrameError):
    """The body is not what its kind says."""


class Challenge(msgspec.Struct, frozen=True, array_like=True):
    """The acceptor's first word: a number used once."""

    nonce: bytes


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """The initiator: which cluster, who I am, whom I mean to reach."""

    cluster: str
    node: str
    to: str
    nonce: bytes
    proof: bytes


class Welcome(msgspec.Struct, frozen=True, array_like=True):
    """The acceptor will take messages, and is who the initiator meant."""

    node: str
    proof: bytes


class Refusal(msgspec.Struct, frozen=True, array_like=True):
    """The acceptor will not, and says why."""

    reason: str


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Messages, in the order they were sent."""

    messages: list[Message]


Frame = Challenge | Hello | Welcome | Refusal | Batch
_KINDS: dict[int, type[Frame]] = {1: Challenge, 2: Hello, 3: Welcome, 4: Refusal, 5: Batch}
_KIND_OF = {cls: kind for kind, cls in _KINDS.items()}
_ENCODER = msgspec.msgpack.Encoder()
_DECODERS: dict[int, msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(cls) for kind, cls in _KINDS.items()
}


def encode(frame: Frame) -> bytes:
    """A frame as bytes. Raises FrameTooLargeError."""
    body = _ENCODER.encode(frame)
    if len(body) > MAX_BODY_BYTES:
        raise FrameTooLargeError(f"A frame of {len(body)} bytes is over the limit of {MAX_BODY_BYTES}.")
    covered = _COVERED.pack(len(body), VERSION, _KIND_OF[type(frame)])
    sealed = covered + zlib.crc32(body, zlib.crc32(covered)).to_bytes(4, "big")
    return b"%b%b%b" % (sealed, zlib.crc32(sealed).to_bytes(4, "big"), body)


def encode_batch(messages: Sequence[Message]) -> tuple[bytes, int]:
    """Messages as one frame, or as several when they do not fit in one;

    and the count of those too large to send.
    """
    try:
        return encode(Batch(list(messages))), 0
    except FrameTooLargeError:
        if len(messages) == 1:
            return b"", 1
    middle = len(messages) // 2
    left, lost_left = encode_batch(messages[:middle])
    right, lost_right = encode_batch(messages[middle:])
    return left + right, lost_left + lost_right


class Decoder:
    """Cuts a stream into frames, however its bytes arrive."""

    def __init__(self, max_body_bytes: int = MAX_HANDSHAKE_BYTES) -> None:
        """Begin with the small limit of a handshake; raise `max_body_bytes` once the peer is known."""
        self.max_body_bytes = max_body_bytes
        self._buffer = bytearray()

    @property
    def held(self) -> int:
        """Bytes taken that are no whole frame yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes, give the frames they complete.

        Raises FrameError; the decoder is then of no more use.
        """
        buffer = self._buffer
        if self.max_body_bytes == MAX_HANDSHAKE_BYTES and len(buffer) + len(data) > MAX_HANDSHAKE_BYTES:
            buffer.clear()
            raise FrameTooLargeError("More was sent than a handshake has.")
        buffer += data
        frames: list[Frame] = []
        start, end = 0, len(buffer)
        while end - start >= _HEAD.size:
            length, version, kind, crc, crc_of_head = _HEAD.unpack_from(buffer, start)
            self._check_head(length, version, kind)
            if zlib.crc32(buffer[start : start + _SEALED.size]) != crc_of_head:
                raise ChecksumError("The head of a frame does not match its checksum.")
            after = start + _HEAD.size + length
            if after > end:
                break
            body = bytes(buffer[start + _HEAD.size : after])
            if zlib.crc32(body, zlib.crc32(buffer[start : start + _COVERED.size])) != crc:
                raise ChecksumError("A frame does not match its checksum.")
            frames.append(_body(kind, body))
            start = after
        del buffer[:start]
        return frames

    def _check_head(self, length: int, version: int, kind: int) -> None:
        if version != VERSION:
            raise VersionError(f"The peer speaks version {version} of this protocol, this node {VERSION}.")
        if kind not in _KINDS:
            raise BodyError(f"A frame has the unknown kind {kind}.")
        if length > self.max_body_bytes:
            raise FrameTooLargeError(f"A frame of {length} bytes is over the limit of {self.max_body_bytes}.")


def _body(kind: int, body: bytes) -> Frame:
    try:
        frame: Frame = _DECODERS[kind].decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BodyError(f"A frame of kind {kind} cannot be read: {error}.") from None
    return frame


def cluster_id(members: Sequence[str], name: str = "quorate") -> str:
    """What tells clusters apart: the name, and a digest of the first members' names. Whoever is to join knows the name only."""
    digest = (
        hashlib.blake2b("\0".join(sorted(members)).encode(), digest_size=8).hexdigest() if members else ""
    )
    return f"{name}/{digest}"


def same_cluster(one: str, other: str) -> bool:
    """Whether two nodes are of one cluster, as far as the one that is yet to join can tell."""
    return one == other or any(a.endswith("/") and b.startswith(a) for a, b in ((one, other), (other, one)))
