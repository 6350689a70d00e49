r"""A matrix: one plan, with some of its values varied along axes, under several environments.

    name = "nrw"                      plan ──┐
    plan = "quorum.toml"              axes ──┼─► every combination ─► Cell(coordinates, plan) ─┐
    seeds = 20                        envs ──┘                     └─► Cell(coordinates, refused: why)
                                                                     x seeds ─► runs
    [axes]
    "system.mode" = ["eventual", "quorum"]
    "system.r" = [1, 2, 3]

    [environments.calm]
    [environments.partition]
    faults = [{ kind = "partition", shape = "halves", every_s = 8.0 }]

    [hosts]                           some of the cells on hosts too, beside the simulator's row
    runs = 3                          of each
    cells = [{ "system.mode" = "quorum", environment = "partition" }]     that have all these values; left out: all cells
    kind = "netns"                    or inventory = "lab.toml"

What a `claims.toml` beside the plan promises of a cell's configuration and faults is claimed by its runs (`harness.plan_claims`).

A combination that the system refuses (mode register with r = 1) is a cell too: that it cannot be configured is an answer. If every one is
refused, the file is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Final

from harness.hosted import HOSTS, PLACE_KEYS, Place, place_of
from harness.plan import Plan, PlanError, dump_plan, load_plan, nearest, parse_plan
from harness.plan_changes import with_value
from harness.plan_claims import Documented, beside, dump_claims, promising
from harness.plan_text import read_text
from harness.plan_toml import read_toml, write_key, write_value
from harness.runner import Story

KEYS: Final = ("name", "plan", "seeds", "axes", "environments", "hosts")
HOSTS_KEYS: Final = ("runs", "cells", *PLACE_KEYS)
ENVIRONMENT: Final = "environment"
ENVIRONMENT_KEYS: Final = ("faults", "sim")
CELLS_MAX: Final = 10_000
RUNS_MAX: Final = 1_000_000  # of a cell


@dataclass(frozen=True, slots=True)
class Cell:
    """One configuration in one environment. `plan` is None if the system refuses it, and `refused` says why."""

    number: int
    coordinates: Mapping[str, Any]
    environment: str
    plan: Plan | None
    refused: str = ""
    system: Mapping[str, Any] = field(default_factory=dict)  # as it describes itself, defaults filled in

    def is_at(self, values: Mapping[str, Any]) -> bool:
        """Has it all these coordinates? `environment` is one of them."""
        here = {**self.coordinates, ENVIRONMENT: self.environment}
        return all(here[axis] == value for axis, value in values.items())

    @property
    def name(self) -> str:
        """`mode=quorum r=2 w=2, partition`."""
        return f"{self.configuration}, {self.environment}"

    @property
    def configuration(self) -> str:
        """`mode=quorum r=2 w=2`: the coordinates by the last part of their names."""
        return (
            " ".join(f"{short(axis)}={value}" for axis, value in self.coordinates.items()) or "as it stands"
        )


@dataclass(frozen=True, slots=True)
class Hosted:
    """Cells, by their numbers, that are run on hosts too, and how often each."""

    runs: int
    cells: tuple[int, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Matrix:
    """What a matrix file holds. `text` is all that the cells depend on: two with the same text are the same."""

    name: str
    seeds: int
    axes: Mapping[str, tuple[Any, ...]]
    environments: Mapping[str, Mapping[str, Any]]
    cells: tuple[Cell, ...]
    text: str
    hosted: Hosted | None = None
    documented: tuple[Documented, ...] = ()


def short(axis: str) -> str:
    """`system.mode` is `mode`."""
    return axis.rpartition(".")[2]


def load_matrix(path: Path, seeds: int | None = None) -> Matrix:
    """Read a matrix file and the plan it names. `seeds` is in place of the file's. Raises PlanError."""
    source = str(path)
    table = read_toml(read_text(path, "a matrix"), source)
    known(table, KEYS, f"{source}: unknown key")
    plan_path = path.parent / typed(table, "plan", str, source)
    base = load_plan(plan_path)
    if base.script or base.strokes:
        raise PlanError(
            f"{plan_path}: a script is one run and cannot be varied; give the plan it was made of"
        )
    count = typed(table, "seeds", int, source) if seeds is None else seeds
    if not 1 <= count <= RUNS_MAX:
        raise PlanError(f"{source}: seeds = {count} is no number of runs of a cell; choose 1 to {RUNS_MAX:,}")
    axes = {name: values_of(name, values, source) for name, values in section(table, "axes", source).items()}
    environments = section(table, "environments", source) or {"as planned": None}
    documented = beside(plan_path)
    cells = tuple(
        cell if cell.plan is None else replace(cell, plan=promising(cell.plan, documented))
        for cell in cells_of(base, axes, environments, source)
    )
    if all(cell.plan is None for cell in cells):
        raise PlanError(f"{source}: every cell is refused, the first with: {cells[0].refused}")
    return Matrix(
        name=typed(table, "name", str, source),
        seeds=count,
        axes=axes,
        environments={name: env or {} for name, env in environments.items()},
        cells=cells,
        text=text_of(plan_path, table, documented),
        hosted=hosted_of(table["hosts"], cells, axes, path.parent, base, source)
        if "hosts" in table
        else None,
        documented=documented,
    )


