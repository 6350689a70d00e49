"""What a campaign file says.

    name = "nightly"
    budget = "6h"
    keep_nights = 90                        of older nights clean runs are only counted
    shrink = "60s"                          how long a new finding is made small; left out: not at all

    [[items]]
    name = "register"
    plan = "../examples/register.toml"      beside this file
    runs = 20                               tonight; tomorrow 20 others
    set = { "system.mode" = "register" }    changes of the plan, as --set takes them
    world = "hosts"                         on hosts that the night makes and takes down; left out: in the simulator
    kind = "netns"                          of hosts; or inventory = "lab.toml", hosts that are there

    [[accepted]]                            a finding that is known: it is told, and does not make the night red
    finding = "1f3a09c2-d08c"
    owner = "ada"
    note = "clients of mode quorum do not need more"
    until = 2027-03-01

Seeds: run k of night n of an item has the plan's seed + n * runs + k, so that every night looks at something else, and the same night always at
the same. On hosts a seed says what is asked for and when, not what comes of it: no run there is the same again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from harness.hosted import HOSTS, PLACE_KEYS, SIM, WORLDS, Place, place_of
from harness.plan import Plan, PlanError, load_plan, nearest
from harness.plan_changes import changed
from harness.plan_claims import Documented, beside, promising, spoken_of
from harness.plan_text import read_text
from harness.plan_toml import read_toml, write_value
from harness.runner import Story

COUNT_MAX: Final = 1_000_000  # runs of an item in a night, and nights
KEYS: Final = ("name", "budget", "keep_nights", "shrink", "items", "accepted")
KEEP_NIGHTS: Final = 90
ITEM_KEYS: Final = ("name", "plan", "runs", "set", "world", *PLACE_KEYS)
ACCEPTED_KEYS: Final = ("finding", "owner", "note", "until")


@dataclass(frozen=True, slots=True)
class Item:
    """A plan that is run under so many seeds a night. `place`: the hosts it is run on; None is the simulator."""

    name: str
    plan: Plan
    runs: int
    place: Place | None = None
    documented: tuple[Documented, ...] = ()  # what its plan claims besides, with the sentence that says so

    @property
    def world(self) -> str:
        """Where it is run."""
        return SIM if self.place is None else HOSTS

    def refuse(self) -> None:
        """Raise PlanError or WorldError if it cannot be run on this machine, as far as it can be told beforehand."""
        if self.place is not None:
            self.place.refuse(self.plan.nodes)

    def plan_of(self, night: int, run: int, used: int | None = None) -> Plan:
        """The plan of one run; nights and runs count from 0. `used`: the last seed of the nights before, which may have had more runs."""
        first = self.plan.seed + night * self.runs
        return replace(self.plan, seed=(first if used is None else max(first, used + 1)) + run)


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
    shrink: str = ""

    def promise(self, item: str, claim: str) -> str:
        """The sentence of the documentation that makes this claim of an item's system, and where it stands; empty if the plan makes it by itself."""
        found = self.item(item)
        said = [each for each in found.documented if each.name == claim] if found is not None else []
        return f"promised: “{said[0].says}” ({said[0].source})" if said else ""

    def item(self, name: str) -> Item | None:
        """By its name."""
        return next((item for item in self.items if item.name == name), None)


def load_campaign(path: Path) -> Campaign:
    """Read a campaign and the plans it names. Raises PlanError: what is wrong, and where."""
    source = str(path)
    table = read_toml(read_text(path, "a campaign"), source)
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
    if type(keep) is not int or not 1 <= keep <= COUNT_MAX:
        raise PlanError(f"{source}: keep_nights = {keep!r} is no number of nights; choose 1 to {COUNT_MAX:,}")
    shrink = _text(table, "shrink", source) if "shrink" in table else ""
    return Campaign(_text(table, "name", source), _text(table, "budget", source, "1h"), made, accepted, keep, shrink)  # fmt: skip


def _item(table: Any, folder: Path, source: str) -> Item:
    if not isinstance(table, dict):
        raise PlanError(f"{source}: items are tables; write [[items]]")
    _known(table, ITEM_KEYS, f"{source}: [[items]]")
    name = _text(table, "name", f"{source}: [[items]]")
    where = f"{source}: item {name!r}"
    runs, changes = table.get("runs", 1), table.get("set", {})
    if type(runs) is not int or not 1 <= runs <= COUNT_MAX:
        raise PlanError(f"{where}: runs = {runs!r} is no number of runs; choose 1 to {COUNT_MAX:,}")
    if not isinstance(changes, dict):
        raise PlanError(f'{where}: set is a table of changes, such as {{ "system.mode" = "eventual" }}')
    path = folder / _text(table, "plan", where)
    plan, documented = load_plan(path), beside(path)
    try:
        plan = changed(plan, [f"{key}={write_value(value)}" for key, value in changes.items()], where)
        plan = promising(plan, documented)
        place = _place(table, folder, plan)
        Story(plan, SIM if place is None else HOSTS)
    except PlanError as error:
        raise PlanError(f"{where}: {error}") from None
    return Item(name, plan, runs, place, tuple(spoken_of(plan, documented)))


def _place(table: Mapping[str, Any], folder: Path, plan: Plan) -> Place | None:
    world = _text(table, "world", "world", SIM)
    if world not in WORLDS:
        raise PlanError(f"there is no world {world!r}{nearest(world, WORLDS)}")
    kind, inventory = (_text(table, key, key) if key in table else None for key in PLACE_KEYS)
    if world == HOSTS:
        return place_of(kind, inventory, folder, plan)
    for key in PLACE_KEYS:
        if key in table:
            raise PlanError(f'{key} is of hosts; write world = "hosts" too, or leave it out')
    return None


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
