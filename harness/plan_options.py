"""What the tables [[faults]], [sim] and [hosts] of a plan may hold: a type, or the words that are allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.nemesis import grudges

FAULT_TIMES = ("start_s", "every_s", "for_s")
SHAPES = tuple(grudges.SHAPES)
SIZES = ("one", "minority", "majority", "all")
PRIMARIES = "primaries"
"""The nodes that lead for the key that is used most when the fault begins."""
TARGETS = (*SIZES, PRIMARIES)
BETWEEN_NODES: Mapping[str, Any] = {"shape": SHAPES, "targets": TARGETS}
"""Which links a fault is of: those that a partition of the shape would cut, or all of the targets."""
LINKS: Mapping[str, Any] = {**BETWEEN_NODES, grudges.CLIENTS: grudges.WAYS}
"""The same, or in place of links between nodes those of the targets with their clients."""
FILE = "file"
"""The name of one of the system's files, on hosts."""
EXTENT, ANY, REPAIRABLE = "extent", "any", "repairable"
"""Which records may be damaged: any (if the plan does not say), or those of whose copies most stay whole. In the simulator."""
CHECKSUM, WRONG, RIGHT = "checksum", "wrong", "right"
"""What a corrupted packet's checksum is: wrong (if the plan does not say), or right again."""
POINT = "point"
"""The name of a point of the system that a node has to come to before the fault begins."""
DRIFT, STROBE = "drift_s", "strobe_ms"
"""How clocks move that do not jump once."""
HOW, SIGNAL, FREEZER = "how", "signal", "freezer"
"""By what a process is paused: SIGSTOP (if the plan does not say), or the freezer of its control group."""
RECLAIM, OOM_KILL = "reclaim", "kill"
"""What becomes of a system that has too little memory: it waits (if the plan does not say), or it is killed."""
CPU, MEMORY = "cpu", "memory"
"""The controllers of processor time, and of memory."""
OWN_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "partition": LINKS,
    "loss": {**LINKS, "share": float},
    "flapping": {**LINKS, "down_ms": float, "up_ms": float},
    "reset": {**LINKS, "share": float},
    "rate": {**BETWEEN_NODES, "rate_kbit": float},
    "delay": {**LINKS, "delay_ms": float, "jitter_ms": float},
    "duplicate": {**BETWEEN_NODES, "share": float},
    "reorder": {**BETWEEN_NODES, "share": float, "delay_ms": float},
    "corrupt": {**BETWEEN_NODES, "share": float, CHECKSUM: (WRONG, RIGHT)},
    "kill": {"targets": TARGETS},
    "power-loss": {"targets": TARGETS},
    "power-off": {"targets": TARGETS},
    "disk-full": {"targets": TARGETS},
    "read-only": {"targets": TARGETS},
    "io-error": {"targets": TARGETS},
    "slow-disk": {"stall_ms": float, "targets": TARGETS},
    "lying-fsync": {"targets": TARGETS},
    "wipe": {"targets": TARGETS},
    "restore": {"targets": TARGETS},
    "bitflip": {"share": float, "targets": TARGETS, FILE: str, EXTENT: (ANY, REPAIRABLE)},
    "truncate": {"share": float, "targets": TARGETS, FILE: str},
    "snapshot-restore": {"targets": TARGETS},
    "join": {},
    "leave": {},
    "replace": {},
    "rolling-restart": {},
    "pause": {"targets": TARGETS, HOW: (SIGNAL, FREEZER)},
    "cpu-pressure": {"share": float, "targets": TARGETS},
    "memory-pressure": {"room_mib": float, HOW: (RECLAIM, OOM_KILL), "targets": TARGETS},
    "hot-key": {"share": float},
    "clock": {"offset_ms": float, DRIFT: float, STROBE: float, "targets": TARGETS},
}
FAULT_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    kind: {**own, POINT: str} for kind, own in OWN_OPTIONS.items()
}
LINK_DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "loss": {"share": 0.2},
    "flapping": {"down_ms": 500.0, "up_ms": 500.0},
    "reset": {"share": 0.05},
    "rate": {"rate_kbit": 32.0},
    "delay": {"delay_ms": 100.0, "jitter_ms": 0.0},
    "duplicate": {"share": 0.2},
    "reorder": {"share": 0.2, "delay_ms": 20.0},
    "corrupt": {"share": 0.05},
}
"""Faults of links other than partitions, and what their options are when a plan does not say."""
DISK_KINDS = ("power-loss", "power-off", "disk-full", "read-only", "io-error", "slow-disk", "lying-fsync")
"""Faults for which a node on hosts needs a disk of its own."""
FILE_KINDS = ("bitflip", "truncate", "snapshot-restore")
"""Faults of files that the system names, on hosts."""
LINK_KINDS = ("partition", *LINK_DEFAULTS)
STRENGTHS: Mapping[str, Mapping[str, float]] = {
    **LINK_DEFAULTS,
    "bitflip": {"share": 0.1},
    "truncate": {"share": 0.1},
    "slow-disk": {"stall_ms": 200.0},
    "cpu-pressure": {"share": 0.1},
    "memory-pressure": {"room_mib": 0.0},
    "hot-key": {"share": 0.9},
}
"""How strong a fault is that has degrees, when a plan does not say."""
TEN_YEARS_MS = 315_360_000_000.0
RANGES: Mapping[str, tuple[float, float, str]] = {
    "share": (0.001, 1.0, "a share of the packets, of the records, of the operations, or of a processor"),
    "down_ms": (50.0, 600_000.0, "milliseconds"),
    "up_ms": (50.0, 600_000.0, "milliseconds"),
    "rate_kbit": (8.0, 1_000_000.0, "kilobits a second"),
    "delay_ms": (1.0, 10_000.0, "milliseconds"),
    "stall_ms": (20.0, 2_000.0, "milliseconds"),
    "room_mib": (0.0, 1_000_000.0, "mebibytes"),
    "jitter_ms": (0.0, 10_000.0, "milliseconds"),
    DRIFT: (0.5, 3_600.0, "seconds"),
    STROBE: (100.0, 600_000.0, "milliseconds"),
    "offset_ms": (-TEN_YEARS_MS, TEN_YEARS_MS, "milliseconds"),
}
"""What the options of faults may be: from, to, of what."""
TIME_MAX_S, TIME_MAX_MS, YEARS_S = 1e7, 1e8, 1e9
"""No run is longer than a hundred days, no operation than one; and no rhythm of a fault."""
SEED_MAX = (1 << 63) - 1  # what TOML promises to carry
TOP_RANGES: Mapping[str, tuple[float, float, str]] = {
    "seed": (-SEED_MAX - 1, SEED_MAX, "a whole number of 64 bits"),
    "nodes": (1, 1_000, "a number of nodes"),
    "concurrency": (1, 100_000, "a number of clients"),
    "rate": (0.0, 1e6, "operations per second, 0 for no limit"),
    "time_limit_s": (0.001, TIME_MAX_S, "seconds"),
    "op_timeout_ms": (0.001, TIME_MAX_MS, "milliseconds"),
}
SIM_RANGES: Mapping[str, tuple[float, float, str]] = {
    **dict.fromkeys(("loss", "duplicate", "reorder"), (0.0, 1.0, "a share of the messages")),
    **dict.fromkeys(
        ("latency_ms", "latency_ms_min", "client_latency_ms", "hold_ms"), (0.0, 60_000.0, "milliseconds")
    ),
}
HOSTS_RANGES: Mapping[str, tuple[float, float, str]] = {
    "lease_s": (3.0, 86_400.0, "seconds, enough of them to be renewed in time")
}
"""What the other numbers of a plan may be."""


