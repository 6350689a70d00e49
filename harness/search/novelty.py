"""Search that learns: runs in which something new happened are changed a little and run again.

    run ──► what each node got, three messages in a row: Query Store Query │ Store Store «restart» Query │ …
             │  hashed: the run's features
             └─ some never seen before? ──► the corpus ──► a parent, drawn ──► 1 to 3 changes ──► the next run

    changes      from draw k of a stream on, what another seed gives: the run is the same up to there, and another afterwards
                 a fault earlier or later, left out, once more, on other nodes

The order in which messages reach a node is the part of the happens-before relation that faults and delays decide. Every change is in the plan: [tape], [[strokes]].
After Meng et al., "Greybox fuzzing of distributed systems" (Mallory), CCS 2023, without its learning of which fault to choose.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import replace
from math import log2
from typing import Any, Final
from zlib import crc32

from harness.nemesis.aim import at_point
from harness.nemesis.schedule import timetable
from harness.plan import Plan
from harness.plan_script import NS, Stroke
from harness.plan_tape import ALL, Cut
from harness.search.generations import FRESH, Generations
from harness.worlds.sim import SimLoop, SimWorld
from harness.worlds.sim.net import ARRIVED, CUT
from harness.worlds.sim.tape import streams_of

DRAWS: Final = {"net": 15.0, "generator": 4.0, "node": 0.5}
"""About how many draws a stream gives for each operation of the run: where it may be cut."""
_AGAIN, _LOST = 1 << 30, 1 << 29  # of a label: the node has begun a new life; the message was cut off


class Orders:
    """Watches a run: which messages come one after the other at a node."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, int]] = {}
        self._lives: dict[str, int | None] = {}
        self._labels: dict[type, int] = {}
        self._orders: set[tuple[int, int, int]] = set()

    def open(self, world: SimWorld, loop: SimLoop) -> None:
        """Begin with a world."""
        self._machines = {node: world.machine(node) for node in world.nodes}
        self._last = dict.fromkeys(world.nodes, (0, 0))
        world.watch(self._note)

    def _note(self, what: str, src: str, dst: str, message: Any) -> None:
        if what not in (ARRIVED, CUT):
            return
        kind = type(message)
        if kind not in self._labels:
            self._labels[kind] = crc32(kind.__name__.encode()) >> 4
        label, life = self._labels[kind] | (_LOST if what == CUT else 0), self._machines[dst].pid
        if self._lives.setdefault(dst, life) != life:
            self._lives[dst] = life
            label |= _AGAIN
        first, second = self._last[dst]
        self._last[dst] = second, label
        self._orders.add((first, second, label))

    def features(self, start_s: float) -> tuple[int, ...]:
        """A hash for each order of three."""
        return tuple(sorted(crc32(struct.pack("<3I", *order)) for order in self._orders))


class Novelty(Generations):
    """The search: which run is next, and what is learned from each."""

    name = "novelty"
    watches = "orders"

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._seen: set[int] = set()
        self._corpus: list[tuple[int, int, int]] = []  # (number, new features, operations) of runs with some

    def keep(self, number: int, ops: int, seen: Sequence[int]) -> tuple[int, ...]:
        """What no run before has shown."""
        new = tuple(feature for feature in seen if feature not in self._seen)
        self._seen.update(new)
        if new:
            self._corpus.append((number, len(new), ops))
        return new

    def child(self, before: int, rng: random.Random) -> Plan | None:
        """A run that had something new, with changes."""
        parents = [each for each in self._corpus if each[0] < before]
        if not parents or rng.random() < FRESH:
            return None
        ((parent, _, ops),) = rng.choices(parents, [1 + log2(new) for _, new, _ in parents])
        plan = self.plan(parent)
        for _ in range(rng.randint(1, 3)):
            plan = rng.choice((spliced, restruck))(plan, ops, rng)
        return plan


def spliced(plan: Plan, ops: int, rng: random.Random) -> Plan:
    """From a drawn place on, one stream goes on as another seed has it."""
    net = ALL if plan.sim.get("streams") == "links" else "net"
    name = rng.choice((net, net, "generator", f"node/{rng.choice(plan.node_names)}"))
    usual = DRAWS.get(name.partition("/")[0], DRAWS["node"])
    at = int(rng.random() * usual * max(1, ops))
    kept = tuple(cut for cut in plan.tape.get(name, ()) if cut.at < at)
    return replace(plan, tape={**plan.tape, name: (*kept, Cut(at, seed=rng.randrange(1 << 31)))})


def restruck(plan: Plan, ops: int, rng: random.Random) -> Plan:
    """One fault at another time, left out, once more, or on other nodes, the timetable written out. Where there is none, as `spliced`."""
    drawn = streams_of(plan.seed, plan.tape)("nemesis")
    strokes = list(plan.strokes) or list(
        timetable(plan.faults, nodes=plan.node_names, time_limit_s=plan.time_limit_s, rng=drawn)
    )
    if not strokes:
        return spliced(plan, ops, rng)
    place, way = rng.randrange(len(strokes)), rng.choice(("move", "move", "drop", "repeat", "turn"))
    stroke = strokes[place]
    if way == "drop" and len(strokes) > 1:
        del strokes[place]
    elif way == "repeat":
        strokes.append(_at(stroke, rng.random() * plan.time_limit_s, plan))
    elif way == "turn" and stroke.nodes:
        strokes[place] = _turned(stroke, rng.choice(plan.node_names))
    else:
        strokes[place] = _at(stroke, stroke.start_ns / NS + rng.gauss(0.0, 0.05) * plan.time_limit_s, plan)
    strokes.sort(key=lambda each: each.start_ns)
    numbered = tuple(replace(each, number=number) for number, each in enumerate(strokes, 1))
    return replace(plan, faults=(), strokes=numbered)


def _at(stroke: Stroke, start_s: float, plan: Plan) -> Stroke:
    """The stroke at another time of the run, as long as it was."""
    start_ns = round(min(max(0.0, start_s), plan.time_limit_s * 0.99) * NS)
    return replace(stroke, start_ns=start_ns, end_ns=start_ns + stroke.end_ns - stroke.start_ns)


def _turned(stroke: Stroke, node: str) -> Stroke:
    """The stroke with a node and the first it was for in each other's place."""
    value = dict(at_point({"nodes": list(stroke.nodes), **stroke.detail}, node))
    return replace(stroke, nodes=tuple(value.pop("nodes")), detail=value)
