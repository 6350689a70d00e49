"""The ladder of guarantees for one register, strongest first.

linearizable  >  regular  >  integrity        what holds above holds below; what fails below fails above
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from checkers.history import History
from checkers.integrity import check_integrity
from checkers.register import check_linearizable
from checkers.regular import check_regular
from checkers.verdict import Result, Verdict

LEVELS: Final[Mapping[str, Callable[[History], Result]]] = {
    "linearizable": check_linearizable,
    "regular": check_regular,
    "integrity": check_integrity,
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """Every level's Result, those that were claimed, the strongest VALID level and the weakest INVALID one."""

    results: dict[str, Result]
    claims: dict[str, Result]
    strongest: str | None
    weakest_refuted: str | None


def judge(history: History, claims: Iterable[str] = ()) -> Judgement:
    """Judge all levels. ValueError for a claim that is no level."""
    claims = list(claims)
    for claim in claims:
        if claim not in LEVELS:
            raise ValueError(f"the claim {claim!r} is unknown; use one of {', '.join(LEVELS)}")
    results = {level: check(history) for level, check in LEVELS.items()}
    valid = [level for level in LEVELS if results[level].verdict is Verdict.VALID]
    refuted = [level for level in LEVELS if results[level].verdict is Verdict.INVALID]
    return Judgement(
        results,
        {claim: results[claim] for claim in claims},
        valid[0] if valid else None,
        refuted[-1] if refuted else None,
    )
