"""What sweeps say of the strategies, as tables: how long until each mistake is found, and which strategy is faster than the plain one.

    sweeps of a bug under a strategy ──► Kaplan and Meier ──► "5 / >12": half are found within 5, nine tenths not within 12
    all sweeps of two strategies ──► log-rank test, bug by bug ──► faster, slower, or no difference shown

Runs say how good the choice of runs is, processor time what it costs in all. Of the two tests the one over times decides; the one over pairs of sweeps from
the same seed looks at runs, and is there to be compared with it. p is corrected for the number of strategies that are tried (`censored.holm`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from statistics import median
from typing import Final, Literal

from harness.search.censored import (
    MEDIAN,
    P90,
    LogRank,
    Time,
    holm,
    log_rank,
    quantile,
    sign_test,
)
from harness.search.detection import Name
from harness.search.sweep_file import Kept, Limits

BASE: Final = "seeds"
LEVEL: Final = 0.05
Measure = Literal["runs", "cpu_s"]


def times_of(kept: Iterable[Kept], measure: Measure) -> list[Time]:
    """How long each sweep took, and whether it found."""
    return [(getattr(each.sweep, measure), bool(each.sweep.broken)) for each in kept]


def cells(kept: Mapping[Name, Kept], bugs: Collection[str], strategy: str) -> dict[str, list[Kept]]:
    """The sweeps of each bug under a strategy, in order of their seeds."""
    found: dict[str, list[Kept]] = {bug: [] for bug in bugs}
    for name in sorted(kept):
        if name[0] in found and name[1] == strategy:
            found[name[0]].append(kept[name])
    return found


def cell(times: Sequence[Time], digits: int) -> str:
    """The median and the 90th percentile; a dash of nothing."""
    return " / ".join(_shown(times, share, digits) for share in (MEDIAN, P90)) if times else "–"


def _shown(times: Sequence[Time], share: Fraction, digits: int) -> str:
    """The time by which this share is found, or more than the longest that was tried."""
    at = quantile(times, share)
    return f"{at:.{digits}f}" if at is not None else f">{max(each for each, _ in times):.{digits}f}"


def rows(kept: Mapping[Name, Kept], bugs: Mapping[str, str], strategies: Sequence[str], measure: Measure) -> Iterator[str]:  # fmt: skip
    """The table of all bugs, which are given with their checkers: median and 90th percentile, and how many sweeps a cell has."""
    digits = {"runs": 0, "cpu_s": 1}[measure]
    yield f"| bug | checker | sweeps | {' | '.join(strategies)} |"
    yield "|" + "---|" * (3 + len(strategies))
    columns = [cells(kept, bugs, each) for each in strategies]
    for bug, checker in bugs.items():
        counts = sorted({len(column[bug]) for column in columns if column[bug]}) or [0]
        words = [cell(times_of(column[bug], measure), digits) for column in columns]
        yield f"| `{bug}` | {checker} | {'–'.join(map(str, counts[:: max(1, len(counts) - 1)]))} | {' | '.join(words)} |"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A strategy beside the plain one. `sooner` and `later`: in how many pairs it needed fewer runs, more runs; `p` and `p_pairs` are corrected."""

    strategy: str
    ranks: LogRank
    p: float
    sooner: int
    later: int
    p_pairs: float

    @property
    def word(self) -> str:
        """What may be said."""
        if self.p >= LEVEL:
            return f"no difference from `{BASE}` shown"
        return f"**{'faster' if self.ranks.rate_ratio > 1 else 'slower'} than `{BASE}`**"


def comparisons(kept: Mapping[Name, Kept], bugs: Collection[str], strategies: Sequence[str]) -> list[Comparison]:  # fmt: skip
    """Each strategy beside the plain one, over sweeps that both have."""
    others = [each for each in strategies if each != BASE]
    ranks, signs = dict[str, LogRank](), dict[str, tuple[int, int, float]]()
    for other in others:
        pairs = {
            (bug, repeat): (kept[bug, other, repeat], kept[bug, BASE, repeat])
            for bug, strategy, repeat in kept
            if strategy == other and bug in bugs and (bug, BASE, repeat) in kept
        }
        strata = [[pair for (of, _), pair in pairs.items() if of == bug] for bug in bugs]
        ranks[other] = log_rank(
            (times_of((own for own, _ in pair), "cpu_s"), times_of((base for _, base in pair), "cpu_s"))
            for pair in strata
        )
        signs[other] = sign_test(
            (times_of([own], "runs")[0], times_of([base], "runs")[0]) for own, base in pairs.values()
        )
    p = holm({other: ranks[other].p for other in others})
    p_pairs = holm({other: signs[other][2] for other in others})
    return [Comparison(other, ranks[other], p[other], *signs[other][:2], p_pairs[other]) for other in others]


def compared(kept: Mapping[Name, Kept], bugs: Collection[str], strategies: Sequence[str]) -> Iterator[str]:
    """The table of strategies."""
    yield "| strategy | found, of sweeps | the median bug | findings in the same time | p | pairs: fewer runs, more | p | |"
    yield "|---|---|---|---|---|---|---|---|"
    beside = {each.strategy: each for each in comparisons(kept, bugs, strategies)}
    for strategy in strategies:
        column = [each for each in cells(kept, bugs, strategy).values() if each]
        made = [each for one in column for each in one]
        found = sum(bool(each.sweep.broken) for each in made)
        head = f"| `{strategy}` | {found} of {len(made)} | {shown_middle(column)} |"
        if strategy not in beside:
            yield f"{head} 1 | | | | |"
            continue
        one = beside[strategy]
        low, high = one.ranks.interval
        yield (
            f"{head} {one.ranks.rate_ratio:.2f} times ({low:.2f}–{high:.2f}) | {one.p:.2g} "
            f"| {one.sooner}, {one.later} | {one.p_pairs:.2g} | {one.word} |"
        )


def shown_middle(column: Sequence[Sequence[Kept]]) -> str:
    """The median over bugs of their medians, in seconds: half of the bugs are found as fast by half of the sweeps."""
    middles = [quantile(times_of(each, "cpu_s"), MEDIAN) for each in column]
    at = median(each if each is not None else inf for each in middles) if middles else None
    return "–" if at is None else "more than was tried" if at == inf else f"{at:.1f} s"


def beyond(kept: Mapping[Name, Kept], bugs: Collection[str], strategy: str, target: Limits) -> tuple[list[str], list[str]]:  # fmt: skip
    """The bugs that a sweep has not found within both limits, and those of which a sweep ended before it could tell."""
    missed, unsure = list[str](), list[str]()
    for bug, made in cells(kept, bugs, strategy).items():
        late = [each for each in made if each.sweep.runs > target.runs or each.sweep.cpu_s > target.cpu_s]
        ended = [each for each in made if not each.sweep.broken]
        full = [each for each in ended if each.sweep.runs >= target.runs or each.sweep.cpu_s >= target.cpu_s]
        if late or full:
            missed.append(bug)
        elif ended or not made:
            unsure.append(bug)
    return missed, unsure
