"""`quorate campaign`: make tonight's runs, and tell in the morning what came of them."""

from __future__ import annotations

import json as json_text
import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from harness.campaign.file import Campaign, load_campaign
from harness.campaign.findings import Finding, findings
from harness.campaign.ledger import Ledger, Record, opened
from harness.campaign.morning import (  # fmt: skip
    Morning,
    changed_between,
    github_lines,
    item_cells,
    junit,
    markdown,
    morning,
    sarif,
    told,
    trend_lines,
)
from harness.campaign.night import configuration_of, forget, go, todo
from harness.campaign.page import morning_page
from harness.campaign.prune import folded
from harness.cli.campaign_estimate import estimate_campaign, told_before
from harness.cli.campaign_small import make_small, smallest_of
from harness.cli.console import STYLES, emit, out, readable, say, stoppable, waiting
from harness.cli.search import budgeted, seconds
from harness.cli.workers import workers
from harness.hosted import cleaned
from harness.plan import PlanError, dump_plan, load_plan
from harness.pool import size_of
from harness.results import OK
from harness.runs import alone, write_text
from harness.search.shrink import Size
from harness.ways import Ways

LEDGER = "campaign.sqlite"


def run_campaign(
    path: Path, jobs: int, ray: str | None, budget: str | None, folder: Path, *, estimate: bool, json: bool
) -> int:
    """Go on with the night that was cut off, or begin the next. Ctrl-C ends it as a budget does."""
    campaign = load_campaign(readable(path))
    for item in campaign.items:
        item.refuse()
    limit_s, begin_s = budgeted(budget or campaign.budget), time.monotonic()
    if campaign.shrink:
        seconds(campaign.shrink)

    plans = [item.plan for item in campaign.items]
    if estimate:
        with workers(jobs, ray, plans) as where:
            return estimate_campaign(campaign, folder / LEDGER, size_of(where), limit_s, json=json)

    def over() -> bool:
        return time.monotonic() - begin_s > limit_s

    hosted = any(item.place is not None for item in campaign.items)
    with (
        workers(jobs, ray, plans) as where,
        alone(folder),
        opened(folder / LEDGER, make=True) as ledger,
        cleaned(hosted),
        stoppable(),
    ):
        told_before(campaign, ledger, size_of(where), limit_s, quiet=json)
        night = ledger.begin(now(), version("quorate"))
        stopped = False
        total, done, bad = sum(item.runs for item in campaign.items), len(ledger.made(night.number)), 0
        with waiting(f"{campaign.name}, night {night.number}", quiet=json) as tick:

            def tell(record: Record) -> None:
                nonlocal done, bad
                done, bad = done + 1, bad + (record.outcome != OK)
                past_s = time.monotonic() - begin_s
                tick(done / total, f"{done:,} of {total:,} runs, {bad} not ok, {past_s * (total - done) / done:.0f} s left")  # fmt: skip

            try:
                left = go(campaign, ledger, night, where, over, tell, folder=folder)  # fmt: skip
            except KeyboardInterrupt:
                stopped = True
                left = len(list(todo(campaign, ledger, night)))
                say(f"stopped; the same command goes on with the {left} runs that are missing")
        if campaign.shrink and not stopped and not over():
            make_small(new_plans(campaign, ledger, folder), folder, seconds(campaign.shrink), jobs or os.cpu_count() or 1, over, quiet=json)  # fmt: skip
        if not left:
            ledger.end(night, now())
            forget(ledger, folder, night.number + 1 - campaign.keep_nights)
            if fewer := ledger.small(night.number + 1 - campaign.keep_nights, folded):
                say(
                    f"of nights older than {campaign.keep_nights} clean runs are only counted now: {fewer:,} records less"
                )
        found = gathered(campaign, ledger, folder)
        assert found is not None
        written(found, folder)
    emit(found.as_json()) if json else show(found, folder)
    return found.status


def report_campaign(path: Path, form: str, folder: Path) -> int:
    """Write everything anew, and print it in one form; the exit status is the night's."""
    campaign = load_campaign(readable(path))
    with opened(folder / LEDGER) as ledger:
        found = gathered(campaign, ledger, folder)
    if found is None:
        raise PlanError(f"{folder} holds no night yet; begin with `quorate campaign run {path}`")
    files = written(found, folder)
    if form == "text":
        show(found, folder)
    elif form == "github":
        print("\n".join(github_lines(found)) or "no new finding")
    elif form in files:
        print(files[form].read_text(encoding="utf-8"), end="")
    else:
        raise PlanError(f"there is no form {form!r}; use text, github, {', '.join(files)}")
    return found.status


