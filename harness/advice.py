"""What theory says of a configuration before anything is run, each sentence with its source; and the reverse, from wishes to configurations.

n, r, w ─► do quorums meet? how many nodes may fail? how stale can a read be?     generic: here
a mode  ─► what the system promises, its rounds, what clocks and disks do to it   the system's: entry point `quorate.advice`
matrix  ─► what was measured of the same configuration                            `cells.json` of `quorate matrix`
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Final

from checkers.levels import LEVELS, below
from harness.pbs import Quorums, k_staleness
from harness.plan import PlanError, nearest
from harness.report import words

GOOD, BAD, COST = "good", "bad", "cost"


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence. `kind`: good (a promise), bad (what it does not promise), cost. `source`: a paper, a document or a test."""

    kind: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a system says of itself, and what bears on all that is said of quorums: `sloppy`, nodes beyond the N may acknowledge a write; not
    `durable`, before it is on a disk.
    """

    statements: tuple[Statement, ...] = ()
    sloppy: bool = False
    durable: bool = True


SystemAdvice = Callable[[Mapping[str, Any]], Told]
"""(the plan's [system] table without `name`) -> what its documentation promises and costs. Raises PlanError on a bad option."""


def of_system(name: str, options: Mapping[str, Any]) -> Told:
    """What an installed system says of itself. Raises PlanError: it does not take these options, or no such system says anything."""
    points = {point.name: point for point in entry_points(group="quorate.advice")}
    if name not in points:
        raise PlanError(
            f"--system {name}: no installed system of this name says anything of its modes{nearest(name, tuple(points))}"
        )
    advise: SystemAdvice = points[name].load()
    return advise(options)


def of_quorums(quorums: Quorums, told: Told = Told()) -> Iterator[Statement]:
    """What follows from N, R and W alone, of a store that has nothing but quorums."""
    n, r, w, sloppy = quorums.n, quorums.r, quorums.w, told.sloppy
    if sloppy:
        yield Statement(
            BAD,
            f"R + W = {r + w} and N = {n} say nothing while nodes beyond the {n} acknowledge writes: the {r} that answer a read may all be owners "
            "that have not heard of an acknowledged write.",
            "DeCandia et al., Dynamo, SOSP 2007, section 4.6",
        )
    else:
        yield from _meeting(quorums)
    away = (
        f"writes as long as any {w} nodes of the cluster can be reached; a client on the side of a partition that has fewer than {r} replicas "
        "of a key gets no read"
        if sloppy
        else f"writes with {n - w}; a client on the side of a partition that has fewer than {r} ({w}) of them gets no read (write)"
    )
    yield Statement(
        GOOD if n - r and (sloppy or n - w) else COST,
        f"Reads go on with {n - r} of {n} replicas of a key away, {away}.",
        "DeCandia et al., Dynamo, SOSP 2007, section 4.6" if sloppy else "Gilbert & Lynch, SIGACT News 2002",
    )
    yield _copies(quorums, told)
    yield Statement(
        COST,
        f"A read is as slow as the {_nth(r)} of {n} answers, a write as the {_nth(w)}: one slow node is {'hidden' if max(r, w) < n else 'felt by every operation that waits for all'}.",
        "Dean & Barroso, The Tail at Scale, CACM 2013",
    )


def _meeting(quorums: Quorums) -> Iterator[Statement]:
    """Of strict quorums: do reads meet writes, and writes each other?"""
    n, r, w = quorums.n, quorums.r, quorums.w
    if r + w > n:
        yield Statement(
            GOOD,
            f"Every {r} of {n} replicas meet every {w} of them (R + W = {r + w} > N = {n}): a read hears of every write that was acknowledged before it.",
            "Gifford, Weighted Voting, SOSP 1979",
        )
        yield Statement(
            BAD,
            "That is not linearizability: of a write that is still on its way one read may see it and a later one not, unless reads write back.",
            "Attiya, Bar-Noy & Dolev, JACM 1995; tests/explorers/test_quorums.py",
        )
    else:
        yield Statement(
            BAD,
            f"{r} of {n} and {w} of {n} replicas need not meet (R + W = {r + w} <= N = {n}): a read may miss an acknowledged write. With quorums drawn "
            f"anew, and before writes spread, {100 * k_staleness(quorums, 1):.0f} % of reads miss the last one and {100 * k_staleness(quorums, 3):.1f} % the last three.",
            "Bailis et al., PBS, VLDB 2012, section 3.1",
        )
    if 2 * w <= n:
        yield Statement(
            BAD,
            f"Two writes need not meet either (2W = {2 * w} <= N = {n}): both sides of a partition acknowledge, and which write stays is decided later.",
            "Gifford 1979",
        )


def _copies(quorums: Quorums, told: Told) -> Statement:
    """How many copies an acknowledged write has."""
    n, w, sloppy = quorums.n, quorums.w, told.sloppy
    where = f"{w} nodes at least, owners or not" if sloppy else f"{w} of {n} replicas at least"
    if not told.durable:
        text = f"An acknowledged write is in the memory of {where}, and on no disk for certain: if these lose power together, it may be gone."
        return Statement(BAD, text, "Mohan et al., ARIES, TODS 1992")
    survives = f"it survives the loss of any {w - 1}." if w > 1 else "it may go with a single one."
    source = f"DeCandia et al., Dynamo, SOSP 2007, section {4.6 if sloppy else 4.5}"
    return Statement(
        GOOD if w > 1 else BAD,
        f"An acknowledged write is on the disks of {where}: {survives}",
        source,
    )


def _nth(count: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(count, f"{count}th")


def measured(
    cells: Sequence[Mapping[str, Any]], name: str, options: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """The cells of a matrix whose system is this one with these options, whether they are axes or not. What it does not describe is no matter."""
    return [
        cell
        for cell in cells
        if cell["runs"]
        and cell["system"].get("name") == name
        and all(cell["system"].get(option, value) == value for option, value in options.items())
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a configuration shall do, in every environment that is looked at. None: no matter."""

    keep: str | None = None  # a level
    read_p99_ms: float | None = None
    write_p99_ms: float | None = None
    stale_max: float | None = None  # share of reads, the upper end of its interval
    available_min: float | None = None  # share of operations
    no_loss: bool = False
    survive: int | None = (
        None  # nodes: with so many of a key's replicas away it is read and written, and what was acknowledged is there
    )

    def __post_init__(self) -> None:
        if self.survive is not None and self.survive < 1:
            raise PlanError(f"--survive {self.survive}: how many nodes may go? 1 or more, or leave it out")
        if self.keep is not None and self.keep not in LEVELS:
            raise PlanError(f"--keep {self.keep}: no such level{nearest(self.keep, LEVELS)}")

    def refusals(self, cell: Mapping[str, Any]) -> list[str]:
        """What is missing in this cell, in words; empty if all is well. What was not measured is missing."""
        ended = [] if cell["slowest"] is not None else ["no run came to its end"]
        found = [*ended, *self._level(cell), *self._latency(cell), *self._shares(cell), *self._replicas(cell)]
        return [f"{what}, {cell['environment']}" for what in found]

    def _level(self, cell: Mapping[str, Any]) -> Iterator[str]:
        if self.keep is not None and not self._kept(cell):
            broken = cell["violations"].get(self.keep, {"runs": 0})["runs"]
            yield (
                f"{self.keep} is refuted in {broken} of {cell['runs']} runs"
                if broken
                else f"{self.keep} is unknown"
            )

    def _latency(self, cell: Mapping[str, Any]) -> Iterator[str]:
        for f, limit in (("read", self.read_p99_ms), ("write", self.write_p99_ms)):
            p99 = cell["latency_ms"][f]["p99"]
            if limit is not None and (p99 is None or p99 > limit):
                yield f"{f} p99 is {words.number(p99)} ms"

    def _shares(self, cell: Mapping[str, Any]) -> Iterator[str]:
        stale, available, lost = (cell[name] or {} for name in ("stale", "available", "lost_keys"))
        if self.stale_max is not None and not (
            stale and (not stale["count"] or stale["high"] <= self.stale_max)
        ):
            yield f"{words.percent(stale.get('share'))} of reads are stale"
        if self.available_min is not None and available.get("share", -1.0) < self.available_min:
            yield f"{words.percent(available.get('share'))} of operations succeed"
        if self.no_loss and lost.get("count", 1):
            yield f"{lost.get('count', '–')} of {lost.get('of', '–')} keys lost an acknowledged write"

    def _replicas(self, cell: Mapping[str, Any]) -> Iterator[str]:
        """By N, R and W alone: what faults did to it is measured, and asked for by the other wishes."""
        n, r, w = (cell["system"].get(name) for name in ("n", "r", "w"))
        if self.survive is None:
            return
        if not all(isinstance(count, int) for count in (n, r, w)):
            yield "the system does not tell its N, R and W"
            return
        for what, count in (("read", r), ("write", w)):
            if n - count < self.survive:
                yield f"a {what} waits for {count} of {n} replicas, and not for {n - self.survive}"
        if w <= self.survive:
            yield f"an acknowledged write may be on {words.plural(w, 'replica')} only"

    def _kept(self, cell: Mapping[str, Any]) -> bool:
        """Kept itself, or a stronger level that implies it (a level may be vacuous by itself)."""
        levels = cell["levels"]
        if levels.get(self.keep) == "invalid":
            return False
        return any(
            verdict == "valid" and (level == self.keep or self.keep in below(level))
            for level, verdict in levels.items()
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """A configuration against the wishes. `cells` support it; `missing` says why not, empty if it will do."""

    configuration: Mapping[str, Any]
    cells: tuple[Mapping[str, Any], ...]
    missing: tuple[str, ...]

    @property
    def support(self) -> list[dict[str, Any]]:
        """Of each cell the run that was nearest to what is not wished: the slowest."""
        return [
            {
                "cell": cell["cell"],
                "environment": cell["environment"],
                "runs": cell["runs"],
                **cell["slowest"],
            }
            for cell in self.cells
            if cell["slowest"] is not None
        ]

    @property
    def cost_ms(self) -> float:
        """The worst of its p99 latencies: what choices are sorted by."""
        return max((cell["latency_ms"][f]["p99"] or 0.0) for cell in self.cells for f in ("read", "write"))


def choose(cells: Sequence[Mapping[str, Any]], wishes: Wishes, environments: Sequence[str]) -> list[Choice]:
    """Every configuration: those that will do first, each group by latency. Raises PlanError: no such environment, or nothing was run."""
    known = list(dict.fromkeys(str(cell["environment"]) for cell in cells))
    for environment in environments:
        if environment not in known:
            raise PlanError(
                f"--under {environment}: the matrix has no such environment{nearest(environment, known)}"
            )
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for cell in cells:
        if cell["runs"] and (not environments or cell["environment"] in environments):
            groups.setdefault(repr(sorted(cell["configuration"].items())), []).append(cell)
    if not groups:
        raise PlanError("the matrix has no run yet; make some with `quorate matrix`")
    wanted = len(environments or known)
    found = []
    for group in groups.values():
        missing = [reason for cell in group for reason in wishes.refusals(cell)]
        if len(group) < wanted:
            missing.append(f"{wanted - len(group)} environments were not run")
        found.append(Choice(group[0]["configuration"], tuple(group), tuple(missing)))
    return sorted(found, key=lambda choice: (bool(choice.missing), choice.cost_ms))


TOLD_MAX: Final = 8  # configurations that will not do, with what they miss
