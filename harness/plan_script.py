"""Scripts: operations and faults of a plan written out one by one, in place of a workload's load and a timetable.

    script = [{at_s = 0.512, client = 3, f = "write", key = 1, value = 17},      client 3 of `concurrency`, on node
              {client = 2, f = "read", key = 1, after_s = 3.0}]                  client % nodes; without at_s: after the heal
    [[strokes]]
    kind = "partition"    start_s = 0.4    for_s = 1.2    nodes = ["n1"]    detail = {shape = "one-way", grudge = {n1 = ["n2"]}}

A run is turned into its script to be made smaller (`harness.search`), and to be played again in the other world.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.nemesis.grudges import CLIENTS
from harness.plan_options import FAULT_OPTIONS, LINK_KINDS, PRIMARIES, RANGES, YEARS_S
from harness.plan_toml import PlanError


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptOp:
    """One operation of a client. `at_s` None: it is one of the last, `after_s` after the heal, one after the other for a client.

    A client that is busy at the time does it as soon as it is free.
    """

    client: int
    f: str
    at_s: float | None = None
    key: Any = None
    value: Any = None  # None: it has none
    null: bool = False  # its value is null, which TOML cannot say: such a write deletes, in some workloads
    after_s: float = 0.0  # of one without `at_s`: so long is quiet for repairs, whatever else is left out


@dataclass(frozen=True, slots=True)
class Stroke:
    """One fault to come: from `start_ns` to `end_ns` of the run. `detail` says what exactly, as plain data."""

    number: int
    kind: str
    start_ns: int
    end_ns: int
    nodes: tuple[str, ...]
    detail: Mapping[str, Any] = field(default_factory=dict)


OP_KEYS = ("client", "f", "at_s", "after_s", "key", "value", "null")
STROKE_KEYS = ("kind", "start_s", "for_s", "nodes", "detail")
NS = 1_000_000_000


def parse_script(value: Any, concurrency: int, source: str) -> tuple[ScriptOp, ...]:
    """The plan's `script`. Raises PlanError."""
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise PlanError(
            f'{source}: script is a list of tables, {{client = 0, f = "read", key = 1, at_s = 0.5}}'
        )
    return tuple(
        _op(item, concurrency, f"{source}: script, operation {place}") for place, item in enumerate(value, 1)
    )


def _op(item: Mapping[str, Any], concurrency: int, where: str) -> ScriptOp:
    _known(item, OP_KEYS, where)
    client, at_s = item.get("client"), item.get("at_s")
    if type(client) is not int or not 0 <= client < concurrency:
        raise PlanError(
            f"{where}: client is {client!r}; it is a number from 0 to {concurrency - 1}, below concurrency"
        )
    if not isinstance(item.get("f"), str):
        raise PlanError(f'{where}: f is {item.get("f")!r}; it is the name of an operation, such as "read"')
    if at_s is not None and not (_number(at_s) and at_s >= 0):
        raise PlanError(f"{where}: at_s is {at_s!r}; it is a number of seconds, 0 or more")
    after_s = item.get("after_s", 0.0)
    if not (_number(after_s) and 0 <= after_s <= YEARS_S):
        raise PlanError(f"{where}: after_s is {after_s!r}; it is a number of seconds, from 0 to {YEARS_S:g}")
    if at_s is not None and "after_s" in item:
        raise PlanError(
            f"{where}: at_s counts from the beginning, after_s from the heal; leave one of them out"
        )
    if "null" in item and (item["null"] is not True or "value" in item):
        raise PlanError(f"{where}: null = true stands in place of a value; else leave it out")
    return ScriptOp(
        client=client, f=item["f"], at_s=None if at_s is None else float(at_s), key=item.get("key"),
        value=item.get("value"), null="null" in item, after_s=float(after_s),
    )  # fmt: skip


def parse_strokes(value: Any, nodes: Sequence[str], kinds: Sequence[str], source: str) -> tuple[Stroke, ...]:
    """The plan's [[strokes]], by start. Raises PlanError."""
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise PlanError(f"{source}: strokes are written as tables: [[strokes]], once for each")
    drawn = [
        _stroke(item, nodes, kinds, f"{source}: [[strokes]] {place}") for place, item in enumerate(value, 1)
    ]
    drawn.sort(key=lambda stroke: stroke[1])
    return tuple(Stroke(number, *rest) for number, rest in enumerate(drawn, 1))


