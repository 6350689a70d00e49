"""What the tables [[faults]], [sim] and [hosts] of a plan may hold: a type, or the words that are allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.nemesis import grudges

FAULT_TIMES = ("start_s", "every_s", "for_s")
SHAPES = tuple(grudges.SHAPES)
TARGETS = ("one", "minority", "majority", "all")
FAULT_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "partition": {"shape": SHAPES},
    "kill": {"targets": TARGETS},
    "wipe": {"targets": TARGETS},
    "join": {},
    "leave": {},
    "replace": {},
    "rolling-restart": {},
    "pause": {"targets": TARGETS},
    "clock": {"offset_ms": float, "targets": TARGETS},
}
SIM_OPTIONS: Mapping[str, Any] = {
    "latency": ("constant", "uniform", "exponential", "lognormal"),
    "latency_ms": float,
    "latency_ms_min": float,
    "client_latency_ms": float,
    "loss": float,
    "duplicate": float,
    "reorder": float,
    "streams": ("one", "links"),
}
SHARES = ("loss", "duplicate", "reorder")
HOSTS_OPTIONS: Mapping[str, Any] = {"inventory": str, "lease_s": float}
