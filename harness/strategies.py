"""Hypothesis strategies for those who test with property-based tests: operations, histories and plans. Needs the extra `[hypothesis]`.

    ops()          calls of a register, as a generator or a script would make them
    histories()    recorded histories of registers: linearizable by construction, or with any results
    plans(base)    the plan under other seeds, sizes and faults

    @given(histories())
    def test_my_checker_convicts_nobody(history):
        assert my_checker(history) == "valid"

How a linearizable history is made: at every step one process moves. An idle one calls; one that has called takes effect, at that instant, on the one copy
of its key; one that has taken effect returns. Who is left on the way ends as `info`, with or without an effect. So every history has a witness, and
Hypothesis shrinks steps away until only those that matter are left.

Reference: Herlihy & Wing, "Linearizability: a correctness condition for concurrent objects", TOPLAS 1990; MacIver et al., "Hypothesis", JOSS 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
from hypothesis import strategies as st

from checkers import MISSING, History, Op, Type
from harness.plan import FaultPlan, Plan

STEP_NS: Final = 1_000_000
FAULTS: Final = ("partition", "kill", "pause")


@dataclass
class _Registers:
    """What has been recorded, the one copy of each key, and where each process is."""

    records: list[Op] = field(default_factory=list)
    held: dict[Any, Any] = field(default_factory=dict)
    open: dict[int, Op] = field(default_factory=dict)
    result: dict[int, Any] = field(default_factory=dict)

    def record(self, op: Op) -> None:
        """At its place, a millisecond after the one before."""
        index = len(self.records)
        self.records.append(msgspec.structs.replace(op, index=index, time_ns=index * STEP_NS))


def ops(
    *, processes: int = 3, keys: Sequence[Any] = (0,), functions: Sequence[str] = ("read", "write"), values: st.SearchStrategy[Any] | None = None
) -> st.SearchStrategy[Op]:  # fmt: skip
    """Calls of a register: which process, which key; a `read` has no value, the others one of `values` (small integers)."""
    given = st.integers(0, 9) if values is None else values

    def call(process: int, f: str, key: Any, value: Any) -> Op:
        return Op(-1, 0, process, Type.INVOKE, f, key, MISSING if f == "read" else value)

    return st.builds(call, st.integers(0, processes - 1), st.sampled_from(functions), st.sampled_from(keys), given)  # fmt: skip


@st.composite
def histories(
    draw: st.DrawFn, *, processes: int = 3, keys: Sequence[Any] = (0,), steps_max: int = 40, linearizable: bool = True
) -> History:  # fmt: skip
    """Recorded histories of registers that begin with None; each value is written once. With `linearizable=False` reads return what they like."""
    made, seats = _Registers(), list(range(processes))
    step = st.tuples(st.integers(0, processes - 1), st.sampled_from(keys), st.booleans(), st.booleans(), st.integers(0, steps_max))  # fmt: skip
    for seat, key, writes, lost, other in draw(st.lists(step, max_size=steps_max)):
        process = seats[seat]
        if process not in made.open:
            value = len(made.records) + 1 if writes else MISSING
            made.open[process] = Op(-1, 0, process, Type.INVOKE, "write" if writes else "read", key, value)
            made.record(made.open[process])
        elif process not in made.result:
            _take_effect(made, process, None if linearizable else other)
        elif not lost:
            made.record(made.open.pop(process).ok(made.result.pop(process)))
        else:  # nobody heard of it, and the client goes on under another name
            made.record(made.open.pop(process).info("timeout"))
            seats[seat] = max(seats) + 1
    for call in made.open.values():
        made.record(call.info("timeout"))
    return History.from_ops(made.records)


def _take_effect(made: _Registers, process: int, other: int | None) -> None:
    call = made.open[process]
    if call.f == "write":
        made.held[call.key] = call.value
        made.result[process] = call.value
    else:
        made.result[process] = made.held.get(call.key) if other is None else other or None


@st.composite
def plans(
    draw: st.DrawFn, base: Plan, *, nodes: tuple[int, int] | None = None, concurrency: tuple[int, int] = (1, 10),
    kinds: Sequence[str] = FAULTS, faults_max: int = 3,
) -> Plan:  # fmt: skip
    """`base` under another seed, with other numbers of clients and nodes (from, to), and with faults of these kinds in place of its own."""
    least, most = nodes or (base.nodes, base.nodes)
    limit_s = base.time_limit_s
    faults = []
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=faults_max, unique=True)):
        every_s = draw(st.floats(0.2, 1.0)) * limit_s
        start_s, for_s = draw(st.floats(0.0, 0.5)) * limit_s, draw(st.floats(0.1, 0.8)) * every_s
        faults.append(FaultPlan(kind=kind, start_s=round(start_s, 3), every_s=round(every_s, 3), for_s=round(for_s, 3)))  # fmt: skip
    return replace(
        base,
        seed=draw(st.integers(0, 2**31)),
        nodes=draw(st.integers(least, most)),
        concurrency=draw(st.integers(*concurrency)),
        faults=tuple(faults),
        script=(),
        strokes=(),
    )
