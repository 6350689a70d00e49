"""Session guarantees: what one client may count on, whatever replicas it talks to; processes are the sessions.

    read-your-writes       after writing a, a session reads nothing older
    monotonic-reads        after reading a, it reads nothing older
    monotonic-writes       who has read a write of p reads nothing older than what p wrote before it
    writes-follow-reads    who has read a write of p reads nothing older than what p had read before it
    pram                   the first three together, with one order of writes per key for all sessions
    session-guarantees     all four together

"Older" is by some order of each key's writes; a guarantee is broken if no order will do. The search is the core's (`core/src/guarantees.rs`).
Reference: Terry et al., PDIS 1994. Two guarantees can each hold and still have no order in common.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from checkers.history import History
from checkers.order import result_of
from checkers.verdict import Result

MASKS: Final[Mapping[str, int]] = {
    "session-guarantees": 15,
    "pram": 7,
    "read-your-writes": 1,
    "monotonic-reads": 2,
    "monotonic-writes": 4,
    "writes-follow-reads": 8,
}


def check_guarantee(name: str, history: History, *, threads: int | None = None) -> Result:
    """INVALID carries writes that would each have to come before the other, and what each session saw of it."""
    found = history.columns.guarantees(MASKS[name], threads or 0)
    return result_of(name, history, found, tested_words=f"bound by {name}", unwritten=False)


CHECKS: Final[Mapping[str, Callable[[History], Result]]] = {
    name: partial(check_guarantee, name) for name in MASKS
}
