"""Make a finding small: propose something simpler, run it, keep it if the same claim is broken in the same way.

    script of the run                    1,500 operations, 7 faults, 5 nodes, 10 clients
      │  only the core · its keys · what happened before it          leaps
      │  operations, faults: in halves, quarters, … (ddmin)          one by one at the end
      │  a node, a client less · shorter, narrower faults · gaps closed · a calm network
      │  every random draw a half, but for those few that matter       the tape
      ▼  again, until a whole round finds nothing
    4 operations, 1 fault, 3 nodes, 2 clients

A candidate is tried with several seeds, for what is left out shifts all that comes after. Every step is a run that broke the
claim, so the result is one too. Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from harness.plan import Plan, PlanError
from harness.plan_tape import CALM, calm_but, is_calm, pins_of
from harness.search import simpler
from harness.search.finding import Alike, Target, any_way, draws_of, first_to_show, guilty, scripted
from harness.simulate import SimRun

T = TypeVar("T")
EFFORTS = (4, 30, 100)  # seeds tried for a candidate beside its own: more when nothing can be had with few


@dataclass(frozen=True, slots=True)
class Size:
    """How large a plan with a script is."""

    nodes: int
    clients: int
    ops: int
    faults: int

    @staticmethod
    def of(plan: Plan) -> Size:
        """Count; clients are those that do something."""
        clients = len({op.client for op in plan.script})
        return Size(plan.nodes, clients, len(plan.script), len(plan.strokes))

    def __str__(self) -> str:
        return f"{self.nodes} nodes, {self.clients} clients, {self.ops} operations, {self.faults} faults"


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The smallest plan that was found, its run, the size it began with, how many runs it took. `done`: nothing more can be left out."""

    plan: Plan
    run: SimRun
    before: Size
    runs: int
    done: bool


class NotShownError(PlanError):
    """The run to be shrunk does not show the target."""


def shrink(
    plan: Plan,
    target: Target,
    *,
    alike: Alike = any_way,
    out_of_time: Callable[[], bool] = lambda: False,
    progress: Callable[[Size, int], None] = lambda size, runs: None,
) -> Shrunk:
    """Shrink until nothing can be left out, or `out_of_time()`; every run on the way is `alike`. Raises NotShownError if the plan does not show the target."""
    found = first_to_show(plan, target, [plan.seed], alike)
    if found is None:
        raise NotShownError(f"the plan {plan.name} with seed {plan.seed} shows no {target}")
    search = _Search(target, alike, found[1], scripted(plan, found[1]), out_of_time, progress)
    before = Size.of(search.plan)
    if not search.attempt(search.plan):
        raise NotShownError(f"the script of {plan.name} with seed {plan.seed} shows no {target}")
    search.attempt(replace(search.plan, sim={**search.plan.sim, "streams": "links"}), EFFORTS[1])
    search.leaps()
    for search.seeds in EFFORTS:
        last = None
        while search.plan != last and not out_of_time():
            last = search.plan
            search.round()
    last = None
    while search.plan != last and not out_of_time():
        last = search.plan
        search.calm()
        search.round()
    return Shrunk(search.plan, search.run, before, search.runs, not out_of_time())


class _Search:
    """The smallest so far."""

    def __init__(
        self, target: Target, alike: Alike, run: SimRun, plan: Plan,
        out_of_time: Callable[[], bool], progress: Callable[[Size, int], None],
    ) -> None:  # fmt: skip
        self.target, self.alike, self.run, self.plan = target, alike, run, plan
        self.runs, self.seeds = 0, EFFORTS[0]
        self._out_of_time, self._progress = out_of_time, progress

    def attempt(self, plan: Plan, seeds: int = 0) -> bool:
        """Keep a candidate if it shows the target with one of the seeds. One without a script would run the workload's own load."""
        if not plan.script:
            return False
        count = 0 if is_calm(plan.tape) else seeds or self.seeds
        trial = [self.plan.seed, *(seed for seed in range(1, count + 1) if seed != self.plan.seed)]
        found = first_to_show(plan, self.target, self._counted(trial), self.alike)
        if found is not None:
            self.plan, self.run = found
            self._progress(Size.of(self.plan), self.runs)
        return found is not None

    def _counted(self, seeds: Sequence[int]) -> Iterator[int]:
        for seed in seeds:
            if self._out_of_time():
                return
            self.runs += 1
            yield seed

    def leaps(self) -> None:
        """Try to get rid of nearly everything at once: only the core, else its keys, else what happened until it was over."""
        for choose in (
            simpler.only_core,
            simpler.until_core,
            simpler.keys_of_core,
            simpler.until_core,
            simpler.only_core,
        ):
            for plan in choose(self.plan, guilty(self.run, self.target), self.run):
                if self.attempt(plan, EFFORTS[1]):
                    self.plan = scripted(self.plan, self.run)
                    break

    def round(self) -> None:
        """Every way to be simpler, once."""
        for plan in simpler.only_core(self.plan, guilty(self.run, self.target), self.run):
            self.attempt(plan, EFFORTS[-1])
        self._fewer(lambda plan: plan.strokes, lambda plan, kept: replace(plan, strokes=tuple(kept)))
        self._fewer(lambda plan: plan.script, lambda plan, kept: replace(plan, script=tuple(kept)))
        moving = (simpler.fewer_nodes, simpler.fewer_clients) if self.seeds > EFFORTS[0] else ()
        for ways in (simpler.calmer, *moving, simpler.narrower, simpler.sooner, simpler.renumbered):
            self._any_of(ways)

    def calm(self) -> None:
        """Nothing left to chance: all draws halves, else all but as few as can be, of as few digits as can be."""
        if self.attempt(replace(self.plan, tape=CALM)):
            return
        if not is_calm(self.plan.tape) and not self.attempt(
            replace(self.plan, tape=calm_but(draws_of(self.plan)))
        ):
            return
        self._fewer(lambda plan: pins_of(plan.tape), lambda plan, kept: replace(plan, tape=calm_but(kept)))
        self._any_of(simpler.rounded)

    def _any_of(self, ways: Callable[[Plan], Iterator[Plan]]) -> None:
        """Take what can be had; after each success the ways are asked again."""
        found = True
        while found and not self._out_of_time():
            found = any(map(self.attempt, ways(self.plan)))

    def _fewer(
        self, parts: Callable[[Plan], Sequence[T]], having: Callable[[Plan, Sequence[T]], Plan]
    ) -> None:
        """ddmin: leave out chunks, smaller ones when none can be left out, down to single parts."""
        chunk = max(1, len(parts(self.plan)) // 2)
        while parts(self.plan) and not self._out_of_time():
            at, found = 0, False
            while at < len(parts(self.plan)):
                kept = [*parts(self.plan)[:at], *parts(self.plan)[at + chunk :]]
                if self.attempt(having(self.plan, kept)):
                    found = True
                else:
                    at += chunk
            if chunk == 1 and not found:
                return
            chunk = max(1, chunk // 2)
