"""Where the output goes, when its reader leaves, when there is none, and when its letters are few.

    quorate check h.jsonl | head -1        head leaves: what is left goes nowhere, and the exit status is the verdict's still
    quorate check h.jsonl >&-              nobody reads: the same
    LC_ALL=C quorate check h.jsonl         a letter that the terminal's encoding lacks is written as \\u2026

rich and typer end the command with status 1 when a pipe breaks, and 1 says INVALID. Here a broken pipe is no error at all.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO


class Lasting(io.FileIO):
    """A file that can be written to for ever: once its reader has left, into nothing."""

    def write(self, data: Any, /) -> int:
        """Write it, or not. A disk that is full is an error, once."""
        try:
            return super().write(data) or 0
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if isinstance(error, BrokenPipeError):
                return memoryview(data).nbytes
            raise


def lasting(stream: TextIO | None) -> TextIO:
    """The stream, such that no reader who leaves and no letter ends the command. None: what Python has for one that is closed."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    raw = Lasting(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), stream.encoding, "backslashreplace", line_buffering=True, write_through=True
    )


def last() -> None:
    """Let stdout and stderr last."""
    sys.stdout, sys.stderr = lasting(sys.stdout), lasting(sys.stderr)