def text_of(plan_path: Path, table: Mapping[str, Any], documented: Sequence[Documented]) -> str:
    """What the simulated runs depend on."""
    settled = {key: value for key, value in table.items() if key not in ("seeds", "hosts")}
    promised = f"\n{dump_claims(documented)}" if documented else ""
    return f"{plan_path.read_text(encoding='utf-8')}\n{write_value(settled)}{promised}"


def hosted_of(
    table: Any, cells: Sequence[Cell], axes: Mapping[str, Any], folder: Path, base: Plan, source: str
) -> Hosted:
    """Which cells are run on hosts. Raises PlanError: none is, or one cannot be."""
    where = f"{source}: [hosts]"
    if not isinstance(table, dict):
        raise PlanError(f"{source}: hosts is not a table; write [hosts]")
    known(table, HOSTS_KEYS, f"{where}: unknown key")
    runs, wanted = table.get("runs", 1), table.get("cells", [{}])
    if type(runs) is not int or not 1 <= runs <= RUNS_MAX:
        raise PlanError(f"{where}: runs = {runs!r} is no number of runs; choose 1 to {RUNS_MAX:,}")
    if not isinstance(wanted, list) or not all(isinstance(each, dict) for each in wanted):
        raise PlanError(f'{where}: cells is a list of tables, such as [{{ "system.r" = 1, environment = "calm" }}]')  # fmt: skip
    for each in wanted:
        known(each, (*axes, ENVIRONMENT), f"{where}: cells: unknown axis")
    made = [cell for cell in cells if cell.plan is not None]
    chosen = [cell for cell in made if any(map(cell.is_at, wanted))]
    if not chosen:
        raise PlanError(f"{where}: no cell that the system takes has the values of cells = {wanted!r}")
    try:
        place = place_of(table.get("kind"), table.get("inventory"), folder, base)
    except PlanError as error:
        raise PlanError(f"{where}: {error}") from None
    for cell in chosen:
        assert cell.plan is not None
        try:
            Story(cell.plan, HOSTS)
        except PlanError as error:
            raise PlanError(f"{where}: {cell.name}: {error}") from None
    return Hosted(runs, tuple(cell.number for cell in chosen), place)


def cells_of(
    base: Plan, axes: Mapping[str, tuple[Any, ...]], environments: Mapping[str, Any], source: str
) -> Iterator[Cell]:
    """Every combination, the last axis fastest, environments slowest."""
    total = len(environments)
    for values in axes.values():
        total *= len(values)
    if total > CELLS_MAX:
        raise PlanError(f"{source}: {total:,} cells are more than {CELLS_MAX:,}; leave out values")
    number = 0
    for name, environment in environments.items():
        placed = in_environment(base, name, environment, source)
        for values in product(*axes.values()):
            coordinates = dict(zip(axes, values, strict=True))
            yield placed_at(Cell(number, coordinates, name, placed), source)
            number += 1


def in_environment(base: Plan, name: str, environment: Any, source: str) -> Plan:
    """The plan with the environment's faults in place of its own, and its [sim] values over its own."""
    if environment is None:
        return base
    if not isinstance(environment, dict):
        raise PlanError(f"{source}: environments.{name} is not a table; write [environments.{name}]")
    known(environment, ENVIRONMENT_KEYS, f"{source}: environments.{name}: unknown key")
    lines = ['name = "x"', 'workload = "x"', 'claims = ["linearizable"]', f"nodes = {base.nodes}"]
    for key, value in environment.items():
        lines.append(f"{write_key(key)} = {write_value(value)}")
    fragment = parse_plan("\n".join([*lines, '[system]\nname = "x"']), f"{source}: environments.{name}")
    return replace(base, faults=fragment.faults, sim={**base.sim, **fragment.sim})


def placed_at(cell: Cell, source: str) -> Cell:
    """Its plan with its values, as the system takes it; or none and why it does not. A key that is none is PlanError."""
    plan = cell.plan
    assert plan is not None
    for axis, value in cell.coordinates.items():
        try:
            plan = with_value(plan, axis, value, str(value))
        except PlanError as error:
            raise PlanError(f"{source}: axes: {error}") from None
    try:
        plan = parse_plan(dump_plan(plan), source)
        system = Story(plan, "sim").system
    except PlanError as error:
        return replace(cell, plan=None, refused=str(error))
    return replace(cell, plan=plan, system={"name": plan.system, **system.describe()})


def section(table: Mapping[str, Any], name: str, source: str) -> dict[str, Any]:
    """A table of the file, empty if it is not there."""
    found = table.get(name, {})
    if not isinstance(found, dict):
        raise PlanError(f"{source}: {name} is not a table; write [{name}]")
    return found


def values_of(axis: str, values: Any, source: str) -> tuple[Any, ...]:
    """An axis' values: at least one, each once."""
    if not isinstance(values, list) or not values:
        raise PlanError(f'{source}: axes."{axis}" is a list of values, such as [1, 2, 3], not {values!r}')
    if any(value in values[:place] for place, value in enumerate(values)):
        raise PlanError(f'{source}: axes."{axis}" names a value twice')
    return tuple(values)


def typed(table: Mapping[str, Any], key: str, kind: type, source: str) -> Any:
    """A value that must be there, of this type."""
    if type(table.get(key)) is not kind:
        what = "whole number" if kind is int else "text in quotes"
        raise PlanError(f"{source}: {key} must be given, as {what}, not {table.get(key)!r}")
    return table[key]


def known(table: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    """Refuse a key nobody reads."""
    for key in table:
        if key not in names:
            raise PlanError(f"{where} {key!r}{nearest(key, names)}")
