"""Makes wild bytes of tame ones, the same for the same seed: what a fuzzer without coverage does.

Structure-aware fuzzers keep most of an input valid, so that it gets past the first check (Manès et al., "The Art,
Science, and Engineering of Fuzzing", 2019): most mutations here are small, and numbers are replaced by numbers.
"""

from __future__ import annotations

import random
import re
import zlib

from kvstore import wire

_NUMBER = re.compile(rb"-?\d+")
NUMBERS = [
    b"0",
    b"-1",
    b"1",
    b"2",
    b"9",
    b"16385",
    b"65536",
    b"65537",
    b"99999999",
    b"4294967296",
    b"9" * 25,
    b"-0",
    b"+1",
]
PIECES = [
    b"\r\n",
    b"\n",
    b"\r",
    b"*",
    b"$",
    b"\0",
    b" ",
    b'"',
    b"'",
    b"\\x",
    b"\xff",
    b"*1\r\n",
    b"$0\r\n\r\n",
]


def mutated(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """The bytes after a few mutations."""
    changed = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 8))):
        _mutate(changed, rng, others)
    return bytes(changed)


def _mutate(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    end = min(len(data), at + rng.choice((1, 1, 2, 4, 16, 256)))
    match rng.randrange(8):
        case 0 if at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        case 1 if at < len(data):
            data[at] = rng.randrange(256)
        case 2:
            del data[at:end]
        case 3:
            data[at:at] = data[at:end] * rng.choice((1, 2, 9))
        case 4:
            data[at:at] = rng.choice(PIECES)
        case 5:
            other = rng.choice(others)
            data[at:] = other[rng.randrange(len(other) + 1) :]
        case 6:
            del data[at:]
        case _:
            numbers = list(_NUMBER.finditer(bytes(data)))
            if numbers:
                found = rng.choice(numbers)
                data[found.start() : found.end()] = rng.choice(NUMBERS)


def pieces(data: bytes, rng: random.Random) -> list[bytes]:
    """The bytes cut somewhere, or everywhere."""
    size = rng.choice((1, 3, 17, 1000, 1 << 20, 1 << 20))
    if len(data) > 2000 * size:
        size = 1000
    return [data[start : start + size] for start in range(0, len(data), size)]


def sealed(frame: wire.Frame, body: bytes) -> bytes:
    """A frame of that kind with this body, and the right checksum: only its content is wild."""
    raw = wire.encode(frame)[:6]
    head = len(body).to_bytes(4, "big") + raw[4:6]
    return head + zlib.crc32(body, zlib.crc32(head)).to_bytes(4, "big") + body
