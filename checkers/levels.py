r"""The lattice of guarantees. What holds at a level holds at all below it; what fails at one fails at all above.

                      linearizable
                     /            \
               regular             sequential
              /       \                |
          safe    integrity    causal-convergence
                                /              \
                             causal     session-guarantees
                                            /                  \
                                         pram            writes-follow-reads
                                       /   |   \
                       read-your-writes    |    monotonic-writes
                                    monotonic-reads

Only implications that are true are drawn. Causal consistency alone does not give the session guarantees in their one-order form: a session may
read a, b, a if a and b are concurrent. A safe register may return garbage under a write, and the causal side knows no real time, so neither
gives integrity. Real time counts equal instants as concurrent, sessions do not: for `linearizable` to give the causal side, a process must
not start an operation at the very instant at which its last one ended.
References: Lamport 1986; Bouajjani et al., POPL 2017; Viotti & Vukolić, Consistency in non-transactional distributed storage systems, 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from checkers.causal import check_causal, check_convergence
from checkers.first import beginning_with, told
from checkers.history import History
from checkers.integrity import check_integrity
from checkers.linearizable import check_object
from checkers.op import MISSING
from checkers.regular import check_regular, check_safe
from checkers.search import Budget
from checkers.sequential import check_sequential, implied_sequential
from checkers.sessions import CHECKS
from checkers.shrink import Clock
from checkers.verdict import Result, Verdict

# Stronger before weaker. A new level is a line here and its place in IMPLIES.
LEVELS: Final[Mapping[str, Callable[[History], Result]]] = {
    "linearizable": partial(check_object, model="register"),
    "sequential": check_sequential,
    "causal-convergence": check_convergence,
    "causal": check_causal,
    **CHECKS,
    "regular": check_regular,
    "safe": check_safe,
    "integrity": check_integrity,
}
# Each level, and those directly below it.
IMPLIES: Final[Mapping[str, tuple[str, ...]]] = {
    "linearizable": ("regular", "sequential"),
    "sequential": ("causal-convergence",),
    "causal-convergence": ("causal", "session-guarantees"),
    "session-guarantees": ("pram", "writes-follow-reads"),
    "pram": ("read-your-writes", "monotonic-reads", "monotonic-writes"),
    "regular": ("safe", "integrity"),
}


def below(level: str) -> frozenset[str]:
    """All levels that this one implies, itself not among them."""
    direct = IMPLIES.get(level, ())
    return frozenset(direct).union(*(below(weaker) for weaker in direct))


@dataclass(frozen=True, slots=True)
class Judgement:
    """Every level's Result, those that were claimed, the maximal VALID levels and the minimal INVALID ones, stronger first."""

    results: dict[str, Result]
    claims: dict[str, Result]
    strongest: list[str]
    weakest_refuted: list[str]


def judge(
    history: History,
    claims: Iterable[str] = (),
    *,
    clock: Clock | None = None,
    budget: Budget | None = None,
    initial: Any = MISSING,
) -> Judgement:
    """Judge all levels. ValueError for a claim that is no level. `clock` tells seconds, for cores of the search to be made small.

    `budget` is for each of the two searches, for linearizability and for sequential consistency. Registers begin with `initial`, or with null.
    """
    claims = list(claims)
    for claim in claims:
        if claim not in LEVELS:
            raise ValueError(f"the claim {claim!r} is unknown; use one of {', '.join(LEVELS)}")
    history = beginning_with(history, initial)
    atomic = check_object(history, model="register", budget=budget, clock=clock)
    one_order = implied_sequential(history, atomic) or check_sequential(history, budget=budget)
    known = {"linearizable": atomic, "sequential": one_order}
    found = {level: known.get(level) or check(history) for level, check in LEVELS.items()}
    results = {level: told(result, initial) for level, result in found.items()}
    verdicts = {level: result.verdict for level, result in results.items()}
    return Judgement(
        results, {claim: results[claim] for claim in claims}, maximal(verdicts), minimal(verdicts)
    )


def maximal(verdicts: Mapping[str, Verdict]) -> list[str]:
    """The VALID levels that no other VALID level implies."""
    valid = [level for level in LEVELS if verdicts.get(level) is Verdict.VALID]
    return [level for level in valid if not any(level in below(other) for other in valid)]


def minimal(verdicts: Mapping[str, Verdict]) -> list[str]:
    """The INVALID levels that imply no other INVALID level."""
    refuted = [level for level in LEVELS if verdicts.get(level) is Verdict.INVALID]
    return [level for level in refuted if not below(level).intersection(refuted)]
