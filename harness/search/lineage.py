"""Search by lineage: faults strike the nodes that an answer rests on, right after they gave it.

    n1  Store ──► n2                 support of this request when the second answer came:
     │  Store ──► n3                 n1, n2, at 0.412 s
     │◄── Stored ── n2    ◄── the client is told ok
     │                    ◄── here a fault of the plan is aimed at n1 and n2, or at one of them: what is left of the write?

A timetable drawn ahead hits the few nodes that hold a write only by chance, and mostly when others have long got it too. So the messages that a client's
request caused are watched: whoever has answered by then *supports* the answer. A child is its parent with a later fault moved to that
moment, and onto the support: first onto one of its nodes, more rarely onto more. Cut off, they leave a later read without the nodes it
should meet; without power, a write without its copies. What destroys (`wipe`, `bitflip`, …) is never aimed at more nodes than the plan lets it strike.
Up to that moment the run is its parent's.

After Alvaro, Rosen, Hellerstein, "Lineage-driven fault injection", SIGMOD 2015, which solves for the sets of losses that leave no support; here they are drawn, the
smallest most often, for what a message means only the system knows.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, Final

from harness.nemesis.aim import aimed
from harness.nemesis.schedule import timetable
from harness.plan import Plan, PlanError
from harness.plan_options import POINT, PRIMARIES
from harness.plan_script import NS, Stroke
from harness.search.generations import FRESH, Generations
from harness.search.strategies import CHANGES
from harness.worlds.sim import SimLoop, SimWorld
from harness.worlds.sim.net import ARRIVED, SENT
from harness.worlds.sim.tape import streams_of

KEPT: Final = 64  # supports of a run
LATER_S: Final = 0.005  # mean time from the answer to the fault
ALONE: Final = 0.5  # share of the aims at a single node; each node more is half as frequent
HARMLESS: Final = (
    "kill",
    "pause",
    "power-loss",
    "power-off",
)  # leave what is durable, however many they strike
_MS_BITS: Final = 32


class Supports:
    """Watches a run: which nodes have answered a request, each time one does."""

    def __init__(self) -> None:
        self._found: list[tuple[float, int]] = []
        self._support: dict[
            Hashable, tuple[str, int]
        ] = {}  # request -> who asks for the client, who supports

    def open(self, world: SimWorld, loop: SimLoop) -> None:
        """Begin with a world. Raises PlanError: the system does not tell which request a message belongs to."""
        if not hasattr(world.system, "describe_message"):
            raise PlanError("the strategy lineage needs a system with describe_message(message) -> (words, request); use another")  # fmt: skip
        self._describe, self._loop = world.system.describe_message, loop
        self._bits = {node: 1 << place for place, node in enumerate(world.nodes)}
        world.watch(self._note)

    def _note(self, what: str, src: str, dst: str, message: Any) -> None:
        if what not in (SENT, ARRIVED):
            return
        _, request = self._describe(message)
        if request is None:
            return
        known = self._support.get(request)
        if known is None:
            self._keep(request, src, self._bits[src])
        elif what == ARRIVED and dst == known[0] and not known[1] & self._bits[src]:
            self._keep(request, dst, known[1] | self._bits[src])

    def _keep(self, request: Hashable, asking: str, support: int) -> None:
        self._support[request] = asking, support
        self._found.append((self._loop.now, support))

    def features(self, start_s: float) -> tuple[int, ...]:
        """The supports: the millisecond, and above it a bit for each node, in the order of the plan."""
        return tuple(
            support << _MS_BITS | int((at_s - start_s) * 1000)
            for at_s, support in self._found if at_s >= start_s
        )  # fmt: skip


class Lineage(Generations):
    """The search. Raises PlanError: the plan has no fault that can be aimed."""

    name = "lineage"
    watches = "supports"

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        if not any(can_be_aimed(stroke) for stroke in strokes_of(plan)):
            raise PlanError("the strategy lineage aims faults at nodes, and the plan has none that strikes some; use another")  # fmt: skip
        self._supports: dict[int, tuple[int, ...]] = {}

    def keep(self, number: int, ops: int, seen: Sequence[int]) -> tuple[int, ...]:
        """Some supports from before the last fault that can be aimed, evenly over that time."""
        last_ns = max(
            (each.start_ns for each in strokes_of(self.plan(number)) if can_be_aimed(each)), default=0
        )
        early = [support for support in seen if moment_s(support) * NS < last_ns]
        kept = tuple(early[:: max(1, -(-len(early) // KEPT))])
        if kept:
            self._supports[number] = kept
        return kept

    def child(self, before: int, rng: random.Random) -> Plan | None:
        """A run with one more of its faults aimed."""
        parents = [number for number in self._supports if number < before]
        if not parents or rng.random() < FRESH:
            return None
        parent = rng.choice(parents)
        plan = self.plan(parent)
        return struck(plan, rng.choice(self._supports[parent]), rng)


def moment_s(support: int) -> float:
    """When, in seconds of the run."""
    return (support & (1 << _MS_BITS) - 1) / 1000


def strokes_of(plan: Plan) -> list[Stroke]:
    """The plan's faults, written out."""
    if plan.strokes:
        return list(plan.strokes)
    drawn = streams_of(plan.seed, plan.tape)("nemesis")
    return list(timetable(plan.faults, nodes=plan.node_names, time_limit_s=plan.time_limit_s, rng=drawn))


def can_be_aimed(stroke: Stroke) -> bool:
    """Whether a fault is on nodes that are known ahead."""
    return bool(stroke.nodes) and stroke.kind not in CHANGES and POINT not in stroke.detail and stroke.detail.get("targets") != PRIMARIES  # fmt: skip


def struck(plan: Plan, support: int, rng: random.Random) -> Plan | None:
    """The plan with the next fault, or a later one, moved to the moment of a support and onto some of its nodes; None: no fault is left by then."""
    at_s = moment_s(support)
    nodes = [node for place, node in enumerate(plan.node_names) if support >> _MS_BITS + place & 1]
    strokes = strokes_of(plan)
    later = [place for place, each in enumerate(strokes) if each.start_ns > at_s * NS and can_be_aimed(each)]
    if not later or not nodes:
        return None
    place = rng.choice(later)
    strokes[place] = onto(strokes[place], at_s + rng.expovariate(1 / LATER_S), nodes, plan, rng)
    strokes.sort(key=lambda each: each.start_ns)
    numbered = tuple(replace(each, number=number) for number, each in enumerate(strokes, 1))
    return replace(plan, faults=(), strokes=numbered)


def onto(stroke: Stroke, at_s: float, support: Sequence[str], plan: Plan, rng: random.Random) -> Stroke:
    """The fault at that time, for as long as it was, on some of these nodes."""
    count = 1
    while count < len(support) and rng.random() > ALONE:
        count += 1
    links = "grudge" in stroke.detail
    if not links and stroke.kind not in HARMLESS:
        count = min(count, len(stroke.nodes))
    chosen = rng.sample(list(support), count)
    detail = {key: value for key, value in stroke.detail.items() if key != "shape"}
    value: dict[str, Any] = {"nodes": [], **detail}
    if "offsets_ms" in value:
        value["offset_ms"] = next(iter(value.pop("offsets_ms").values()))
    value = dict(aimed(stroke.kind, value, chosen, plan.node_names))
    start_ns = round(min(at_s, plan.time_limit_s * 0.99) * NS)
    return replace(
        stroke, start_ns=start_ns, end_ns=start_ns + stroke.end_ns - stroke.start_ns,
        nodes=tuple(value.pop("nodes")), detail=value,
    )  # fmt: skip
