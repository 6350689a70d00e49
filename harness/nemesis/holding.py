"""What a fault keeps as it is on a node until its end. Two that keep the same would end each other: the second is spared that node. Pure.

    pause of n1       ├──────────────────────┤
    pause of n1, n2         ├───────┤               of n2 alone: its end would let n1 go on, and the first would be said to last until its own
    disk-full of n1     ├───────┤                   another thing: it takes its course
    kill of n1      ├──────────┤                    what ends meanwhile starts no process on n1

Faults of links keep nothing: a packet meets each that goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from harness.nemesis.faults import Fault
from harness.plan_options import HOW, OOM_KILL

GONE: Final = "gone"
REPLACE: Final = "replace"
KEEPS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("kill", "power-loss", "power-off", "wipe", REPLACE), GONE),
    **dict.fromkeys(("disk-full", "read-only", "io-error", "slow-disk", "lying-fsync"), "disk"),
    **{kind: kind for kind in ("pause", "clock", "cpu-pressure", "memory-pressure", "snapshot-restore")},
}
"""By kind of fault: that no process is there, what is wrong with the disk, …"""
STARTS: Final = ("restore",)
"""Kinds that start a process when they begin, and keep none from running."""
SILENT: Final = ("partition", "flapping", "loss")
"""Kinds under which a node may hear nothing over a link."""


def keeps(fault: Fault) -> tuple[str, ...]:
    """The nodes on which it keeps something: who was replaced stays away, and who takes its place is free."""
    return (fault.evidence["lost"],) if fault.kind == REPLACE and "lost" in fault.evidence else fault.nodes


def kept(kind: str, detail: Mapping[str, Any]) -> frozenset[str]:
    """What a fault keeps on its nodes."""
    kills = kind == "memory-pressure" and detail.get(HOW) == OOM_KILL
    return frozenset({KEEPS[kind]} if kind in KEEPS else ()) | frozenset({GONE} if kills else ())


def taken(
    kind: str, detail: Mapping[str, Any], nodes: Sequence[str], going_on: Iterable[Fault]
) -> dict[str, str]:
    """Of these nodes those on which a fault that goes on keeps what the new one would keep, and its kind."""
    would = kept(kind, detail) | frozenset({GONE} if kind in STARTS else ())
    return {
        node: fault.kind
        for fault in going_on
        if would & kept(fault.kind, fault.detail)
        for node in nodes
        if node in keeps(fault)
    }


def without(value: Mapping[str, Any], spared: Iterable[str]) -> dict[str, Any]:
    """The fault's start on the other nodes alone."""
    spared = list(spared)
    left = {**value, "nodes": [node for node in value["nodes"] if node not in spared]}
    if "offsets_ms" in value:
        left["offsets_ms"] = {node: ms for node, ms in value["offsets_ms"].items() if node not in spared}
    return left


def kept_gone(going_on: Iterable[Fault]) -> frozenset[str]:
    """Nodes on which these faults keep a process from being there."""
    return frozenset(
        node for fault in going_on if GONE in kept(fault.kind, fault.detail) for node in keeps(fault)
    )


def cut_links(going_on: Iterable[Fault]) -> frozenset[tuple[str, str]]:
    """The links, from and to, over which these faults let nothing through, or not all."""
    return frozenset(
        (source, node)
        for fault in going_on
        if fault.kind in SILENT
        for node, sources in fault.detail["grudge"].items()
        for source in sources
    )
