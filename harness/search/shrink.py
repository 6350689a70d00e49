"""Make a finding small: propose something simpler, run it, keep it if the same claim is broken in the same way.

    script of the run                    1,500 operations, 7 faults, 5 nodes, 10 clients
      │  only the core · its keys · what happened before it          leaps: many seeds, for such runs are short
      │  none of it shows it? the same load in small, from its beginning
      │  operations, faults: in halves, quarters, … (ddmin)          one by one at the end
      │  48 operations: every draw of the run is given from now on   what is left out changes nothing else
      │  a node, a copy, a client less · then shorter, narrower faults · gaps closed · a calm network
      │  every random draw a half, but for those few that matter       the tape
      ▼  again, until a whole round finds nothing
    4 operations, 1 fault, 3 nodes, 2 clients

A candidate is tried as it is, then with several seeds, for what is left out may shift all that comes after. No run is made twice. What a candidate may cost is counted
in events, not in seconds: the same plan becomes the same small plan on every machine, unless the time is over. Every step is a run that broke the
claim, so the result is one too. Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final, TypeVar

from harness.plan import Plan, PlanError
from harness.plan_tape import CALM, calm_but, is_calm, pins_of
from harness.search import fewer, simpler
from harness.search.finding import Alike, Target, any_way, draws_of, first_to_show, guilty, scripted, shows
from harness.search.small_loads import small_loads, small_worlds
from harness.search.twin import Twin, without_mistakes
from harness.simulate import SimRun

T = TypeVar("T")
NO_SEED: Final = 0
EFFORTS: Final = (4, 30, 100)  # other seeds tried for a candidate: more when nothing can be had with few
LEAP: Final = 200  # and for next to nothing: what is rare is rare there too, but costs little
EVENTS_MAX: Final = 1_000  # in the runs of a candidate, for each seed that may be tried, beyond the first few; 1,000 take 0.03 s or so
SMALL_SEEDS: Final = 1_000  # of each small load
SMALL_EVENTS_MAX: Final = 400_000  # in the runs of each
WORLD_EVENTS_MAX: Final = 100_000  # in those of each with few nodes, which may be in vain
WAYS_EVENTS_MAX: Final = 10_000  # in those of all candidates of a kind, for each seed that may be tried
FEW: Final = 12  # operations
PINNED: Final = 48  # a run of so few is kept to its very draws
LINKS: Final = "links"
MOVES: Final = (fewer.fewer_nodes, fewer.fewer_copies, fewer.fewer_clients)


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
        counts = {"node": self.nodes, "client": self.clients, "operation": self.ops, "fault": self.faults}
        return ", ".join(f"{count:,} {what}{'' if count == 1 else 's'}" for what, count in counts.items())


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The smallest plan that was found, its run, the size and the system's options it began with, how many runs it took.

    `done`: nothing more can be left out. `twin`: with which change the claim is kept; None if none was asked for, or with it the whole run breaks the claim as well.
    """

    plan: Plan
    run: SimRun
    before: Size
    options_before: Mapping[str, Any]
    runs: int
    done: bool
    twin: Twin | None = None
    lasting: bool = False  # with much more time after the heal the claim is broken as well


class NotShownError(PlanError):
    """The run to be shrunk does not show the target."""


def shrink(
    plan: Plan,
    target: Target,
    *,
    alike: Alike = any_way,
    unless: Twin | None = None,
    out_of_time: Callable[[], bool] = lambda: False,
    progress: Callable[[Size, int], None] = lambda size, runs: None,
) -> Shrunk:
    """Shrink until nothing can be left out, or `out_of_time()`; every run on the way is `alike`, and its twin keeps the claim.

    The twin is that of `unless`, by default the plan without the mistakes that were put into its system, if the whole run is a finding of those. Raises NotShownError
    if the plan does not show the target, or shows it with the change of `unless` as well.
    """
    found = first_to_show(plan, target, [plan.seed], alike)
    if found is None:
        raise NotShownError(f"the plan {plan.name} with seed {plan.seed} shows no {target}")
    twin = unless or without_mistakes(plan)
    if twin is not None and not twin.keeps(plan, target):
        if unless is not None:
            raise NotShownError(f"the plan {plan.name} with seed {plan.seed} breaks {target.claim} with {unless.words} as well: that is not the cause")  # fmt: skip
        twin = None
    script = scripted(plan, found[1])
    lasting = simpler.with_more_rest(script) != script and _lasts(script, target)
    meant = _caused(target, alike, twin, lasting)
    search = _Search(target, meant, found[1], script, out_of_time, progress)
    before = Size.of(search.plan)
    if not search.attempt(
        search.plan, EFFORTS[1]
    ):  # what falls on one instant may come in another order in a script
        raise NotShownError(f"the script of {plan.name} with seed {plan.seed} shows no {target}")
    search.begin(plan)
    for search.seeds in (
        NO_SEED,
        *EFFORTS,
    ):  # nodes go while there is room: once faults are tight, no other place of the keys fits them
        search.tight = search.seeds > EFFORTS[0]
        search.until_nothing_changes(search.round)
    search.seeds = NO_SEED
    search.until_nothing_changes(search.calm, search.round)
    return Shrunk(
        search.plan, search.run, before, plan.system_options, search.runs, not out_of_time(), twin, lasting
    )


