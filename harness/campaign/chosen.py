"""Some runs of a ledger: those of a night, an item, an outcome, a finding. What is not asked for is not looked at.

ledger ─► records ─► chosen by night · item · outcome · finding ─► lines, JSON
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.campaign.findings import family_of, finding_id
from harness.campaign.ledger import Record
from harness.plan import PlanError, nearest
from harness.results import CLASSES


@dataclass(frozen=True, slots=True)
class Choice:
    """What a run must be; None: anything. A finding may be named by its family."""

    night: int | None = None
    item: str | None = None
    outcome: str | None = None
    finding: str | None = None

    def __post_init__(self) -> None:
        if self.outcome is not None and self.outcome not in CLASSES:
            raise PlanError(f"there is no outcome {self.outcome!r}{nearest(self.outcome, CLASSES)}")

    def holds(self, run: Record) -> bool:
        """Is it one of those?"""
        return (
            (self.night is None or run.night == self.night)
            and (self.item is None or run.item == self.item)
            and (self.outcome is None or run.outcome == self.outcome)
            and (self.finding is None or any(self.finding in (name, family_of(name)) for name in ids_of(run)))
        )


def ids_of(run: Record) -> list[str]:
    """The findings that a run shows."""
    return [finding_id(claim, anomaly, run.configuration, pattern if run.shapes else "") for claim, anomaly, pattern in run.broken]  # fmt: skip


def chosen(records: Iterable[Record], choice: Choice) -> Iterator[Record]:
    """Those that hold."""
    return filter(choice.holds, records)


def line_of(run: Record) -> str:
    """One run on one line."""
    why = f"  {' '.join(ids_of(run)) or run.reason}" if run.outcome != "ok" else ""
    why += f"  {run.count:,} runs together" if run.count > 1 else ""
    why += f"  after {run.tries - 1} in trouble" if run.tries > 1 else ""
    return f"{run.night:5} {run.seed:8}  {run.world:5}  {run.outcome:14} {run.ops:7,}  {run.item}{why}"


HEAD = f"{'night':>5} {'seed':>8}  world  {'outcome':14} {'ops':>7}  item"


def run_json(run: Record) -> dict[str, Any]:
    """One run for a program."""
    return {
        "night": run.night, "item": run.item, "run": run.run, "world": run.world, "seed": run.seed, "count": run.count, "outcome": run.outcome, "reason": run.reason,
        "findings": ids_of(run), "configuration": run.configuration, "ops": run.ops, "faults": run.faults, "p99_ms": run.p99_ms,
        "tries": run.tries, "digest": run.digest, "folder": run.folder or None,
    }  # fmt: skip
