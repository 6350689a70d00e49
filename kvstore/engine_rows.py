"""Records, erasures and facts as rows of SQLite's tables, and back. Every row has a checksum of all it holds.

Record ── bound ──► bucket, partition, key, tag, value, checksum ── unbound ──► Record, or CorruptRecord
Erase ─── place ──► bucket, partition, key, tag
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from kvstore.events import CorruptRecord, Erase, Meta, Record, Tag
from kvstore.memtable import Bound
from kvstore.ring import partition_of

_NO_VALUE: Final = 0xFFFF_FFFF  # the length that says "tombstone"
_U64 = struct.Struct(">Q").pack
_SIZES = struct.Struct("<IIII").pack


def pack_tag(tag: Tag) -> bytes:
    """A tag as bytes that compare as the tags do:

    hlc, then node (its name holds no NUL), then incarnation, then, if there is a deadline or was one, touched and expires_ms.
    """
    hlc, node, incarnation, touched, expires_ms = tag
    head = b"%b%b\0%b" % (_U64(hlc), node.encode(), _U64(incarnation))
    return head + _U64(touched) + _U64(expires_ms) if touched or expires_ms else head


def unpack_tag(packed: bytes) -> Tag:
    """The inverse of `pack_tag`."""
    hlc, nul = int.from_bytes(packed[:8], "big"), packed.index(b"\0", 8)
    numbers = (int.from_bytes(packed[at : at + 8], "big") for at in range(nul + 1, len(packed), 8))
    return Tag(hlc, packed[8:nul].decode(), *numbers)


def checksum(bucket: str, key: bytes, tag: bytes, value: bytes | None) -> int:
    """CRC-32 of a whole record, the lengths included, so that no byte can move from one field to the next."""
    name = bucket.encode()
    size = _NO_VALUE if value is None else len(value)
    return zlib.crc32(b"".join((_SIZES(len(name), len(key), len(tag), size), name, key, tag, value or b"")))


def bound(row: Record) -> Bound:
    """A row of the table `records`."""
    tag = pack_tag(row.tag)
    crc = checksum(row.bucket, row.key, tag, row.value)
    return row.bucket, partition_of(row.key), row.key, tag, row.value, crc


def place(row: Erase) -> tuple[str, int, bytes, bytes]:
    """Where, and up to which version."""
    return row.bucket, partition_of(row.key), row.key, pack_tag(row.tag)


def fact_row(row: Meta) -> tuple[object, ...]:
    """A row of the table `meta`."""
    return row.name, row.value, checksum("", row.name.encode(), b"", row.value)


def unbound(bucket: str, key: bytes, tag: bytes, value: bytes | None, found: int) -> Record:
    """The record of a row. Raises CorruptRecord."""
    if checksum(bucket, key, tag, value) != found:
        raise CorruptRecord(f"The record of key {key!r} in bucket {bucket} does not match its checksum.")
    return Record(bucket, key, unpack_tag(tag), value)
