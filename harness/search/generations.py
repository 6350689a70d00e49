"""Searches that learn: runs come in generations, and one learns from those before it only.

    generation 0       seeds ──► what was seen ──┐
    generation 1   parents of generation 0, changed ──► what was seen ──┐
    generation 2   parents of generations 0 and 1, changed …

So which run a number means does not depend on how many processes there are, and a folder goes on where it was stopped.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from harness.plan import Plan
from harness.worlds.sim import SimLoop, SimWorld
from harness.worlds.sim.tape import stream

GENERATION: Final = 8
FRESH: Final = 0.25  # share of the runs after the first generation that have a new seed and no parent


class Watcher(Protocol):
    """What looks at one run for a search."""

    def open(self, world: SimWorld, loop: SimLoop) -> None:
        """Begin with a world."""

    def features(self, start_s: float) -> tuple[int, ...]:
        """What was seen, once the run is over; its times count from `start_s` of the loop."""


class Generations(ABC):
    """A search whose runs are changes of earlier ones. Subclasses say what is kept of a run, and how a child is made."""

    name = ""
    watches = ""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._learned = 0
        self._plans: dict[int, Plan] = {}

    def ready(self, number: int) -> bool:
        """Whether all has been learned that this run is drawn from."""
        return self._learned >= number - number % GENERATION

    def learn(self, number: int, ops: int, seen: Sequence[int]) -> tuple[int, ...]:
        """What is worth keeping of what a run has shown. Runs are learned from in order."""
        self._learned = number + 1
        return self.keep(number, ops, seen)

    def plan(self, number: int) -> Plan:
        """The plan of a run: a new seed, or a parent with changes."""
        if number not in self._plans:
            rng = stream(self._plan.seed, f"{self.name}/{number}")
            child = self.child(number - number % GENERATION, rng)
            self._plans[number] = child or replace(self._plan, seed=self._plan.seed + number)
        return self._plans[number]

    @abstractmethod
    def keep(self, number: int, ops: int, seen: Sequence[int]) -> tuple[int, ...]:
        """Take note of a run; what is kept of it."""

    @abstractmethod
    def child(self, before: int, rng: random.Random) -> Plan | None:
        """A change of a run with a number below `before`; None: the run is to have a new seed."""
