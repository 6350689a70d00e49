"""Linearizability in polynomial time, for objects whose values are added once (`core/src/special.rs`, `exact.rs`, `zones/failed.rs`).

    queue, stack, priority-queue, cas-register      what is surely inside, and when
    append-list, grow-set, revisions                 a rank that results force
    counter, fetch-and-add                           increments matched with the counts that were seen
    set                                              each element alone

VALID has a witness, INVALID a core. Where a key does not meet what the method needs, its answer is UNKNOWN, and the reason begins with
"not applicable" and says why: the general search (`checkers.search`) is for that key. So does a failed compare-and-set that cannot be placed.
"""

from __future__ import annotations

from typing import Final

from checkers.history import History
from checkers.register import merged
from checkers.verdict import Result, Verdict

SPECIAL: Final = (
    "cas-register",
    "queue",
    "stack",
    "priority-queue",
    "append-list",
    "grow-set",
    "revisions",
    "counter",
    "fetch-and-add",
    "set",
)
UNSEARCHED: Final = (
    "revisions",
    "fetch-and-add",
)  # there is no search for these: their cases always apply, or say why not
NOT_APPLICABLE: Final = "not applicable"


def check_special(
    history: History, model: str, *, failed_cas: bool = False, threads: int | None = None
) -> Result:
    """Judge every key. ValueError if there is no special case for the model.

    `failed_cas` says that a failed compare-and-set found another value, and did not fail for any other reason.
    """
    if model != "cas-register":
        return merged("linearizable", history, history.columns.special(model, threads or 0))
    answers = [
        (key, word, f"{NOT_APPLICABLE}: {text}" if word == "unknown" else text, ops, size, seen)
        for key, word, text, ops, size, seen in history.columns.cas_zones(failed_cas, threads or 0)
    ]
    return merged("linearizable", history, answers)


def applicable(result: Result) -> bool:
    """Did the method apply to every key that was tested?"""
    parts = result.parts.values()
    return not any(part.verdict is Verdict.UNKNOWN and f"{NOT_APPLICABLE}:" in part.reason for part in parts)
