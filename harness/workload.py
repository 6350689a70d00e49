"""Workload: generator, client and checkers with one meaning, as one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from harness.client import Channel, Client


@dataclass(frozen=True, slots=True)
class Workload:
    """What is run. `generator` and `final` are generators (`harness.generator`); `final` runs after the heal."""

    name: str
    description: str
    generator: Any
    final: Any
    client: Callable[[Channel], Client]  # wrap a channel to one node as this workload's client
    model: str  # what `checkers` should judge it as: "register"
    key_name: Callable[[Any], bytes] | None = None  # what an operation's key is called in the system


WorkloadFactory = Callable[[Mapping[str, Any]], Workload]
"""The plan's [options], plus `concurrency`, `rate`, `time_limit_s` and `op_timeout_ms` -> a workload. Raises PlanError."""


@cache  # looking through what is installed takes as long as a short run in the simulator
def find_workload(name: str) -> WorkloadFactory:
    """Look a workload up by its entry point; raises KeyError naming those there are."""
    found = {point.name: point for point in entry_points(group="quorate.workloads")}
    if name not in found:
        raise KeyError(f"no workload {name!r}; there are: {', '.join(sorted(found)) or 'none'}")
    factory: WorkloadFactory = found[name].load()
    return factory
