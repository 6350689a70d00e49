"""Causal consistency (CC) and causal convergence (CCv) of a whole run; processes are the sessions.

    causal                every session sees effects after their causes: what it did, what it read, what those writers knew
    causal-convergence    and all sessions agree on one order of conflicting writes

Neither says anything of real time. The search is the core's (`core/src/causal.rs`). Needs values that are unique per key.
Reference: Bouajjani, Enea, Guerraoui & Hamza, POPL 2017.
"""

from __future__ import annotations

from checkers.history import History
from checkers.order import result_of
from checkers.verdict import Result

_TESTED = "done by a session that knew of something"


def check_causal(history: History) -> Result:
    """INVALID carries a bad pattern, edge by edge: cyclic-co, write-co-read, write-co-initial-read, or an unwritten value."""
    return result_of("causal", history, history.columns.causal(False), tested_words=_TESTED, unwritten=True)


def check_convergence(history: History) -> Result:
    """The same, and conflicts that no one order of writes explains: cyclic-cf."""
    found = history.columns.causal(True)
    return result_of("causal-convergence", history, found, tested_words=_TESTED, unwritten=True)
