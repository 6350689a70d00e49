"""Ways in which a plan with a script can do with fewer nodes, copies and clients. Pure: a plan goes in, candidates come out.

    n1  n2  n3  n4  n5        n3 is left out:  n1  n2  n4  n5         and all move round, for a key's copies
    c0  c1  c2  c3  c4                         n1  n2  n3  n4           are on other nodes now
                                               c0  c1  c2  c3         clients, faults and pinned draws go with their node

fewer_nodes    one node less; its clients go to the first
fewer_copies   one node and one copy of each key less, if the system can (`harness.system.ReplicatedSystem`)
fewer_clients  one client does the work of two
renumbered     no more clients than are needed
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.nemesis.grudges import CLIENTS, struck
from harness.plan import Plan, PlanError
from harness.plan_script import Stroke
from harness.plan_tape import Cuts
from harness.system import find_system


def fewer_nodes(plan: Plan) -> Iterator[Plan]:
    """One node less. Those after it move up, and then the members move round, for the keys move to other nodes as well."""
    members = plan.system_options.get("members", plan.nodes)
    for gone in range(plan.nodes - 1, -1, -1) if plan.nodes > 1 else ():
        round_ = members - (gone < members)
        for turn in range(max(1, round_)):
            place = {old: old - (old > gone) for old in range(plan.nodes) if old != gone}
            place = {old: (new + turn) % round_ if new < round_ else new for old, new in place.items()}
            names = {plan.node_names[old]: plan.node_names[new] for old, new in place.items()}
            strokes = tuple(_renamed(stroke, names) for stroke in plan.strokes)
            if all(stroke.nodes or not old.nodes for stroke, old in zip(strokes, plan.strokes, strict=True)):
                tape = _tape_of(plan.tape, plan.node_names, names)
                options = {
                    **plan.system_options,
                    **({"members": round_} if "members" in plan.system_options else {}),
                }
                less = replace(plan, nodes=plan.nodes - 1, strokes=strokes, tape=tape, system_options=options)
                yield _seated(less, plan, {gone: 0, **place})


def fewer_copies(plan: Plan) -> Iterator[Plan]:
    """One node less, and one copy of each key less: what the system itself has for that."""
    if changes := one_copy_less(plan):
        for less in fewer_nodes(plan):
            yield replace(less, system_options={**less.system_options, **changes})


def one_copy_less(plan: Plan) -> Mapping[str, Any]:
    """The options that change when there is a copy of each key less; none if there cannot be."""
    try:
        system = find_system(plan.system)(plan.system_options, plan.node_names)
    except PlanError:
        return {}
    changes: Mapping[str, Any] = getattr(system, "fewer_copies", dict)()
    return changes


def _tape_of(tape: Cuts, nodes: Sequence[str], names: Mapping[str, str]) -> Cuts:
    """The streams of a tape go with their nodes; those of one without a name are gone."""
    parts = {stream: stream.split("/") for stream in tape}
    return {
        "/".join(names.get(part, part) for part in parts[stream]): cuts
        for stream, cuts in tape.items()
        if all(part in names or part not in nodes for part in parts[stream])
    }


def _seated(plan: Plan, old: Plan, place: Mapping[int, int]) -> Plan:
    """The plan with its clients numbered anew, so that each is at the node it should be at: client k is at k % nodes."""
    seats = dict[int, int]()
    for client in sorted({op.client for op in plan.script}):
        seat = place[client % old.nodes]
        while seat in seats.values():
            seat += plan.nodes
        seats[client] = seat
    script = tuple(replace(op, client=seats[op.client]) for op in plan.script)
    return replace(plan, script=script, concurrency=1 + max(seats.values(), default=0))


def _renamed(stroke: Stroke, names: Mapping[str, str]) -> Stroke:
    """A stroke as it is when nodes are called otherwise; those without a name are gone."""
    detail = dict(stroke.detail)
    if "grudge" in detail:
        named = {**names, CLIENTS: CLIENTS}
        detail["grudge"] = {
            named[dst]: sorted(named[src] for src in sources if src in named)
            for dst, sources in detail["grudge"].items()
            if dst in named and any(src in named for src in sources)
        }
    if "offsets_ms" in detail:
        detail["offsets_ms"] = {names[node]: ms for node, ms in detail["offsets_ms"].items() if node in names}
    hit = struck(detail["grudge"]) if "grudge" in detail else detail.get("offsets_ms", names.values())
    nodes = tuple(names[node] for node in stroke.nodes if node in names and names[node] in hit)
    return replace(stroke, nodes=nodes, detail=detail)


def fewer_clients(plan: Plan) -> Iterator[Plan]:
    """One client does what two did."""
    clients = sorted({op.client for op in plan.script})
    for gone in reversed(clients):
        for heir in clients:
            if heir != gone:
                script = tuple(replace(op, client=heir) if op.client == gone else op for op in plan.script)
                yield replace(plan, script=script)


def renumbered(plan: Plan) -> Iterator[Plan]:
    """No more clients than are needed, each at its node."""
    least = _seated(plan, plan, {node: node for node in range(plan.nodes)})
    if least.concurrency < plan.concurrency:
        yield least
