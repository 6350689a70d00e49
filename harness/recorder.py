"""Recorder: gives each record its index and time, and sees it safely out of this process at once.

    interpreter ─► record(op, time_ns) ─► one line ─► flush ─► sink ─► write(2) ─► history.jsonl

The interpreter flushes at the end of each of its steps, before any client runs: one write for a completion and the
invocations it made room for. What was written survives `kill -9` of the harness; any prefix of the file is a
readable history, and none holds an effect without its cause. A write costs about 2 µs, less than making the line
(`benchmarks/interpreter_rate.py`). No two records have the same time: in the simulator much happens at one instant, and what a checker takes for
concurrent because its times are equal (a process' last end and next call!) was not. A record is made before its request leaves and after its
answer came, so the order of the records is one of real time; a time moves by nanoseconds at most. Waiting for the disk (fsync) would guard against power loss of the controlling
machine, and is not done.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from checkers.jsonl import encode_op
from checkers.op import Op

TICK_S: Final = 0.1  # of real time, between two calls of `tell`


class Sink(Protocol):
    """Where the lines go."""

    def write(self, lines: bytes) -> None:
        """Take one or more whole lines."""

    def close(self) -> None:
        """No more will come."""


class FileSink:
    """A new file; each `write` goes straight to the system."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, lines: bytes) -> None:
        """Write all of it; the system may take it in pieces."""
        written = os.write(self._file, lines)
        while written < len(lines):
            written += os.write(self._file, lines[written:])

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class MemorySink:
    """Keeps the lines: for runs that need no file."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, lines: bytes) -> None:
        """Keep them."""
        self.data += lines

    def close(self) -> None:
        """Nothing to do."""


class WatchedSink:
    """A sink that tells somebody how far the run is, now and then."""

    def __init__(self, sink: Sink, tell: Callable[[int], None]) -> None:
        self._sink, self._tell = sink, tell
        self._lines = 0
        self._last = 0.0

    def write(self, lines: bytes) -> None:
        """Pass on."""
        self._sink.write(lines)
        self._lines += lines.count(b"\n")
        now = time.monotonic()
        if now - self._last >= TICK_S:
            self._last = now
            self._tell(self._lines)

    def close(self) -> None:
        """Pass on."""
        self._sink.close()


class Recorder:
    """Stamps and writes. `ops` holds what was recorded, if `keep`; the sink may be None then."""

    def __init__(
        self, sink: Sink | None, *, keep: bool = False, watch: Callable[[Op], object] | None = None
    ) -> None:
        """`watch` sees every record."""
        self._watch = watch
        self.ops: list[Op] = []
        self.count = 0
        self._last_ns = -1
        self._sink = sink
        self._keep = keep
        self._waiting: list[bytes] = []

    def record(self, op: Op, time_ns: int) -> Op:
        """The op with its index and time, or the first nanosecond after the last record's; its line is written by the next `flush`."""
        self._last_ns = time_ns = max(time_ns, self._last_ns + 1)
        op = Op(self.count, time_ns, op.process, op.type, op.f, op.key, op.value, op.error)
        if self._sink is not None:
            self._waiting.append(encode_op(op))
        self.count += 1
        if self._watch is not None:
            self._watch(op)
        if self._keep:
            self.ops.append(op)
        return op

    def flush(self) -> None:
        """Write what has been recorded."""
        if self._waiting and self._sink is not None:
            lines, self._waiting = b"".join(self._waiting), []
            self._sink.write(lines)

    def close(self) -> None:
        """Flush, and close the sink."""
        self.flush()
        if self._sink is not None:
            self._sink.close()
