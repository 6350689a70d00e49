"""When which fault strikes whom: the plan's [[faults]] as a timetable. Pure; what a plan may say is checked where it is read.

    kind = "kill", start_s = 2, every_s = 6, for_s = 3, time limit 12 s

    0    2════5    8═══11   12       kill-start n3 · kill-stop · kill-start n5 · kill-stop
         └ n3      └ n5

Targets are drawn ahead from a random stream of the schedule's own, so a seed strikes the same nodes in both worlds.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from checkers.op import Op, Type
from harness.generator import NEMESIS, PENDING, Context, Generator, Next
from harness.nemesis.grudges import CLIENTS, SHAPES, around, to_clients
from harness.plan import FaultPlan, PlanError
from harness.plan_options import (
    CHECKSUM,
    DRIFT,
    EXTENT,
    FILE,
    HOW,
    LINK_KINDS,
    POINT,
    PRIMARIES,
    STRENGTHS,
    STROBE,
)
from harness.plan_script import Stroke

STROKES_MAX = 1_000_000
DEFAULT_SHAPE, DEFAULT_TARGETS, DEFAULT_OFFSET_MS = "halves", "one", 500.0


def how_many(targets: str, count: int) -> int:
    """The number of nodes meant by one, minority, majority, all; a minority of few nodes is one."""
    minority = max(1, (count - 1) // 2)
    return {"one": 1, "minority": minority, "majority": count // 2 + 1, "all": count}[targets]


def draw_stroke(
    fault: FaultPlan, nodes: Sequence[str], rng: random.Random
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Whom it strikes, and how."""
    options = fault.options
    if fault.kind in ("join", "leave", "replace"):
        return (), {"draw": round(rng.random(), 6)}
    if fault.kind == "hot-key":
        return (), {**strength(fault), "draw": round(rng.random(), 6)}
    if fault.kind == "rolling-restart":
        return tuple(nodes), {}
    if fault.kind in LINK_KINDS and (
        "shape" in options
        or (fault.kind == "partition" and "targets" not in options and CLIENTS not in options)
    ):
        shape = options.get("shape", DEFAULT_SHAPE)
        grudge = SHAPES[shape](nodes, rng)
        hit = tuple(node for node in nodes if grudge.get(node))
        return hit, {
            "shape": shape,
            **_words(options),
            **strength(fault),
            "grudge": {node: sorted(grudge[node]) for node in hit},
        }
    targets = options.get("targets", DEFAULT_TARGETS)
    if targets == PRIMARIES:
        drawn = {"offset_ms": draw_offset_ms(fault, rng)} if fault.kind == "clock" else strength(fault)
        return (), {"targets": targets, **_words(options), **drawn, **_motion(options)}
    chosen = set(rng.sample(list(nodes), how_many(targets, len(nodes))))
    hit = tuple(node for node in nodes if node in chosen)
    if fault.kind in LINK_KINDS:
        meant = to_clients(hit, options[CLIENTS]) if CLIENTS in options else around(hit, nodes)
        links = {node: sorted(sources) for node, sources in meant.items() if sources}
        return hit, {"targets": targets, **_words(options), **strength(fault), "grudge": links}
    if fault.kind != "clock":
        return hit, {"targets": targets, **_words(options), **strength(fault)}
    offsets = {node: draw_offset_ms(fault, rng) for node in hit}
    return hit, {"targets": targets, "offsets_ms": offsets, **_motion(options)}


def _words(options: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan says in words: which way of links with clients, what becomes of a checksum, which file, which records, how a process is paused."""
    return {key: options[key] for key in (CLIENTS, CHECKSUM, FILE, EXTENT, HOW) if key in options}


def _motion(options: Mapping[str, Any]) -> dict[str, Any]:
    """How clocks move, where they do not jump once."""
    return {key: options[key] for key in (DRIFT, STROBE) if key in options}


def draw_offset_ms(fault: FaultPlan, rng: random.Random) -> float:
    """By how much a clock is shifted: either way, at least half the largest."""
    largest = float(fault.options.get("offset_ms", DEFAULT_OFFSET_MS))
    return round(rng.choice((-1, 1)) * rng.uniform(largest / 2, largest), 1)


def strength(fault: FaultPlan) -> dict[str, float]:
    """How strong the fault is; nothing for kinds without degrees."""
    own = STRENGTHS.get(fault.kind, {})
    return {key: fault.options.get(key, default) for key, default in own.items()}


def timetable(
    faults: Sequence[FaultPlan], *, nodes: Sequence[str], time_limit_s: float, rng: random.Random
) -> tuple[Stroke, ...]:
    """All strokes that start before the time limit, by start. Raises PlanError: more than any run could make."""
    for fault in faults:
        if (time_limit_s - fault.start_s) / fault.every_s > STROKES_MAX:
            raise PlanError(
                f"[[faults]] every_s of {fault.kind} is {fault.every_s:g}, and time_limit_s {time_limit_s:g}: it would come more than {STROKES_MAX:,} times; raise every_s"
            )
    drawn: list[tuple[float, float, int, FaultPlan]] = []
    for place, fault in enumerate(faults):
        start_s = fault.start_s
        while start_s < time_limit_s:
            drawn.append((start_s, start_s + fault.for_s, place, fault))
            start_s += fault.every_s
    drawn.sort(key=lambda each: (each[0], each[2]))
    strokes = []
    for number, (start_s, end_s, _, fault) in enumerate(drawn, 1):
        hit, detail = draw_stroke(fault, nodes, rng)
        if POINT in fault.options:
            detail[POINT] = fault.options[POINT]
        strokes.append(Stroke(number, fault.kind, round(start_s * 1e9), round(end_s * 1e9), hit, detail))
    return tuple(strokes)


class Timetable(Generator, frozen=True):
    """The nemesis's operations, each at its time, or as soon as the nemesis is free. They are made before the run, for each is asked for thousands of times."""

    ops: tuple[Op, ...]
    at: int = 0

    def next_op(self, ctx: Context) -> Next:
        """The next operation, which may lie ahead."""
        if self.at == len(self.ops):
            return None
        if not ctx.is_free(NEMESIS):
            return PENDING
        op, after = self.ops[self.at], Timetable(self.ops, self.at + 1)
        return (op if op.time_ns >= ctx.time_ns else replace(op, time_ns=ctx.time_ns)), after


def nemesis_ops(strokes: Sequence[Stroke], time_limit_s: float) -> Timetable:
    """Starts and stops in order of time. A stop that would come after the time limit is left to the final heal."""
    limit_ns = round(time_limit_s * 1e9)
    moments: list[tuple[int, int, str, dict[str, Any]]] = []
    for stroke in strokes:
        value = {"id": stroke.number, "nodes": list(stroke.nodes), **stroke.detail}
        if POINT in stroke.detail:  # it waits for the point until its end
            value["until_ns"] = min(stroke.end_ns, limit_ns)
        moments.append((stroke.start_ns, stroke.number, f"{stroke.kind}-start", value))
        if stroke.end_ns < limit_ns:
            moments.append((stroke.end_ns, stroke.number, f"{stroke.kind}-stop", {"id": stroke.number}))
    moments.sort(key=lambda moment: (moment[0], moment[2].endswith("-start"), moment[1]))
    return Timetable(
        tuple(Op(-1, time_ns, NEMESIS, Type.INVOKE, f, None, value) for time_ns, _, f, value in moments)
    )
