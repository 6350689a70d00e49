"""`quorate campaign run --estimate`: how long a night will take, before it is begun; and the same in a line when one begins."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from harness.campaign.estimate import Cost, cost_of, costs, night_s
from harness.campaign.file import Campaign, Item
from harness.campaign.ledger import Ledger, opened
from harness.campaign.night import run_one
from harness.cli.console import emit, out, say, waiting
from harness.cli.search import UNKNOWN
from harness.hosted import HOSTS, cleaned
from harness.plan import dump_plan
from harness.report import words


def told_before(campaign: Campaign, ledger: Ledger, jobs: int, limit_s: float, *, quiet: bool) -> None:
    """What is known of it, in a line."""
    found = costs(campaign, ledger.records())
    unknown = sum(cost.each_s is None for cost in found)
    if quiet or unknown == len(found):
        return
    say(sentence(found, jobs, limit_s) + (f"; of {words.plural(unknown, 'item')} nothing is known yet" if unknown else ""))  # fmt: skip


def sentence(found: list[Cost], jobs: int, limit_s: float) -> str:
    """`estimate: 3.2 h for 9,030 runs in 2 processes; the budget is 6.0 h`."""
    runs = words.plural(sum(cost.runs for cost in found), "run")
    beside = f"in {jobs} processes" if jobs > 1 else "in one process"
    return f"estimate: {length(night_s(found, jobs))} for {runs} {beside}; the budget is {length(limit_s)}"


def length(time_s: float) -> str:
    """In the unit that fits."""
    for unit, name in ((3600, "h"), (60, "min")):
        if time_s >= unit:
            return f"{time_s / unit:.1f} {name}"
    return f"{time_s:.1f} s"


def estimate_campaign(campaign: Campaign, ledger: Path, jobs: int, limit_s: float, *, json: bool) -> int:
    """Print it; of an item that the ledger knows nothing of, a run is made to see, and not counted. The exit status is 2 if the budget is too short."""
    records = []
    if ledger.exists():
        with opened(ledger) as known:
            records = list(known.records())
    found = costs(campaign, records)
    hosted = any(cost.each_s is None and cost.world == HOSTS for cost in found)
    with cleaned(hosted), waiting("one run of each item of which nothing is known", quiet=json) as tick:
        for place, (item, cost) in enumerate(zip(campaign.items, found, strict=True)):
            tick(place / len(found), item.name)
            if cost.each_s is None:
                found[place] = tried(item)
    total_s = night_s(found, jobs)
    if json:
        emit({"items": [cost.as_json() for cost in found], "jobs": jobs, "total_s": round(total_s, 1), "budget_s": limit_s})  # fmt: skip
    else:
        show(found)
        print(sentence(found, jobs, limit_s))
    return 0 if total_s <= limit_s else UNKNOWN


def tried(item: Item) -> Cost:
    """From one run, that of the first night's first seed."""
    with TemporaryDirectory(prefix="quorate-") as folder:
        return cost_of(item, [run_one(0, item.name, 0, dump_plan(item.plan_of(0, 0)), item.place, Path(folder))])  # fmt: skip


def show(found: list[Cost]) -> None:
    """For a person."""
    from rich.table import Table

    table = Table("item", "world", "runs a night", "seconds each", "of so many seen", "all of them", box=None)
    for cost in found:
        each = "–" if cost.each_s is None else f"{cost.each_s:.2f}"
        table.add_row(cost.item, cost.world, f"{cost.runs:,}", each, f"{cost.seen:,}", length(cost.total_s))
    out().print(table)
