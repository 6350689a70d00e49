"""What a plan asks for and its world, or its system, has no way to do: refused before anything is made.

bitflip       simulated disks, and a system whose records can be damaged
restore       simulated disks, and a system that writes copies
point = …     a world that sees what nodes do, and a system that names its points
"""

from __future__ import annotations

from harness.nemesis.disks import Bitflip
from harness.nemesis.restoring import Restore
from harness.plan import Plan, PlanError
from harness.plan_options import POINT
from harness.system import SystemUnderTest


def refuse_impossible(plan: Plan, world: str, system: SystemUnderTest | None = None) -> None:
    """Raises PlanError. `system`: once it is known."""
    if Bitflip.kind in plan.fault_kinds:
        _refuse_bitflips(plan, world, system)
    if Restore.kind in plan.fault_kinds:
        _refuse_copies(plan, world, system)
    options = [*(fault.options for fault in plan.faults), *(stroke.detail for stroke in plan.strokes)]
    for point in sorted({each[POINT] for each in options if POINT in each}):
        _refuse_point(plan, world, system, point)


def _refuse_bitflips(plan: Plan, world: str, system: SystemUnderTest | None) -> None:
    if world != "sim":
        raise PlanError(
            f"{plan.name}: the fault {Bitflip.kind} damages records on simulated disks, and the world {world} has no way to damage "
            f"a record under a process; use --world sim, or leave the fault out"
        )
    if system is not None and not hasattr(system, "damage"):
        raise PlanError(
            f"{plan.name}: the fault {Bitflip.kind} needs a system whose records can be damaged, and {system.name} has no `damage`; "
            f"leave the fault out"
        )


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
