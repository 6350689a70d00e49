"""The runs of a cell as one row: what held, what broke and how often, and what it costs.

A level is INVALID if one run refutes it, VALID if every run keeps it, else UNKNOWN. "Kept" means no more than: not refuted in so many runs;
`bound` is the rate of violations that they leave possible (95 %).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from checkers.levels import LEVELS, maximal, minimal
from checkers.verdict import Verdict, merge
from harness.hosted import HOSTS, SIM
from harness.intervals import wilson
from harness.matrix.grid import Cell
from harness.matrix.measure import Measured
from harness.matrix.prices import prices
from harness.plan_claims import Documented, spoken_of
from harness.results import CRASH, INFRASTRUCTURE


@dataclass(frozen=True, slots=True)
class Row:
    """A cell and what its runs in one world say. `numbers` is what `--json` prints of it."""

    cell: Cell
    verdicts: Mapping[str, Verdict]
    strongest: tuple[str, ...]
    weakest_refuted: tuple[str, ...]
    example: Measured | None  # the run with the shortest proof of the weakest level refuted
    numbers: Mapping[str, Any]
    world: str = SIM
    slowest: Measured | None = (
        None  # the run that stands for the cell where it is chosen: the others were faster
    )

    @property
    def configuration(self) -> str:
        """The cell's, and that it was on hosts."""
        return self.cell.configuration + (" on hosts" if self.world == HOSTS else "")

    @property
    def name(self) -> str:
        """With the environment."""
        return f"{self.configuration}, {self.cell.environment}"

    @property
    def anchor(self) -> str:
        """Of this row alone."""
        return f"cell-{self.cell.number}" + ("-hosts" if self.world == HOSTS else "")


def merge_cell(cell: Cell, runs: Sequence[Measured], documented: Sequence[Documented] = (), world: str = SIM) -> Row:  # fmt: skip
    """One row. `documented`: what is promised of the system, of which the cell's configuration may be asked something."""
    judged = [run for run in runs if run.levels]
    levels = {
        level: merge(Verdict(run.levels[level]) for run in judged)
        for level in LEVELS
        if judged and all(level in run.levels for run in judged)
    }
    if len(judged) < len(runs):  # a run that crashed acquits nobody
        levels = {k: Verdict.UNKNOWN if v is Verdict.VALID else v for k, v in levels.items()}
    strongest, refuted = maximal(levels), minimal(levels)
    guilty = sorted((run for run in runs if run.core_ops), key=lambda run: (run.core_ops, run.seed))
    slowest = slowest_of(judged)
    return Row(
        cell=cell,
        verdicts=levels,
        strongest=tuple(strongest),
        weakest_refuted=tuple(refuted),
        example=guilty[0] if guilty else None,
        slowest=slowest,
        world=world,
        numbers={
            "cell": cell.number,
            "world": world,
            "configuration": dict(cell.coordinates),
            "environment": cell.environment,
            "refused": cell.refused or None,
            "system": dict(cell.system),
            "runs": len(runs),
            "crashes": sum(run.outcome == CRASH for run in runs),
            "infrastructure": sum(run.outcome == INFRASTRUCTURE for run in runs),
            "tried_again": sum(run.tries - 1 for run in runs if run.outcome != INFRASTRUCTURE),
            "unknown": sum(run.outcome == "unknown" for run in runs),
            "levels": {level: verdict.value for level, verdict in levels.items()},
            "violations": {level: rate_of(level, judged) for level in levels},
            "strongest": list(strongest),
            "weakest_refuted": list(refuted),
            **prices(judged),
            "example": None if not guilty else example_of(guilty[0]),
            "slowest": None
            if slowest is None
            else {"seed": slowest.seed, "p99_ms": p99_of(slowest), "digest": slowest.digest},
            "promises": promises(cell, runs, documented),
        },
    )


def promises(cell: Cell, runs: Sequence[Measured], documented: Sequence[Documented]) -> list[dict[str, Any]]:
    """What the documentation promises of the cell, each with its verdict: broken by one run, or kept by all."""
    found = []
    for claim in spoken_of(cell.plan, documented) if cell.plan is not None and runs else ():
        verdicts = [Verdict(run.claims.get(claim.name, Verdict.UNKNOWN.value)) for run in runs]
        hits, (low, high) = (
            verdicts.count(Verdict.INVALID),
            wilson(verdicts.count(Verdict.INVALID), len(runs)),
        )
        found.append({
            "claim": claim.name, "says": claim.says, "source": claim.source, "verdict": merge(verdicts).value,
            "broken": hits, "low": round(low, 6), "high": round(high, 6),
        })  # fmt: skip
    return found


def rate_of(level: str, runs: Sequence[Measured]) -> dict[str, Any]:
    """In how many runs the level was refuted, and the interval of that rate."""
    hits = sum(run.levels[level] == Verdict.INVALID.value for run in runs)
    low, high = wilson(hits, len(runs))
    return {"runs": hits, "low": round(low, 6), "high": round(high, 6)}


def slowest_of(runs: Sequence[Measured]) -> Measured | None:
    """The run whose p99 is the worst, the first of several."""
    return min(runs, key=lambda run: (-p99_of(run), run.seed), default=None)


def p99_of(run: Measured) -> float:
    """Of reads or writes, whichever is slower."""
    return max((of["p99"] for of in run.latency_ms.values()), default=0.0)


def example_of(run: Measured) -> dict[str, Any]:
    """The shortest proof."""
    return {"seed": run.seed, "ops": run.core_ops, "anomaly": run.anomaly, "proof": run.proof, "drawing": run.drawing}  # fmt: skip
