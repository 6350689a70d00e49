"""Jepsen's text log, as in the etcd histories that Porcupine is tested with: one operation a line, in columns.

    INFO  jepsen.util - 3     :invoke  :cas  [1 2]
    INFO  jepsen.util - 3     :info    :cas  :timed-out          the word is the error; nobody knows

Newer logs have the time and the thread before `jepsen.util`, and the error after the value. Lines of other loggers are no operations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from checkers.formats.edn import Keyword, parse
from checkers.jsonl import HistoryError

LINE_MAX: Final = 1 << 24
_OPERATION: Final = re.compile(
    r"[A-Z]+\s.*?jepsen\.util(?: -)?\s+(?P<process>:?[\w.-]+)\s+:(?P<type>\w+)\s+:(?P<f>\S+)(?:[\t ](?P<rest>.*))?"
)
_values: Final = lru_cache(maxsize=4096)(parse)  # a log repeats itself; nobody changes what comes out
_OTHER: Final = re.compile(r"(?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\s(?!.*jepsen\.util).*")


class Lines:
    """The records of a log that comes in pieces, one at a time."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self._pieces = iter(pieces)
        self._line = 0

    def where(self) -> str:
        """The place of the record that came last."""
        return f"line {self._line}"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for line in self._lines():
            self._line += 1
            if not line.strip() or _OTHER.fullmatch(line.rstrip()):
                continue
            found = _OPERATION.fullmatch(line.rstrip("\r"))
            if found is None:
                raise HistoryError(
                    f"{self.where()}: `INFO  jepsen.util - 0  :invoke  :read  nil` expected, not {line[:60]!r}"
                )
            yield self._record(found)

    def _lines(self) -> Iterator[str]:
        rest = ""
        for piece in self._pieces:
            if len(rest) > LINE_MAX:
                raise HistoryError(f"line {self._line + 1}: is longer than {LINE_MAX:,} characters")
            *lines, rest = (rest + piece).split("\n")
            yield from lines
        yield rest

    def _record(self, found: re.Match[str]) -> dict[str, Any]:
        try:
            [process] = _values(found["process"])
            values = _values(found["rest"] or "")
        except HistoryError as error:
            raise HistoryError(f"{self.where()}: {str(error).partition(': ')[2]}") from None
        record = {"process": process, "type": found["type"], "f": found["f"]}
        if len(values) > 2:
            raise HistoryError(
                f"{self.where()}: a value and perhaps an error expected, not {found['rest'][:60]!r}"
            )
        if found["type"] in ("fail", "info") and len(values) == 1 and type(values[0]) is Keyword:
            record["error"] = values[0]
        elif values:
            record["value"] = values[0]
            record["error"] = values[1] if len(values) == 2 else None
        return record
