"""Integrity: every value read was written, not by a write that failed, and not after the read."""

from __future__ import annotations

from checkers.history import History
from checkers.register import merged
from checkers.verdict import Result


def check_integrity(history: History, *, threads: int | None = None) -> Result:
    """Judge every key; INVALID carries the read and, if there is one, its impossible write."""
    return merged("integrity", history, history.columns.integrity(threads or 0))
