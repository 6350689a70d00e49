"""Recorder: gives each record its index and time, and sees it safely out of this process at once.

    interpreter ─► record(op, time_ns) ─► one line ─► sink ─► write(2) ─► history.jsonl

One `write` a record, no buffer: a line that was written survives `kill -9` of the harness, and any prefix of the file
is a readable history. An invocation is written before its client is called, so that no prefix holds an effect
without its cause. A `write` of a line costs under 2 µs here, less than making the line (`benchmarks/interpreter_rate.py`);
waiting for the disk (fsync) would guard against power loss of the controlling machine, and is not done.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from checkers.jsonl import encode_op
from checkers.op import Op


class Sink(Protocol):
    """Where the lines go."""

    def write(self, line: bytes) -> None:
        """Take one whole line."""

    def close(self) -> None:
        """No more will come."""


class FileSink:
    """A new file, one `write(2)` a line."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, line: bytes) -> None:
        """Write all of it; the system may take it in pieces."""
        written = os.write(self._file, line)
        while written < len(line):
            written += os.write(self._file, line[written:])

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class MemorySink:
    """Keeps the lines: for runs that need no file."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        """Keep it."""
        self.lines.append(line)

    def close(self) -> None:
        """Nothing to do."""


class Recorder:
    """Stamps and writes. `ops` holds what was recorded, if `keep`; the sink may be None then."""

    def __init__(self, sink: Sink | None, *, keep: bool = False) -> None:
        self.ops: list[Op] = []
        self.count = 0
        self._sink = sink
        self._keep = keep

    def record(self, op: Op, time_ns: int) -> Op:
        """The op with its index and time; it is written when this returns."""
        op = Op(self.count, time_ns, op.process, op.type, op.f, op.key, op.value, op.error)
        if self._sink is not None:
            self._sink.write(encode_op(op))
        self.count += 1
        if self._keep:
            self.ops.append(op)
        return op

    def close(self) -> None:
        """Close the sink."""
        if self._sink is not None:
            self._sink.close()
