"""`quorate campaign status`, `runs`, `show` and `replay`: look into a ledger between two mornings. Nothing in it is changed, so a night may go on meanwhile."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from harness.campaign.chosen import HEAD, Choice, chosen, line_of, run_json
from harness.campaign.file import Campaign, Item, load_campaign
from harness.campaign.findings import Finding, findings
from harness.campaign.ledger import Ledger, Night, opened
from harness.campaign.night import configuration_of, run_one
from harness.campaign.status import (
    Replayed,
    Status,
    found_by,
    history_of,
    outcomes,
    shown,
    standing,
    status_of_nights,
)
from harness.cli.campaign import LEDGER, today, ways_to
from harness.cli.console import STYLES, emit, out, readable, waiting
from harness.hosted import cleaned
from harness.plan import PlanError, dump_plan
from harness.report import words


def status_campaign(path: Path, folder: Path, *, json: bool) -> int:
    """Where the nights stand."""
    campaign = load_campaign(readable(path))
    with opened(folder / LEDGER) as ledger:
        found = status_of_nights(campaign, begun(ledger, path, folder), list(ledger.records()), today())
    if json:
        emit(found.as_json())
    else:
        print("\n".join(status_lines(found, path, folder)))
    return 0


def status_lines(found: Status, path: Path, folder: Path) -> list[str]:
    """For a person."""
    lines = [f"{found.campaign.name}: {words.plural(found.nights, 'night')} in {folder / LEDGER}"]
    if found.last is not None:
        night, runs, outcome, why = found.last
        lines.append(
            f"last night: {night.number}, ended {night.ended}, quorate {night.version}: {outcome}: {why} ({counted(outcomes(runs))})"
        )
    if found.going is not None:
        night, runs = found.going
        done = found.done()
        made, total = (sum(part) for part in zip(*done.values(), strict=True))
        lines.append(
            f"not ended: night {night.number}, began {night.began}: {made:,} of {words.plural(total, 'run')} ({counted(outcomes(runs))})"
        )
        lines += [f"  {name}: {count} of {runs_of}" for name, (count, runs_of) in done.items()]
        lines.append(f"  if it was cut off, it is gone on with by: {command('run', path, folder=folder)}")
    for state, each_of in found.open().items():
        lines.append(f"{state}: {len(each_of) or 'none'}")
        lines += [f"  {each.id} {each.title} ({each.configuration})" for each in each_of]
    resolved = sum(each.state == "resolved" for each in found.findings)
    return [*lines, f"resolved: {resolved or 'none'}"]


def list_runs(
    path: Path, night: int | None, item: str | None, outcome: str | None, finding: str | None, folder: Path, *, json: bool
) -> int:  # fmt: skip
    """The runs that are asked for."""
    choice = Choice(night, item, outcome, finding)
    load_campaign(readable(path))
    with opened(folder / LEDGER) as ledger:
        begun(ledger, path, folder)
        found = list(chosen(ledger.records(night), choice))
    if json:
        emit([run_json(run) for run in found])
    else:
        print("\n".join([HEAD, *map(line_of, found), words.plural(len(found), "run")]))
    return 0


def counted(found: dict[str, int]) -> str:
    """`3 ok, 2 violation`."""
    return ", ".join(f"{count} {name}" for name, count in found.items()) or "no run"


def show_finding(path: Path, name: str, folder: Path, *, json: bool) -> int:
    """One finding over the nights."""
    campaign = load_campaign(readable(path))
    with opened(folder / LEDGER) as ledger:
        nights, found = looked_up(campaign, ledger, path, name, folder)
    ways = ways_to(campaign, found, folder)
    again = None if ways is None else command("replay", path, name, folder=folder)
    if json:
        emit(shown(found, nights, ways, again))
        return 0
    run = found.example
    promise = campaign.promise(found.example.item, found.claim)
    lines = [
        f"{found.id} {found.title}: {found.state}",
        found.configuration,
        *([promise] if promise else []),
        standing(found),
    ]
    if found.accepted is not None:
        lines.append(
            f"accepted by {found.accepted.owner} until {found.accepted.until}: {found.accepted.note}"
        )
    for each in history_of(found, nights):
        lines.append(
            f"  night {each['night']}, {each['began']}, quorate {each['version']}: {each['hits']} of {words.plural(each['runs'], 'run')}"
        )
    lines.append(
        f"example: {run.item}, in the world {run.world}, night {run.night}, seed {run.seed}, {words.plural(run.core_ops, 'operation')} in its core of {run.ops:,}"
    )
    lines += [
        f"  {words.sentence(run.sentence or run.reason)}",
        run.drawing,
        f"comes down to: {'; '.join(found.shapes)}" if found.shapes else "",
    ]
    lines.append(f"again: {again or gone(campaign, found)}")
    if ways is not None:
        lines += [
            f"{what}: {how}"
            for what, how in (
                ("smaller", ways.smaller),
                (f"smallest, {ways.size}", ways.smallest_again),
                ("what it left", ways.evidence),
            )
            if how
        ]
    print("\n".join(line for line in lines if line))
    return 0


def replay_finding(path: Path, name: str, folder: Path, *, json: bool) -> int:
    """Make the example again; the exit status is 1 if the finding came back."""
    campaign = load_campaign(readable(path))
    with opened(folder / LEDGER) as ledger:
        nights, found = looked_up(campaign, ledger, path, name, folder)
    run, item = found.example, example_item(campaign, found)
    item.refuse()
    text = dump_plan(replace(item.plan, seed=run.seed))
    with (
        waiting(f"{found.title}, {run.item}, seed {run.seed}, in the world {item.world}", quiet=json),
        cleaned(item.place is not None),
    ):
        again = Replayed(found, run_one(run.night, run.item, run.run, text, item.place, folder / "replayed"))
    versions = {night.number: night.version for night in nights}
    if json:
        emit(again.as_json(versions, version("quorate")))
        return again.status
    console = out()
    style = STYLES["invalid" if again.came_back else "valid" if again.made.outcome == "ok" else "unknown"]
    console.print(f"{found.id} {found.title}:", end=" ", markup=False)
    console.print(again.told(versions, version("quorate")), style=style, markup=False, soft_wrap=True)
    console.print(words.sentence(again.made.sentence or again.made.reason), markup=False, soft_wrap=True)
    if again.made.drawing:
        console.print(again.made.drawing, markup=False, soft_wrap=True)
    return again.status


def looked_up(
    campaign: Campaign, ledger: Ledger, path: Path, name: str, folder: Path
) -> tuple[Sequence[Night], Finding]:  # fmt: skip
    """The nights and the finding. Raises PlanError."""
    nights = begun(ledger, path, folder)
    return nights, found_by(name, findings(list(ledger.records()), campaign.accepted, today()))


def begun(ledger: Ledger, path: Path, folder: Path) -> Sequence[Night]:
    """The nights. Raises PlanError if there is none yet."""
    nights = ledger.nights()
    if not nights:
        raise PlanError(f"{folder} holds no night yet; begin with `{command('run', path, folder=folder)}`")
    return nights


def example_item(campaign: Campaign, found: Finding) -> Item:
    """The item of the run. Raises PlanError if the campaign file has no such item any more."""
    item = campaign.item(found.example.item)
    if item is None or configuration_of(item.plan, item.world) != found.configuration:
        raise PlanError(f"{found.id} cannot be replayed: {gone(campaign, found)}")
    return item


def gone(campaign: Campaign, found: Finding) -> str:
    """Why the file cannot make the run any more."""
    item = campaign.item(found.example.item)
    if item is None:
        return f"the campaign has no item {found.example.item!r} any more; give the file as it was"
    return f"item {item.name!r} is {configuration_of(item.plan, item.world)!r} now and was {found.configuration!r}; give the file as it was"


def command(what: str, path: Path, *more: str, folder: Path) -> str:
    """As one types it."""
    return shlex.join(["quorate", "campaign", what, str(path), *more, "--out", str(folder)])
