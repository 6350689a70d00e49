"""Weak regularity: no read returns a value that was surely overwritten before the read began.

|--w1--|  |--w2--|   |--r 1--|     never

A safe register keeps that only for reads that overlap no write; what the others return is free.
Reference: Lamport, On interprocess communication, 1986.
"""

from __future__ import annotations

from checkers.history import History
from checkers.register import merged
from checkers.verdict import Result


def check_regular(history: History, *, threads: int | None = None) -> Result:
    """Judge every key; INVALID carries the read, its write and the write in between."""
    return merged("regular", history, history.columns.regular(threads or 0))


def check_safe(history: History, *, threads: int | None = None) -> Result:
    """The same, but only of reads that overlap no write."""
    return merged("safe", history, history.columns.safe(threads or 0))
