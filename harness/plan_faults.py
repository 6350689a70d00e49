"""What is wrong with one of the [[faults]] of a plan: out of range, at odds with itself, or bound to do nothing. Pure.

start_s = 40       time_limit_s = 30                 it would never begin
kind = "flapping"  down_ms = up_ms = 500  for_s = 1  down, up, and over: that is a partition
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.plan_options import DRIFT, LINK_DEFAULTS, RANGES, STROBE, YEARS_S, clash
from harness.plan_script import NS
from harness.plan_toml import PlanError

if TYPE_CHECKING:
    from harness.plan import FaultPlan, Plan


def wrong(fault: FaultPlan) -> Iterator[tuple[str, str]]:
    """What is wrong with the fault by itself: the key, and what to say of it."""
    if fault.start_s < 0:
        yield "start_s", f"must be 0 or more, not {fault.start_s}"
    for key, value in (("every_s", fault.every_s), ("for_s", fault.for_s)):
        if not value > 0:
            yield key, f"must be more than 0, not {value}"
    for key, value in (("start_s", fault.start_s), ("every_s", fault.every_s), ("for_s", fault.for_s)):
        if value > YEARS_S:
            yield key, f"is seconds, {YEARS_S:,.0f} at most, not {value:g}"
    if found := clash(fault.options):
        yield found
    for key, (low, high, what) in RANGES.items():
        if key in fault.options and not low <= fault.options[key] <= high:
            yield key, f"is {what}, from {low:g} to {high:g}, not {fault.options[key]:g}"
    if fault.for_s > fault.every_s:
        yield (
            "for_s",
            f"({fault.for_s}) must not exceed every_s ({fault.every_s}): a fault ends before the next",
        )


def idle(fault: FaultPlan, time_limit_s: float) -> tuple[str, str] | None:
    """Why the fault would do nothing of its kind in a run of this length: the key, and what to say of it."""
    if fault.start_s >= time_limit_s:
        return (
            "start_s",
            f"of {fault.kind} is {fault.start_s:g}, and time_limit_s is {time_limit_s:g}: it would never begin; start it before, or raise the limit",
        )
    if DRIFT in fault.options and fault.for_s <= fault.options[DRIFT] / 2 + 0.2:
        return "for_s", f"of {fault.kind} is {fault.for_s:g}, and must exceed half of {DRIFT} ({fault.options[DRIFT]:g} s) by more than 0.2: clocks are looked at half way"  # fmt: skip
    if STROBE in fault.options and fault.for_s <= 3 * fault.options[STROBE] / 1000:
        return "for_s", f"of {fault.kind} is {fault.for_s:g}, and must exceed three times {STROBE} ({fault.options[STROBE]:g} ms): clocks jump there, back, and there again"  # fmt: skip
    if fault.kind == "flapping":
        own = {**LINK_DEFAULTS["flapping"], **fault.options}
        needed_s = (own["down_ms"] + own["up_ms"]) / 1000
        if fault.for_s <= needed_s:
            return (
                "for_s",
                f"of flapping is {fault.for_s:g}, and must exceed down_ms + up_ms ({needed_s:g} s): it goes down twice at least",
            )
    return None


def refuse_idle(plan: Plan, source: str) -> None:
    """Raises PlanError for a fault that somebody asks for and that would do nothing."""
    for fault in plan.faults:
        if found := idle(fault, plan.time_limit_s):
            raise PlanError(f"{source}: [[faults]] {found[0]} {found[1]}")
    for stroke in plan.strokes:
        if stroke.start_ns >= plan.time_limit_s * NS:
            raise PlanError(
                f"{source}: [[strokes]] start_s of {stroke.kind} is {stroke.start_ns / NS:g}, and time_limit_s is {plan.time_limit_s:g}: it would come when all is over; start it before, or raise the limit"
            )
