"""Weak regularity: no read returns a value that was surely overwritten before the read began.

|--w1--|  |--w2--|   |--r 1--|     never
"""

from __future__ import annotations

from checkers.history import History
from checkers.register import merged
from checkers.verdict import Result


def check_regular(history: History) -> Result:
    """Judge every key; INVALID carries the read, its write and the write in between."""
    return merged("regular", history, history.columns.regular())
