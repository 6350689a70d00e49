"""A plan for hosts that are slow: the same story, told as much slower."""

from __future__ import annotations

from dataclasses import replace

from harness.plan import Plan


def paced(plan: Plan, slowness: float) -> Plan:
    """The same, so many times slower."""
    times = ("start_s", "every_s", "for_s")
    faults = tuple(replace(fault, **{time: getattr(fault, time) * slowness for time in times}) for fault in plan.faults)  # fmt: skip
    timeout_ms, limit_s = plan.op_timeout_ms * slowness, plan.time_limit_s * slowness
    return replace(
        plan, faults=faults, rate=plan.rate / slowness, op_timeout_ms=timeout_ms, time_limit_s=limit_s
    )
