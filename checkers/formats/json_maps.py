"""The JSON that elle-cli reads: one array of objects, or objects one after another. Field for field as in Jepsen's EDN.

    [{"type": "invoke", "f": "read", "value": null, "process": 0, "time": 11, "index": 0}, …]

An object is decoded as soon as it is whole, so the array is never held.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from checkers.jsonl import HistoryError, once

OBJECT_MAX: Final = 1 << 24
SHOWN: Final = 20  # characters of what is no JSON
_SPACE: Final = re.compile(r"[ \t\r\n]*+")
_decode: Final = json.JSONDecoder(object_pairs_hook=once).raw_decode


class Objects:
    """The objects of a text that comes in pieces, one at a time."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self._pieces = iter(pieces)
        self._buffer = ""
        self._at = 0
        self._line = 1  # of the buffer's first character
        self._begun = 0  # where in the buffer the object that came last begins
        self._more = True

    def where(self) -> str:
        """The place of the object that came last."""
        return self._place(self._begun)

    def __iter__(self) -> Iterator[Any]:
        array = self._next() == "["
        self._at += array
        first = True
        while (found := self._next()) and not (array and found == "]"):
            if array and not first:
                self._expect(found, ",")
                found = self._next()
            self._expect(found, "{")
            yield self._object()
            first = False
        if array:
            self._expect(found, "]")
            if rest := self._next():
                raise HistoryError(f"{self._place(self._at)}: nothing expected after the array, not {rest!r}")

    def _expect(self, found: str, wanted: str) -> None:
        if found != wanted:
            shown = repr(found) if found else "the end of the text"
            raise HistoryError(f"{self._place(self._at)}: {wanted!r} expected, not {shown}")
        self._at += wanted != "{"

    def _next(self) -> str:
        """The next character that is no space, not consumed; nothing at the end."""
        while True:
            space = _SPACE.match(self._buffer, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._grow():
                return ""

    def _object(self) -> Any:
        """The object that begins here. What cannot be decoded may be cut off: then with more of the text."""
        while True:
            self._begun = self._at
            try:
                value, self._at = _decode(self._buffer, self._at)
                return value
            except HistoryError as error:
                raise HistoryError(f"{self.where()}: {error}") from None
            except RecursionError:
                raise HistoryError(
                    f"{self.where()}: values are nested too deep; record something flatter"
                ) from None
            except ValueError as error:
                into = error.pos - self._begun if isinstance(error, json.JSONDecodeError) else 0
                if len(self._buffer) - self._at > OBJECT_MAX or not self._grow():
                    raise self._wrong(error, into) from None

    def _grow(self) -> bool:
        """Take at least as much again, so that a long object is not decoded many times. False at the end."""
        rest = self._buffer[self._at :]
        self._line += self._buffer.count("\n", 0, self._at)
        pieces, size = [rest], 0
        for piece in self._pieces:
            pieces.append(piece)
            size += len(piece)
            if size >= max(len(rest), 1):
                break
        self._buffer, self._at, self._begun = "".join(pieces), 0, 0
        return size > 0

    def _place(self, at: int) -> str:
        return f"line {self._line + self._buffer.count(chr(10), 0, at)}"

    def _wrong(self, error: ValueError, into: int) -> HistoryError:
        """An object that is no JSON, and the fault so many characters into it."""
        if not isinstance(error, json.JSONDecodeError):
            return HistoryError(
                f"{self.where()}: a JSON object expected, with no number of thousands of digits"
            )
        at = self._begun + into
        rest = self._buffer[at:].strip()
        if len(self._buffer) - self._begun > OBJECT_MAX:
            what = f" of {OBJECT_MAX >> 20} MiB at most"
        elif not rest or error.msg.startswith("Unterminated"):
            what = "; the text ends inside it, so it was cut off"
        else:
            what = f", not {rest[:SHOWN]!r}"
        return HistoryError(f"{self._place(at)}: a JSON object expected{what}")
