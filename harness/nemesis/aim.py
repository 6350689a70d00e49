"""Faults that are aimed while the run goes on: at the nodes that lead for the key that is used most. Pure.

    records ──► Heat: the key most used of late ──► the system: who leads for it? ──► n3 ──► the fault is on n3

A timetable drawn ahead strikes a node that matters now only by chance: of five nodes, one leads for a key. Such a stroke has no nodes
before it begins; what was drawn for it (an offset of clocks) is given to each node it finds.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from checkers.op import Op, Type
from harness.generator import NEMESIS
from harness.nemesis.grudges import CLIENTS, around, to_clients
from harness.plan_options import LINK_KINDS, PRIMARIES

RECENT: Final = 200
"""How many operations count as of late."""


class Heat:
    """Which key is used most, of the last operations that were called."""

    def __init__(self) -> None:
        self._recent: deque[Any] = deque(maxlen=RECENT)

    def see(self, op: Op) -> None:
        """A record of the history."""
        if op.type is Type.INVOKE and op.process != NEMESIS and op.key is not None:
            self._recent.append(op.key)

    def hottest(self) -> Any:
        """The key, None before any was used. Of two as hot it is the one whose use lies further back."""
        return Counter(self._recent).most_common(1)[0][0] if self._recent else None


def is_aimed(value: Mapping[str, Any]) -> bool:
    """Whether a fault's start still has to find its nodes."""
    return value.get("targets") == PRIMARIES and not value["nodes"]


def aimed(
    kind: str, value: Mapping[str, Any], found: Sequence[str], nodes: Sequence[str]
) -> Mapping[str, Any]:
    """The fault's start with the nodes that were found, all of whose `nodes` it may be about."""
    known = {**value, "nodes": [node for node in nodes if node in found]}
    if kind in LINK_KINDS:
        meant = to_clients(found, value[CLIENTS]) if CLIENTS in value else around(found, nodes)
        known["grudge"] = {node: sorted(sources) for node, sources in meant.items()}
    if kind == "clock":
        known["offsets_ms"] = dict.fromkeys(known["nodes"], known.pop("offset_ms"))
    return known


def at_point(value: Mapping[str, Any], found: str) -> Mapping[str, Any]:
    """The fault's start as it was drawn, but for the node that has come to the point: it takes the place of the first it was drawn for."""
    if not value["nodes"]:
        return value
    first: str = value["nodes"][0]
    place = {first: found, found: first}

    def new(name: str) -> str:
        return place.get(name, name)

    known = {**value, "nodes": [new(name) for name in value["nodes"]]}
    if "grudge" in value:
        known["grudge"] = {new(dst): sorted(map(new, sources)) for dst, sources in value["grudge"].items()}
    if "offsets_ms" in value:
        known["offsets_ms"] = {new(node): offset_ms for node, offset_ms in value["offsets_ms"].items()}
    return known
