"""Do the final reads agree? They are made when all is at rest, of whichever replicas: so they show the same, or the replicas have diverged.

    final-read -> [1]          final-read -> []        1 was shown, and nothing that may have come between took it away: diverged
    final-read -> []           final-read -> [1]       the same; but if `add 1` ended as info it may have come in between: not known

What was acknowledged before a final read each model asks for itself. What is left is what the order of updates, or an unknown outcome, leaves free: whichever
way it went, it went so for all replicas. So two final reads that differ are explained by an update that may have taken effect between them, and by nothing
else: by one that is acknowledged (a workload that goes on updating), or only by one of unknown outcome, and then nobody can tell: UNKNOWN. To be told, read
each replica twice: what a replica does not have at the second reading either, though another showed it at the first, is INVALID.

    a model says of two reads, the first before the second:  AGREE   LATE, by these updates   DIVERGED
    two reads that overlap may be in either order: the better answer counts

From: Shapiro, Preguiça, Baquero, Zawirski, Conflict-free replicated data types (SSS 2011), definition 2.2, eventual convergence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Final

from checkers.bespoke.calls import Call, shown, token
from checkers.bespoke.judging import Finding

Step = Sequence[Call] | None
"""What came between two reads: nothing that is in doubt (), updates of unknown outcome, or None: nothing that may have come explains it."""
AGREE: Final[Step] = ()
DIVERGED: Final[Step] = None


def between(update: Call, first: Call, second: Call) -> bool:
    """May the update have taken effect after the first read looked and before the second did?"""
    return update.possible and not update.before(first) and update.call <= second.ret


def step_by(updates: Sequence[Call]) -> Step:
    """A change that one of these updates makes, each of which may have come between: an acknowledged one, if there is one."""
    if any(update.ok for update in updates):
        return AGREE
    return updates[:1] or DIVERGED


def worse(one: Step, other: Step) -> Step:
    """The worse of two answers: both have to hold."""
    if one is None or other is None:
        return None
    return one or other


def agreement(
    finals: Sequence[Call], step: Callable[[Call, Call], Step], core: Callable[[Call, Call], Sequence[Call]]
) -> tuple[list[Finding], str | None]:
    """The first two final reads that no update explains; or why it cannot be told whether all agree."""
    unsure = None
    for one, other in combinations(finals, 2):
        if token(one.result) == token(other.result):
            continue
        found = step(one, other)
        if found != AGREE and not one.before(other):
            turned = step(other, one)
            found = turned if found is None or turned == AGREE else found
        if found is None:
            sentence = (
                f"final-read #{one.index} returned {shown(one.result)} and final-read #{other.index} {shown(other.result)}, "
                f"and no update that may have come between explains it"
            )
            return [Finding("diverged", sentence, [*core(one, other), one, other])], None
        if found and unsure is None:
            unsure = (
                f"final-reads #{one.index} and #{other.index} differ, and {found[0].f} #{found[0].index}, whose outcome is unknown, may have come "
                f"between them; read each replica twice when nothing is on its way any more"
            )
    return [], unsure