def _caused(target: Target, alike: Alike, twin: Twin | None, lasting: bool) -> Alike:
    """As it is meant, not a matter of too little time if the whole run was none, and not without its cause."""
    return lambda plan, run: (
        alike(plan, run)
        and (not lasting or _lasts(plan, target))
        and (twin is None or twin.keeps(plan, target))
    )


def _lasts(plan: Plan, target: Target) -> bool:
    """Whether the claim is broken in the same way when repairs have much more time."""
    longer = simpler.with_more_rest(plan)
    return longer == plan or shows(longer, target) is not None


class _Search:
    """The smallest so far."""

    def __init__(
        self, target: Target, alike: Alike, run: SimRun, plan: Plan,
        out_of_time: Callable[[], bool], progress: Callable[[Size, int], None],
    ) -> None:  # fmt: skip
        self.target, self.alike, self.run, self.plan = target, alike, run, plan
        self.runs, self.events, self.seeds, self.tight = 0, 0, EFFORTS[0], False
        self._in_vain = set[bytes]()  # what was tried and did not show it
        self._out_of_time, self._progress = out_of_time, progress

    def attempt(self, plan: Plan, seeds: int = NO_SEED) -> bool:
        """Keep a candidate if it shows the target as it is, or with one of so many other seeds. One without a script would run the workload's own load."""
        if not plan.script:
            return False
        at_most = self.events + EVENTS_MAX * seeds
        loose = replace(plan, tape={}) if is_calm(plan.tape) else plan
        for tried, trial in ((plan, (plan.seed,)), (loose, range(1, seeds + 1))):
            found = first_to_show(
                tried, self.target, self._counted(tried, trial, at_most), self.alike, self._spend
            )
            if found is not None:
                self.plan, self.run = found
                self._progress(Size.of(self.plan), self.runs)
                self.pin()
                return True
        return False

    def pin(self) -> None:
        """A run of few operations is kept to its very draws, so that what is left out next changes nothing else."""
        if (
            len(self.plan.script) <= PINNED
            and self.plan.sim.get("streams") == LINKS
            and not is_calm(self.plan.tape)
        ):
            self.runs += 1
            pinned = replace(self.plan, tape=calm_but(draws_of(self.plan)))
            if (run := shows(pinned, self.target, self.alike, self._spend)) is not None:
                self.plan, self.run = pinned, run

    def _spend(self, events: int) -> None:
        self.events += events

    def _counted(self, plan: Plan, seeds: Sequence[int], events_max: int) -> Iterator[int]:
        """The seeds that were not tried with this plan before, as long as there is time; a few, and more while they are cheap."""
        for place, seed in enumerate(seeds):
            if place > EFFORTS[0] and self.events > events_max:
                return
            name = sha256(repr(replace(plan, seed=0 if is_calm(plan.tape) else seed)).encode()).digest()
            if name in self._in_vain:
                continue
            if self.runs and self._out_of_time():  # the script as it is, is tried in any case
                return
            self.runs += 1
            self._in_vain.add(name)
            yield seed

    def begin(self, plan: Plan) -> None:
        """Get rid of nearly everything at once: all but the core, else what came after it, then what is on other keys, then chunks of the rest.

        What stays large so is searched for in small loads of the plan, as it was before it had a script.
        """
        plan = next(
            filter(self._world, small_worlds(plan)), plan
        )  # else a load with all nodes takes its place
        self._leap(simpler.core_alone)
        self._any_of_core(simpler.one_update)
        self.attempt(_linked(self.plan), EFFORTS[1])
        for choose in (simpler.until_core, simpler.keys_of_core, simpler.until_core, simpler.core_alone):
            self._leap(choose)
        if len(self.plan.script) > FEW and any(map(self._load, small_loads(plan))):
            self._any_of_core(simpler.one_update)
            for choose in (simpler.core_alone, simpler.until_core, simpler.keys_of_core, simpler.core_alone):
                self._leap(choose)
        self._fewer_parts()

    def _world(self, plan: Plan) -> bool:
        """Find the target in a load with few nodes; its script takes the place of what there is."""
        seeds = self._counted(plan, range(1, SMALL_SEEDS + 1), self.events + WORLD_EVENTS_MAX)
        found = first_to_show(plan, self.target, seeds, self.alike, self._spend)
        return found is not None and self.attempt(scripted(*found), EFFORTS[1])

    def _load(self, plan: Plan) -> bool:
        """Find the target in a small load; its script takes the place of what there is, if it is smaller."""
        seeds = self._counted(plan, range(1, SMALL_SEEDS + 1), self.events + SMALL_EVENTS_MAX)
        found = first_to_show(plan, self.target, seeds, self.alike, self._spend)
        if found is None:
            return False
        script = scripted(*found)
        if len(script.script) >= len(self.plan.script) or not self.attempt(script, EFFORTS[1]):
            return False
        self.attempt(_linked(self.plan), EFFORTS[1])
        return True

    def _leap(self, choose: Callable[[Plan, Sequence[int]], Iterator[Plan]]) -> None:
        for plan in choose(self.plan, guilty(self.run, self.target)):
            few = len(plan.script) <= FEW
            bold = _linked(plan) if few else plan
            if self.attempt(bold, LEAP if few else EFFORTS[1]):
                self.attempt(
                    scripted(self.plan, self.run)
                )  # when what had to wait for its client was really called

    def _any_of_core(self, choose: Callable[[Plan, Sequence[int]], Iterator[Plan]]) -> None:
        candidates = list(choose(self.plan, guilty(self.run, self.target)))
        any(self.attempt(plan, seeds) for seeds in (NO_SEED, EFFORTS[0]) for plan in candidates)

    def until_nothing_changes(self, *steps: Callable[[], None]) -> None:
        """Again and again, as long as it helps and there is time."""
        last = None
        while self.plan != last and not self._out_of_time():
            last = self.plan
            for step in steps:
                step()

    def round(self) -> None:
        """Every way to be simpler, once."""
        large = len(self.plan.script) > FEW
        self._core(LEAP if large or self.seeds == EFFORTS[-1] else self.seeds)
        self._fewer_parts()
        self._any_of(simpler.forgotten, EFFORTS[0])
        self._any_of(simpler.sooner, EFFORTS[0])
        for ways in MOVES:
            self._any_of(ways)
        if self.tight:
            self._any_of(simpler.calmer, EFFORTS[0])
            self._any_of(simpler.narrower, EFFORTS[0])
            self._any_of(fewer.renumbered, EFFORTS[0])

    def _core(self, seeds: int) -> None:
        for plan in simpler.only_core(self.plan, guilty(self.run, self.target)):
            self.attempt(plan, seeds)

    def calm(self) -> None:
        """Nothing left to chance: all draws halves, else all but as few as can be, of as few digits as can be."""
        if self.attempt(replace(self.plan, tape=CALM)):
            return
        if not is_calm(self.plan.tape) and not self.attempt(
            replace(self.plan, tape=calm_but(draws_of(self.plan)))
        ):
            return
        self._fewer(
            lambda plan: pins_of(plan.tape), lambda plan, kept: replace(plan, tape=calm_but(kept)), NO_SEED
        )
        self._any_of(simpler.rounded)

    def _any_of(self, ways: Callable[[Plan], Iterator[Plan]], seeds_max: int = EFFORTS[-1]) -> None:
        """Take what can be had; after each success the ways are asked again. All are tried with a few seeds before one is with many."""
        found = True
        while found and not self._out_of_time():
            candidates, at_most = (
                list(ways(self.plan)),
                self.events + WAYS_EVENTS_MAX * max(EFFORTS[0], self.seeds),
            )
            found = any(
                self.attempt(plan, seeds)
                for seeds in (NO_SEED, *EFFORTS)
                if seeds <= min(self.seeds, seeds_max)
                for plan in candidates
                if self.events <= at_most
            )

    def _fewer_parts(self) -> None:
        few = len(self.plan.script) <= FEW
        for seeds in (NO_SEED, self.seeds) if few else (self.seeds,):
            self._fewer(
                lambda plan: plan.strokes, lambda plan, kept: replace(plan, strokes=tuple(kept)), seeds
            )
            self._fewer(lambda plan: plan.script, lambda plan, kept: replace(plan, script=tuple(kept)), seeds)

    def _fewer(
        self, parts: Callable[[Plan], Sequence[T]], having: Callable[[Plan, Sequence[T]], Plan], seeds: int
    ) -> None:
        """ddmin: leave out chunks, smaller ones when none can be left out, down to single parts."""
        chunk = max(1, len(parts(self.plan)) // 2)
        while parts(self.plan) and not self._out_of_time():
            at, found = 0, False
            while at < len(parts(self.plan)):
                kept = [*parts(self.plan)[:at], *parts(self.plan)[at + chunk :]]
                if self.attempt(having(self.plan, kept), seeds):
                    found = True
                else:
                    at += chunk
            if chunk == 1 and not found:
                return
            if found and len(self.plan.script) > FEW:  # of a run with less around it the core may be another
                self._core(EFFORTS[1])
            chunk = max(1, chunk // 2)


def _linked(plan: Plan) -> Plan:
    """The plan with a stream of draws for each link and kind of message: what is left out shifts little else."""
    return replace(plan, sim={**plan.sim, "streams": LINKS})
