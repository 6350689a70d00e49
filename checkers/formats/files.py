"""From a file to a History, whatever it is written in, and back. The only file of `formats` that touches files.

    file ──pieces──► values ──► records ──► Op ──lines──► columns          no stage holds more than a piece

EDN in its common shape goes straight into columns (`core/src/edn.rs`); the way above is for whatever else there is in EDN, and tells what is wrong.

A compressed file is unpacked on the way (`packed`). `auto` looks at the first characters: `{"` JSONL · `[{"` JSON · `{:` `[` `(` `#` `;` EDN · `INFO … jepsen.util` log.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from checkers._core import Columns
from checkers.formats.edn import Reader
from checkers.formats.edn_text import write_op
from checkers.formats.json_maps import Objects
from checkers.formats.logs import Lines
from checkers.formats.packed import LONGEST, unpacked
from checkers.formats.records import to_lines
from checkers.history import History
from checkers.jsonl import HistoryError, encode_op

AUTO: Final = "auto"
FORMATS: Final = ("jsonl", "edn", "json", "log")
_PIECE: Final = 1 << 18
_BATCH: Final = 512
LINE_MAX: Final = 1 << 26
_BLANK: Final = re.compile(rb"(?:\xef\xbb\xbf)?[\s,]*")
_JSON_ARRAY: Final = re.compile(rb'\[\s*\{\s*"')
_LOG: Final = re.compile(rb"(?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\s")


class Source(Protocol):
    """Records one at a time, and the place of the last."""

    def __iter__(self) -> Iterator[Any]: ...

    def where(self) -> str:
        """The place of the record that came last."""


def load(path: str | os.PathLike[str], form: str = AUTO) -> History:
    """Read a history. HistoryError names the file, the line and what was expected."""
    name = os.fspath(path)
    if form not in (AUTO, *FORMATS):
        raise HistoryError(f"there is no format {form!r}; use one of: {', '.join((AUTO, *FORMATS))}")
    try:
        with Path(path).open("rb") as raw, unpacked(raw, raw.peek(LONGEST)) as (file, packed):
            head = file.read(_PIECE)
            form = sniff(head) if form == AUTO else form
            for_the_core = not packed and _for_the_core(path)
            if form == "edn" and for_the_core and (columns := Columns.load_edn(name)) is not None:
                return History(columns)
            if form != "jsonl":
                return History.stream(_lines(_source(form, _texts(file, head))))
            if not for_the_core:
                return History.stream(_short(chain([head], iter(lambda: file.read(_PIECE), b""))))
    except OSError as error:
        raise HistoryError(
            f"{name}: cannot be read ({error.strerror or error}); give the path of a history"
        ) from None
    except HistoryError as error:
        raise HistoryError(f"{name}: {error}") from None
    return History.load(path)


def _for_the_core(path: str | os.PathLike[str]) -> bool:
    """Can the core open it? It takes files, no pipes, whose names are text."""
    return Path(path).is_file() and os.fspath(path).isprintable()


def dump(history: History, path: str | os.PathLike[str], form: str = "jsonl") -> None:
    """Write a history as `jsonl` or `edn`."""
    writers = {"jsonl": encode_op, "edn": write_op}
    if form not in writers:
        raise HistoryError(f"the format {form!r} cannot be written; use one of: {', '.join(writers)}")
    with Path(path).open("wb") as file:
        file.writelines(map(writers[form], history))


def sniff(head: bytes) -> str:
    """The format of a file that begins so. HistoryError if it is none of them."""
    blank = _BLANK.match(head)
    begin = head[blank.end() if blank else 0 :]
    first = begin[:1]
    if not first:
        return "jsonl"
    if first == b"{":
        return "jsonl" if begin[1:].lstrip()[:1] in (b'"', b"}", b"") else "edn"
    if first == b"[":
        return "json" if _JSON_ARRAY.match(begin) else "edn"
    if first in (b"(", b"#", b";"):
        return "edn"
    if _LOG.match(begin):
        return "log"
    raise HistoryError(
        f"line 1: begins like no history; name its format with --format ({', '.join(FORMATS)}), or see docs/formats.md"
    )


def _source(form: str, texts: Iterable[str]) -> Source:
    if form == "edn":
        return Reader(texts, spread=True)
    return Objects(texts) if form == "json" else Lines(texts)


def _short(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces, unless a line of them has no end: a small compressed file may be of any length."""
    held, lines = 0, 1
    for piece in pieces:
        end = piece.rfind(b"\n")
        held = held + len(piece) if end < 0 else len(piece) - end - 1
        lines += piece.count(b"\n")
        if held > LINE_MAX:
            raise HistoryError(
                f"line {lines}: is longer than {LINE_MAX >> 20} MiB; write one operation a line"
            )
        yield piece


def _texts(file: BinaryIO, head: bytes) -> Iterator[str]:
    """The file as text, piece by piece."""
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    lines = 1
    for piece in chain([head], iter(lambda: file.read(_PIECE), b""), [b""]):
        try:
            text = decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            line = lines + error.object[: error.start].count(b"\n")
            raise HistoryError(f"line {line}: is not UTF-8; write histories as UTF-8") from None
        lines += text.count("\n")
        yield text


def _lines(source: Source) -> Iterator[bytes]:
    """The operations as JSON lines, in pieces."""
    lines = to_lines(source, source.where)
    while piece := b"".join(islice(lines, _BATCH)):
        yield piece