def diff_nights(path: Path, earlier: int, later: int, folder: Path, *, json: bool) -> int:
    """What changed between two nights; the exit status is 1 if the later has something new."""
    campaign = load_campaign(readable(path))
    with opened(folder / LEDGER) as ledger:
        known = [night.number for night in ledger.nights()]
        for night in (earlier, later):
            if night not in known:
                raise PlanError(f"there is no night {night}; there are {', '.join(map(str, known)) or 'none'}")  # fmt: skip
        parts = changed_between(findings(ledger.records(), campaign.accepted, today()), earlier, later)
    if json:
        emit(parts)
    for part, lines in parts.items() if not json else ():
        print(f"{part}:" if lines else f"{part}: nothing")
        print("".join(f"  {line}\n" for line in lines), end="")
    return 1 if parts["new"] else 0


def gathered(campaign: Campaign, ledger: Ledger, folder: Path) -> Morning | None:
    """The morning, the plan of each finding's example written beside the ledger."""
    nights = ledger.nights()
    missing = len(list(todo(campaign, ledger, nights[-1]))) if nights else 0
    known = findings(ledger.records(), campaign.accepted, today())
    ways = {each.id: found for each in known if (found := ways_to(campaign, each, folder)) is not None}
    return morning(campaign, ledger, today(), missing=missing, ways=ways)


def new_plans(campaign: Campaign, ledger: Ledger, folder: Path) -> list[tuple[Finding, str]]:
    """The findings of the last night that nobody knows of, each with its plan: those that can be made small, being simulated."""
    known = [each for each in findings(ledger.records(), campaign.accepted, today()) if each.red]
    ways = [(each, ways_to(campaign, each, folder)) for each in known]
    return [(each, found.plan) for each, found in ways if found is not None and found.place is None]


def ways_to(campaign: Campaign, found: Finding, folder: Path) -> Ways | None:
    """How a finding is seen again, its plan written; None if the campaign has its item, or the item its configuration, no more."""
    item = campaign.item(found.example.item)
    if item is None or configuration_of(item.plan, item.world) != found.configuration:
        return None
    path = folder / "findings" / f"{found.id}.toml"
    path.parent.mkdir(exist_ok=True)
    write_text(path, dump_plan(replace(item.plan, seed=found.example.seed, name=f"finding-{found.id}")))
    left = str(folder / found.example.folder / "latest") if found.example.folder else ""
    small = smallest_of(found, folder)
    size = str(Size.of(load_plan(small))) if small.exists() else ""
    return Ways(str(path), item.plan.nodes, item.place, left, str(small) if size else "", size)


def written(found: Morning, folder: Path) -> dict[str, Path]:
    """All forms as files."""
    forms = {
        "html": ("morning.html", morning_page(found)),
        "md": ("morning.md", markdown(found)),
        "json": ("morning.json", json_text.dumps(found.as_json(), indent=1) + "\n"),
        "junit": ("junit.xml", junit(found)),
        "sarif": ("findings.sarif", json_text.dumps(sarif(found), indent=1) + "\n"),
    }
    for name, text in forms.values():
        write_text(folder / name, text)
    return {form: folder / name for form, (name, _) in forms.items()}


def show(found: Morning, folder: Path) -> None:
    """For a person."""
    from rich.table import Table
    from rich.text import Text

    console = out()
    colour = STYLES["valid" if found.outcome == OK else "invalid" if found.outcome in ("violation", "crash") else "unknown"]  # fmt: skip
    console.print(Text(found.outcome.upper(), style=colour), Text(f" {found.campaign.name}, night {found.night.number}: {found.why}"), sep="", soft_wrap=True)  # fmt: skip
    if found.findings:
        table = Table("state", "finding", "configuration", "how often", "again", box=None)
        for each in found.findings:
            table.add_row(each.state, f"{each.id} {each.title}", each.configuration, told(found, each), found.ways[each.id].again if each.id in found.ways else "–")  # fmt: skip
        console.print(table)
    table = Table("item", "world", "outcomes", "faults that bit", "clean runs", "rate still possible", "p99 by night, ms", box=None)  # fmt: skip
    for cells in item_cells(found):
        table.add_row(*cells)
    console.print(table)
    for line in trend_lines(found):
        console.print(line, markup=False, soft_wrap=True)
    say(f"report: {folder / 'morning.html'}")


def now() -> str:
    """The time, for the ledger."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def today() -> str:
    """The day, for what is accepted until a day."""
    return datetime.now(UTC).date().isoformat()
