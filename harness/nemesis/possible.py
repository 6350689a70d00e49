"""What a plan asks for and its world, or its system, has no way to do: refused before anything is made.

bitflip           in the simulator a system whose records can be damaged; on hosts one that names its files
truncate          hosts, and a system that names its files
snapshot-restore  on hosts a system that names its files
restore           simulated disks, and a system that writes copies
file = …          hosts, and one of these
hot-key           a workload that asks which key is hot
point = …         a world that sees what nodes do, and a system that names its points
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.nemesis.files import Bitflip, Truncate
from harness.nemesis.hot_key import HotKey
from harness.nemesis.pressure import CpuPressure, MemoryPressure
from harness.nemesis.restoring import Restore
from harness.plan import Plan, PlanError
from harness.plan_options import CPU, EXTENT, FILE, FILE_KINDS, FREEZER, HOW, MEMORY, POINT, REPAIRABLE
from harness.system import SystemUnderTest
from harness.workload import Workload


def refuse_impossible(
    plan: Plan, world: str, system: SystemUnderTest | None = None, workload: Workload | None = None
) -> None:
    """Raises PlanError. `system` and `workload`: once they are known."""
    if HotKey.kind in plan.fault_kinds and not plan.script and workload is not None:
        _refuse_own_keys(plan, workload)
    if Restore.kind in plan.fault_kinds:
        _refuse_copies(plan, world, system)
    options = details(plan)
    named = sorted({str(each[FILE]) for each in options if FILE in each})
    asked = [kind for kind in FILE_KINDS if kind in plan.fault_kinds]
    if asked and world == "sim":
        _refuse_in_sim(plan, asked, named, system)
    elif any(each.get(EXTENT) == REPAIRABLE for each in options):
        raise PlanError(f'{plan.name}: {EXTENT} = "{REPAIRABLE}" needs disks whose records are known, and nobody knows which records the pages of a file hold; use --world sim, or leave it out')  # fmt: skip
    elif asked and system is not None:
        _refuse_unnamed(plan, asked[0], named, system)
    for point in sorted({each[POINT] for each in options if POINT in each}):
        _refuse_point(plan, world, system, point)


def details(plan: Plan) -> list[Mapping[str, Any]]:
    """What the faults of a plan say, each of them, however they are written."""
    return [*(fault.options for fault in plan.faults), *(stroke.detail for stroke in plan.strokes)]


def controllers(plan: Plan) -> tuple[str, ...]:
    """The controllers of which each host needs a control group of the system's own, for the faults of the plan."""
    freezes = any(each.get(HOW) == FREEZER for each in details(plan))
    pressed = {CPU: CpuPressure.kind, MEMORY: MemoryPressure.kind}
    return (FREEZER,) * freezes + tuple(each for each, kind in pressed.items() if kind in plan.fault_kinds)


def _refuse_own_keys(plan: Plan, workload: Workload) -> None:
    if not workload.draws_keys:
        raise PlanError(
            f"{plan.name}: the fault {HotKey.kind} needs a workload that asks which key is hot (`Context.key`), and {workload.name} draws its keys "
            f"itself; leave the fault out"
        )


def _refuse_in_sim(plan: Plan, asked: list[str], named: list[str], system: SystemUnderTest | None) -> None:
    if Truncate.kind in asked:
        raise PlanError(
            f"{plan.name}: the fault {Truncate.kind} cuts off the end of a file, and a simulated disk holds records, and no files; "
            f"use --world hosts, or leave the fault out"
        )
    if named:
        raise PlanError(
            f"{plan.name}: {FILE} = {named[0]!r} names a file, and a simulated disk holds records, and no files; leave it out"
        )
    if Bitflip.kind in asked and system is not None and not hasattr(system, "damage"):
        raise PlanError(
            f"{plan.name}: the fault {Bitflip.kind} needs a system whose records can be damaged, and {system.name} has no `damage`; "
            f"leave the fault out"
        )


def _refuse_unnamed(plan: Plan, kind: str, named: list[str], system: SystemUnderTest) -> None:
    known = system.deployment().data_files
    if not known:
        raise PlanError(
            f"{plan.name}: the fault {kind} needs a system that says which of its files may be damaged, and the deployment of {system.name} "
            f"has no `data_files`; leave the fault out"
        )
    for file in named:
        if file not in known:
            raise PlanError(f"{plan.name}: {system.name} has no file {file!r}; it has {', '.join(known)}")


def _refuse_copies(plan: Plan, world: str, system: SystemUnderTest | None) -> None:
    if world != "sim":
        raise PlanError(
            f"{plan.name}: the fault {Restore.kind} puts old copies back on simulated disks, and the world {world} has no way to; use "
            f"--world sim, or leave the fault out"
        )
    if system is not None and not hasattr(system, "put_back"):
        raise PlanError(
            f"{plan.name}: the fault {Restore.kind} needs a system that writes copies of its data, and {system.name} has no `put_back`; "
            f"leave the fault out"
        )


def _refuse_point(plan: Plan, world: str, system: SystemUnderTest | None, point: str) -> None:
    if world != "sim":
        raise PlanError(
            f"{plan.name}: a fault waits until a node comes to the point {point!r}, and the world {world} does not see what a process "
            f"does; use --world sim, or leave `{POINT}` out"
        )
    if system is None:
        return
    known: tuple[str, ...] = getattr(system, "points", ())
    if point not in known:
        there = f"as it is configured it has {', '.join(known)}" if known else "it names none"
        raise PlanError(f"{plan.name}: {system.name} comes to no point {point!r}; {there}")
