"""A history that is compressed, read as if it were not: piece by piece, so that it may be larger than the memory.

    history.jsonl.gz ──1f 8b──► gzip ──pieces──► the reader of its format          the first bytes decide, not the name

gzip (RFC 1952, also several members one after the other), bzip2 and xz are in the standard library. zstd is not, in the Python that this runs on:
it is named, with the command that unpacks it. A file that ends early or is damaged is refused: what was read until then is no whole history.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

from checkers.jsonl import HistoryError

PACKED: Final[tuple[tuple[bytes, str, Callable[[Any], Any]], ...]] = (
    (b"\x1f\x8b", "gzip", gzip.open),
    (b"BZh", "bzip2", bz2.open),
    (b"\xfd7zXZ\x00", "xz", lzma.open),
)
ZSTD: Final = b"\x28\xb5\x2f\xfd"
LONGEST: Final = 6


@contextmanager
def unpacked(file: BinaryIO, head: bytes) -> Iterator[tuple[BinaryIO, bool]]:
    """The file that begins with `head`, not compressed any more, and whether it was. HistoryError if it is damaged."""
    if head.startswith(ZSTD):
        raise HistoryError("is compressed by zstd, which is not read here; unpack it first: `zstd -d FILE`")
    found = next(((name, reader) for magic, name, reader in PACKED if head.startswith(magic)), None)
    if found is None:
        yield file, False
        return
    name, reader = found
    try:
        with reader(file) as plain:
            yield plain, True
    except EOFError:
        raise HistoryError(f"is compressed by {name} and ends early; copy it again, whole") from None
    except (zlib.error, lzma.LZMAError, gzip.BadGzipFile):
        raise HistoryError(
            f"is compressed by {name} and damaged, or has more after its end; copy it again"
        ) from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise HistoryError(
            f"is compressed by {name} and damaged, or has more after its end; copy it again"
        ) from None
