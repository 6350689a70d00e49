"""docs/faults.md has a row for every fault, and says of each world what the code does and what is tried there.

A fault works on containers, or on machines, if one of the tests that its row names is among those that `make kinds` runs there.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.nemesis.client import KINDS
from harness.nemesis.possible import refuse_impossible
from harness.plan import FAULT_OPTIONS, FaultPlan, Plan, PlanError
from harness.system import find_system

ROOT = Path(__file__).parents[2]
PLAN = Plan(name="table", workload="register", system="kvstore", claims=("linearizable",))
SYSTEM = find_system("kvstore")({}, PLAN.node_names)
KEPT = {"containers": "docker", "machines": "qemu"}


class Row(NamedTuple):
    """A row of the table."""

    fault: str
    simulator: str
    namespaces: str
    containers: str
    machines: str
    seen_there: str
    seen_on_hosts: str

    @property
    def kind(self) -> str:
        return self.fault.split("`")[1]


PAGE = (ROOT / "docs" / "faults.md").read_text()
ROWS = [
    Row(*(cell.strip() for cell in line.split("|")[1:-1]))
    for line in PAGE.splitlines()
    if line.startswith("| `")
]
OWN_CLOCK = "`clock` of a machine"  # whether a host has one is not said by the plan, but by the inventory


def tried(world: str) -> str:
    """The tests that `make kinds` runs there."""
    lines = (ROOT / "Makefile").read_text().splitlines()
    return " ".join(line for line in lines if line.startswith(f"\tQUORATE_KIND={KEPT[world]} "))


def is_tried(pointer: str, run: str) -> bool:
    """Whether a test, written file.py::test, is among them, by its name or with its whole file."""
    file, test = pointer.split("::")
    return re.search(rf"/{re.escape(file)}(::{test}\b| |$)", run) is not None


def is_refused(kind: str, world: str) -> bool:
    """Whether a plan with this fault is refused there."""
    try:
        refuse_impossible(replace(PLAN, faults=(FaultPlan(kind=kind),)), world, SYSTEM)
    except PlanError:
        return True
    return False


def test_every_fault_has_a_row_and_every_row_is_one() -> None:
    assert {row.kind for row in ROWS} == FAULT_OPTIONS.keys() == KINDS.keys()
    assert len({row.fault for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault.replace("`", ""))
def test_a_row_says_what_is_refused_and_what_is_tried(row: Row) -> None:
    if row.fault != OWN_CLOCK:
        assert row.simulator.startswith("refused: ") == is_refused(row.kind, "sim")
        assert {each.startswith("refused: ") for each in row[2:5]} == {is_refused(row.kind, "hosts")}
        assert row.namespaces == "works" or is_refused(row.kind, "hosts")
    pointers = re.findall(r"`(test_\w+\.py::test_\w+)`", row.seen_on_hosts)
    assert (row.simulator == "works") == ("::" in row.seen_there)
    assert any("works" in each for each in row[2:5]) == bool(pointers)
    for world in KEPT:
        is_there = any(is_tried(pointer, tried(world)) for pointer in pointers)
        if not getattr(row, world).startswith("refused: "):
            assert getattr(row, world) == ("works" if is_there else "–"), (world, pointers)
