"""What a campaign file says.

    name = "nightly"
    budget = "6h"
    keep_nights = 90                        of older nights clean runs are only counted

    [[items]]
    name = "register"
    plan = "../examples/register.toml"      beside this file
    runs = 20                               tonight; tomorrow 20 others
    set = { "system.mode" = "register" }    changes of the plan, as --set takes them

    [[accepted]]                            a finding that is known: it is told, and does not make the night red
    finding = "1f3a09c2-d08c"
    owner = "ada"
    note = "clients of mode quorum do not need more"
    until = 2027-03-01

Seeds: run k of night n of an item has the plan's seed + n * runs + k, so that every night looks at something else, and the same night always at
the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from harness.plan import Plan, PlanError, load_plan, nearest
from harness.plan_changes import changed
from harness.plan_toml import read_toml, write_value
from harness.runner import Story

KEYS: Final = ("name", "budget", "keep_nights", "items", "accepted")
KEEP_NIGHTS: Final = 90
ITEM_KEYS: Final = ("name", "plan", "runs", "set")
ACCEPTED_KEYS: Final = ("finding", "owner", "note", "until")


@dataclass(frozen=True, slots=True)
class Item:
    """A plan that is run under so many seeds a night."""

    name: str
    plan: Plan
    runs: int

    def plan_of(self, night: int, run: int) -> Plan:
        """The plan of one run; nights and runs count from 0."""
        return replace(self.plan, seed=self.plan.seed + night * self.runs + run)


@dataclass(frozen=True, slots=True)
class Accepted:
    """Somebody knows of a finding, and answers for it until a day."""

    finding: str
    owner: str
    note: str
    until: str  # a day, as 2027-03-01: such texts compare as days do


@dataclass(frozen=True, slots=True)
class Campaign:
    """The file."""

    name: str
    budget: str
    items: tuple[Item, ...]
    accepted: tuple[Accepted, ...]
    keep_nights: int = KEEP_NIGHTS

    def item(self, name: str) -> Item | None:
        """By its name."""
        return next((item for item in self.items if item.name == name), None)


def load_campaign(path: Path) -> Campaign:
    """Read a campaign and the plans it names. Raises PlanError: what is wrong, and where."""
    source = str(path)
    try:
        table = read_toml(path.read_text(encoding="utf-8"), source)
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"{source}: cannot be read as a campaign: {error}") from None
    _known(table, KEYS, source)
    items = table.get("items")
    if not isinstance(items, list) or not items:
        raise PlanError(f"{source}: a campaign has items; write [[items]], once for each plan")
    made = tuple(_item(each, path.parent, source) for each in items)
    names = [item.name for item in made]
    for name in names:
        if names.count(name) > 1:
            raise PlanError(f"{source}: two items are named {name!r}; rename one")
    accepted = tuple(_accepted(each, source) for each in table.get("accepted", []))
    keep = table.get("keep_nights", KEEP_NIGHTS)
    if type(keep) is not int or keep < 1:
        raise PlanError(f"{source}: keep_nights = {keep!r} is no number of nights; choose 1 or more")
    return Campaign(_text(table, "name", source), _text(table, "budget", source, "1h"), made, accepted, keep)


def _item(table: Any, folder: Path, source: str) -> Item:
    if not isinstance(table, dict):
        raise PlanError(f"{source}: items are tables; write [[items]]")
    _known(table, ITEM_KEYS, f"{source}: [[items]]")
    name = _text(table, "name", f"{source}: [[items]]")
    where = f"{source}: item {name!r}"
    runs, changes = table.get("runs", 1), table.get("set", {})
    if type(runs) is not int or runs < 1:
        raise PlanError(f"{where}: runs = {runs!r} is no number of runs; choose 1 or more")
    if not isinstance(changes, dict):
        raise PlanError(f'{where}: set is a table of changes, such as {{ "system.mode" = "eventual" }}')
    plan = load_plan(folder / _text(table, "plan", where))
    try:
        plan = changed(plan, [f"{key}={write_value(value)}" for key, value in changes.items()], where)
        Story(plan, "sim")
    except PlanError as error:
        raise PlanError(f"{where}: {error}") from None
    return Item(name, plan, runs)


def _accepted(table: Any, source: str) -> Accepted:
    where = f"{source}: [[accepted]]"
    if not isinstance(table, dict):
        raise PlanError(f"{where} is a table")
    _known(table, ACCEPTED_KEYS, where)
    until = table.get("until")
    if type(until).__name__ != "date":
        raise PlanError(f"{where}: until is a day, such as 2027-03-01, not {until!r}: nothing is accepted for ever")  # fmt: skip
    finding, owner, note = (_text(table, key, where) for key in ("finding", "owner", "note"))
    return Accepted(finding, owner, note, str(until))


def _text(table: Mapping[str, Any], key: str, where: str, usual: str | None = None) -> str:
    value = table.get(key, usual)
    if not isinstance(value, str) or not value:
        raise PlanError(f"{where}: {key} must be given, as text in quotes, not {value!r}")
    return value


def _known(table: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in names:
            raise PlanError(f"{where}: unknown key {key!r}{nearest(key, names)}")
