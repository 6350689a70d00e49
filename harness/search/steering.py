"""A search under way: which run is next. Most strategies know beforehand (`strategies`); some learn from what the runs before have shown (`novelty`, `lineage`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from harness.plan import Plan, PlanError
from harness.search.generations import Generations, Watcher
from harness.search.lineage import Lineage, Supports
from harness.search.novelty import Novelty, Orders
from harness.search.strategies import STRATEGIES, Strategy

LEARNING: Final[Mapping[str, type[Generations]]] = {each.name: each for each in (Novelty, Lineage)}
NAMES: Final = (*STRATEGIES, *LEARNING)
WATCHERS: Final[Mapping[str, type[Watcher]]] = {Novelty.watches: Orders, Lineage.watches: Supports}


class Steering(Protocol):
    """One search. Runs are learned from in order of their numbers."""

    watches: str  # which of WATCHERS it learns from; empty: it does not

    def ready(self, number: int) -> bool:
        """Whether the plan of this run can be told, or more has to be learned first."""

    def plan(self, number: int) -> Plan:
        """The plan of this run."""

    def learn(self, number: int, ops: int, seen: Sequence[int]) -> tuple[int, ...]:
        """A run is over: of what was seen in it, what no run before has shown."""


class Known:
    """All runs are known beforehand."""

    watches = ""

    def __init__(self, strategy: Strategy, plan: Plan) -> None:
        self._strategy, self._plan = strategy, plan

    def ready(self, number: int) -> bool:
        """Always."""
        return True

    def plan(self, number: int) -> Plan:
        """As the strategy says."""
        return self._strategy(self._plan, number)

    def learn(self, number: int, ops: int, seen: Sequence[int]) -> tuple[int, ...]:
        """Nothing."""
        return ()


def steering(name: str, plan: Plan) -> Steering:
    """Begin a search. Raises PlanError: no such strategy."""
    if name not in NAMES:
        raise PlanError(f"there is no strategy {name!r}; there are {', '.join(NAMES)}")
    return Known(STRATEGIES[name], plan) if name in STRATEGIES else LEARNING[name](plan)