def _stroke(
    item: Mapping[str, Any], nodes: Sequence[str], kinds: Sequence[str], where: str
) -> tuple[str, int, int, tuple[str, ...], Mapping[str, Any]]:
    _known(item, STROKE_KEYS, where)
    kind, struck = item.get("kind"), item.get("nodes")
    start_s, for_s = item.get("start_s", -1), item.get("for_s", -1)
    if kind not in kinds:
        raise PlanError(f"{where}: kind is {kind!r}, which is no fault; there are {', '.join(kinds)}")
    if not _number(start_s) or start_s < 0 or not _number(for_s) or for_s <= 0:
        raise PlanError(
            f"{where}: start_s is 0 or more seconds, for_s more than 0; not {start_s!r} and {for_s!r}"
        )
    if max(start_s, for_s) > YEARS_S:
        raise PlanError(
            f"{where}: start_s is {start_s!r} and for_s {for_s!r}; no run is so long, give {YEARS_S:g} at most"
        )
    detail = item.get("detail", {})
    if not isinstance(struck, list) or not isinstance(detail, Mapping):
        raise PlanError(f"{where}: nodes is a list of names and detail a table")
    _check_detail(str(kind), detail, where, aimed=detail.get("targets") == PRIMARIES and not struck)
    others = {CLIENTS} if CLIENTS in FAULT_OPTIONS[str(kind)] else set()
    for name in (*struck, *_nodes_of(detail)):
        if name not in [*nodes, *others] or (name in others and name in struck):
            raise PlanError(f"{where}: there is no node {name!r}; there are {', '.join(nodes)}")
    if "offsets_ms" in detail and {*detail["offsets_ms"]} != {*struck}:
        raise PlanError(
            f"{where}: offsets_ms has {', '.join(detail['offsets_ms'])}, and nodes {', '.join(struck) or 'none'}; name the same nodes in both"
        )
    return str(kind), round(start_s * NS), round((start_s + for_s) * NS), tuple(struck), detail


DRAWN = {
    "join": "draw",
    "leave": "draw",
    "replace": "draw",
    "hot-key": "draw",
    "clock": "offsets_ms",
} | dict.fromkeys(LINK_KINDS, "grudge")
"""What the timetable draws for a kind of fault, and a stroke has to say."""
FORMS = {
    "draw": "detail = {draw = 0.5}, a number from 0 to below 1 that chooses the member, or the key",
    "offsets_ms": "detail = {offsets_ms = {n1 = 100.0}}, by how much whose clock is shifted",
    "grudge": 'its links, detail = {grudge = {n1 = ["n2"]}}: what n2 sends n1',
    "offset_ms": "detail = {offset_ms = 100.0}, by how much the clocks of the primaries are shifted",
}


def _check_detail(kind: str, detail: Mapping[str, Any], where: str, *, aimed: bool) -> None:
    """Refuse what the kind does not have, what it cannot be, and what is missing. `aimed`: its nodes are found when it begins."""
    own, drawn = FAULT_OPTIONS[kind], DRAWN.get(kind)
    _known(detail, (*own, *([drawn] if drawn else [])), f"{where}, detail")
    if aimed:
        drawn = "offset_ms" if kind == "clock" else None
    if drawn is not None and not _well_formed(drawn, detail.get(drawn)):
        raise PlanError(f"{where}: {kind} needs {FORMS[drawn]}")
    for key, value in detail.items():
        kinds = own.get(key)
        if isinstance(kinds, tuple) and value not in kinds:
            raise PlanError(f"{where}: {key} is {value!r}, but must be one of {', '.join(kinds)}")
        if kinds is str and not isinstance(value, str):
            raise PlanError(f"{where}: {key} is {value!r}, but must be text")
        low, high, what = RANGES.get(key, (-math.inf, math.inf, "a number"))
        if kinds is float and not (_number(value) and low <= value <= high):
            raise PlanError(f"{where}: {key} is {what}, from {low:g} to {high:g}, not {value!r}")


def _well_formed(key: str, value: Any) -> bool:
    if key == "grudge":
        return bool(value) and isinstance(value, Mapping) and all(isinstance(each, list) for each in value.values())  # fmt: skip
    if key == "offsets_ms":
        return bool(value) and isinstance(value, Mapping) and all(map(_offset, value.values()))
    if key == "offset_ms":
        return _offset(value)
    return _number(value) and (key != "draw" or 0 <= value < 1)


def _offset(value: Any) -> bool:
    low, high, _ = RANGES["offset_ms"]
    return _number(value) and low <= value <= high


def _nodes_of(detail: Mapping[str, Any]) -> list[str]:
    """The nodes that a stroke's detail names: of a grudge, and of clocks to be shifted."""
    grudge, offsets = detail.get("grudge", {}), detail.get("offsets_ms", {})
    return [*grudge, *(src for sources in grudge.values() for src in sources), *offsets]


def op_table(op: ScriptOp) -> dict[str, Any]:
    """As it is written in a plan."""
    table: dict[str, Any] = {"after_s": op.after_s} if op.after_s else {}
    table |= {} if op.at_s is None else {"at_s": op.at_s}
    table |= {"client": op.client, "f": op.f}
    table |= {} if op.key is None else {"key": op.key}
    return table | ({"null": True} if op.null else {} if op.value is None else {"value": op.value})


def stroke_table(stroke: Stroke) -> dict[str, Any]:
    """As it is written in a plan."""
    times = {"start_s": stroke.start_ns / NS, "for_s": (stroke.end_ns - stroke.start_ns) / NS}
    detail = {"detail": dict(stroke.detail)} if stroke.detail else {}
    return {"kind": stroke.kind, **times, "nodes": list(stroke.nodes), **detail}


def _known(item: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    for key in item:
        if key not in names:
            raise PlanError(f"{where}: unknown key {key!r}; there are {', '.join(names)}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
