"""Smaller runs of a plan that has no script: fewer clients on fewer keys for a shorter time, each fault soon. Pure: a plan goes in, candidates come out, the smallest first.

    20 clients, 5 keys, 4 s, 130 kills ──► 3 clients, 1 key, 0.2 s, 3 kills · 5 clients … · 10 clients, 3 keys …

What shows in one long run of ten is about as rare, for what the runs cost, in many short ones. But of a long run nothing can be left out as long as hardly a
candidate shows it, while a short one that shows it has little to be left out. So it is searched for, and not cut out.
That most mistakes have a small instance is the small scope hypothesis: Jackson and Damon, "Elements of style", 1996.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from harness.plan import Plan
from harness.search.fewer import one_copy_less

BEGIN_S: Final = 0.05  # before the first fault
LOAD_S: Final = 0.2  # of a plan without a fault
TAIL_S: Final = 0.1  # after the first of each kind of fault is over
KEYS: Final = "keys"
NODES: Final = 3


def small_loads(plan: Plan) -> Iterator[Plan]:
    """The plan's own load and faults, in small. None of a script, and none that is not smaller."""
    if plan.script or plan.strokes:
        return
    early_s = max(0.0, min((fault.start_s for fault in plan.faults), default=0.0) - BEGIN_S)
    faults = tuple(replace(fault, start_s=round(fault.start_s - early_s, 9)) for fault in plan.faults)
    ends_s = max((fault.start_s + fault.for_s for fault in faults), default=LOAD_S)
    limit_s = round(min(plan.time_limit_s, ends_s + TAIL_S), 9)
    last = plan
    for clients, keys, share in ((3, 1, 1 / 8), (plan.nodes, 1, 1 / 4), (plan.nodes, 2, 1 / 2), (2 * plan.nodes, 3, 1 / 2)):  # fmt: skip
        small = replace(
            plan,
            faults=faults,
            time_limit_s=limit_s,
            concurrency=min(plan.concurrency, clients),
            rate=plan.rate * share,
            options={**plan.options, **_fewer_keys(plan, keys)},
        )
        if small not in (plan, last):
            yield small
        last = small


def small_worlds(plan: Plan) -> Iterator[Plan]:
    """The largest of the small loads, with NODES nodes: as many strangers as there were, if there is room for them, and as many copies of a key, or fewer.

    In a script a node less moves keys to other nodes, and those that are left may not move any more when a node joins. A load has keys everywhere.
    """
    if plan.script or plan.strokes or plan.nodes <= NODES:
        return
    *_, load = [plan, *small_loads(plan)]
    while True:
        options, members = load.system_options, load.system_options.get("members")
        left = {} if members is None else {"members": max(1, min(NODES, members - plan.nodes + NODES))}
        yield replace(load, nodes=NODES, system_options={**options, **left})
        changes = one_copy_less(load)
        if not changes:
            return
        load = replace(load, system_options={**options, **changes})


def _fewer_keys(plan: Plan, keys: int) -> dict[str, Any]:
    """So many, if the plan says how many; what else the load is told is its own."""
    known = plan.options.get(KEYS)
    return {KEYS: min(known, keys)} if isinstance(known, int) else {}
