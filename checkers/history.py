"""History: the recorded operations of a run, in order, as columns.

    index     0        1        2        3
    time_ns   100      120      130      155         one array per field
    type      invoke   invoke   ok       info
    process   0        1        0        1
    f, key, value, error            numbers of interned texts; a value is decoded when somebody looks at it
    pair      2        3        0        1           the call's completion, the completion's call

The columns live in the Rust core, which also reads the file; a million operations take about 100 MB and a second. An `Op` is made only when one
is asked for. What no recorder could have written is a HistoryError: a completion without its call, a process that goes on after
`info`, time that runs backwards. A call without a completion counts as `info`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from checkers._core import Columns
from checkers.jsonl import HistoryError, decode_value, encode_op
from checkers.op import MISSING, Op, Type

NEVER_NS: Final = 2**63 - 1
_TYPES = tuple(Type)


class History:
    """A read-only sequence of Op. Make one with `load`, `parse` or `from_ops`.

    `warnings` says what was dropped on reading. Two values are the same to a checker exactly if they are equal and of one type: `0`, `0.0`,
    `-0.0`, `False` and `"0"` are five values.
    """

    __slots__ = ("_texts", "columns", "warnings")

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.warnings: tuple[str, ...] = tuple(columns.warnings)
        self._texts: dict[tuple[str, int], Any] = {}
        if len(columns) and columns.record(len(columns) - 1)[0] >= NEVER_NS:
            raise HistoryError(
                f"history: the time {NEVER_NS} stands for never; count nanoseconds from the first record on"
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> History:
        """Read a JSONL file. HistoryError names the file, the line and what to do; a cut last line is only a warning."""
        name = os.fspath(path)
        try:
            return cls(Columns.load(name))
        except ValueError as error:
            raise HistoryError(f"{name}: {error}") from None
        except OSError as error:
            raise HistoryError(
                f"{name}: cannot be read ({error.strerror or error}); give the path of a history.jsonl"
            ) from None

    @classmethod
    def parse(cls, text: bytes) -> History:
        """Read JSON lines from bytes."""
        try:
            return cls(Columns.parse(text))
        except ValueError as error:
            raise HistoryError(f"history: {error}") from None

    @classmethod
    def from_ops(cls, ops: Iterable[Op]) -> History:
        """The history of these records, in this order. An index of -1 means: the place in the order."""
        return cls.stream(map(encode_op, ops))

    @classmethod
    def stream(cls, chunks: Iterable[bytes]) -> History:
        """Read JSON lines from pieces of any size, without ever holding the whole text."""
        try:
            return cls(Columns.stream(iter(chunks)))
        except HistoryError:
            raise
        except ValueError as error:
            raise HistoryError(f"history: {error}") from None

    def dump(self, path: str | os.PathLike[str]) -> None:
        """Write the history as JSON lines."""
        with Path(path).open("wb") as file:
            file.writelines(map(encode_op, self))

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[Op]:
        return map(self.op, range(len(self.columns)))

    def op(self, index: int) -> Op:
        """The record at `index`. IndexError if there is none."""
        if not 0 <= index < len(self.columns):
            raise IndexError(f"the history has {len(self.columns)} records, there is no #{index}")
        time, kind, process, f, key, value, error = self.columns.record(index)
        return Op(
            index,
            time,
            self._text("process", process),
            _TYPES[kind],
            self._text("f", f),
            self._text("key", key),
            MISSING if value is None else decode_value(self.columns.text("value", value)),
            None if error is None else self._text("error", error),
        )

    def completion(self, index: int) -> Op | None:
        """The completion of the call at `index`; None if it never came."""
        other = self.columns.pair(index)
        return None if other is None or self.columns.record(index)[1] != Type.INVOKE else self.op(other)

    def invocation(self, index: int) -> Op | None:
        """The call that the completion at `index` belongs to; None for a note without a call."""
        other = self.columns.pair(index)
        return None if other is None or self.columns.record(index)[1] == Type.INVOKE else self.op(other)

    def key(self, key_id: int) -> Any:
        """The key with this number in the columns."""
        return self._text("key", key_id)

    def function(self, f_id: int) -> str:
        """The function with this number in the columns."""
        return str(self._text("f", f_id))

    def value(self, value_id: int) -> Any:
        """The value with this number in the columns."""
        return self._text("value", value_id)

    def _text(self, of: str, id_: int) -> Any:
        """An interned text decoded, remembered: there are few of them."""
        try:
            return self._texts[of, id_]
        except KeyError:
            value = self._texts[of, id_] = decode_value(self.columns.text(of, id_))
            return value
