"""How long a night will take, from what its items have cost: said before it begins.

    ledger ─► seconds of each run that was made, latest nights first ─┐
    one run made to see, of an item that has none ────────────────────┴─► runs x seconds, over all items ÷ processes ─► against the budget

A simulated run costs processor time and nothing else, so its seconds are those of the processor, whatever else the machine does. A run on hosts waits
for most of its time: there the seconds are real ones. Both are shared by as many processes as run at the same time, if there are cores for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.campaign.file import Campaign, Item
from harness.campaign.ledger import Record
from harness.hosted import HOSTS

RUNS_MAX: Final = 200  # of an item that are looked at, the latest


@dataclass(frozen=True, slots=True)
class Cost:
    """Of an item: `each_s` seconds a run, from so many `seen` runs; None if none has been seen."""

    item: str
    world: str
    runs: int
    each_s: float | None
    seen: int

    @property
    def total_s(self) -> float:
        """Of a night, in one process."""
        return self.runs * (self.each_s or 0.0)

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        each_s = None if self.each_s is None else round(self.each_s, 3)
        return {"item": self.item, "world": self.world, "runs": self.runs, "each_s": each_s, "seen": self.seen, "total_s": round(self.total_s, 1)}  # fmt: skip


def costs(campaign: Campaign, records: Iterable[Record]) -> list[Cost]:
    """One for each item of the file."""
    made = list(records)
    return [cost_of(item, [record for record in made if record.item == item.name]) for item in campaign.items]


def cost_of(item: Item, made: Sequence[Record]) -> Cost:
    """From these runs, those of the other world left out: the item may have been moved."""
    known = [record for record in made if record.world == item.world and seconds_of(record) > 0][-RUNS_MAX:]
    count = sum(record.count for record in known)
    each_s = sum(map(seconds_of, known)) / count if count else None
    return Cost(item.name, item.world, item.runs, each_s, count)


def seconds_of(record: Record) -> float:
    """What a record's runs took."""
    return record.real_s if record.world == HOSTS else record.cpu_s


def night_s(found: Sequence[Cost], jobs: int) -> float:
    """Of the whole night, with so many processes."""
    return sum(cost.total_s for cost in found) / jobs