def outside(value: Any, bounds: tuple[float, float, str]) -> str:
    """What to say of a number that is not within its range; nothing of one that is. NaN never is."""
    low, high, what = bounds
    return "" if low <= value <= high else f"is {what}, from {_told(low)} to {_told(high)}, not {value!r}"


def _told(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:,.10g}"


def times(value: Any) -> bool:
    """A list of times within a run, in seconds."""
    return all(type(each) in (int, float) and 0 <= each <= TIME_MAX_S for each in value)


SIM_OPTIONS: Mapping[str, Any] = {
    "latency": ("constant", "uniform", "exponential", "lognormal"),
    "latency_ms": float,
    "latency_ms_min": float,
    "measured_ms": list,
    "sites": list,
    "between_ms": dict,
    "client_latency_ms": float,
    "loss": float,
    "duplicate": float,
    "reorder": float,
    "streams": ("one", "links"),
    "schedule": ("delays", "priorities"),
    "hold_ms": float,
    "changes_s": list,
}
MEASURED = "measured_ms"
"""Delays that were measured, in place of these two:"""
DISTRIBUTION = ("latency", "latency_ms")
PLACES = ("sites", "between_ms")
"""Where the nodes are."""
PRIORITIES = "priorities"
ORDERED = ("hold_ms", "changes_s")
"""What a schedule by priorities has, and no other."""
HOSTS_OPTIONS: Mapping[str, Any] = {"inventory": str, "lease_s": float}


def without(table: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A table of a plan with some of its options left out."""
    return {name: value for name, value in table.items() if name not in names}


def clash(options: Mapping[str, Any]) -> tuple[str, str] | None:
    """Of a fault's options one that does not go with another, and why."""
    if {"shape", "targets"} <= options.keys():
        return "shape", "takes the place of targets; leave one of them out"
    if {"shape", grudges.CLIENTS} <= options.keys():
        return "shape", f"is of links between nodes; with {grudges.CLIENTS} say targets"
    if {DRIFT, STROBE} <= options.keys():
        return STROBE, f"takes the place of {DRIFT}; leave one of them out"
    if POINT in options and options.get("targets") == PRIMARIES:
        return POINT, f'finds its node itself; leave targets = "{PRIMARIES}" out'
    return None
