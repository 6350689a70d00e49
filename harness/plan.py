"""Plan: what to run, as data. The same file runs in the simulator and on hosts.

    name = "register-under-faults"       concurrency = 10      [system]            [[faults]]
    workload = "register"                rate = 100            name = "kvstore"    kind = "partition"
    seed = 7                             nodes = 5             mode = "register"   shape = "halves"
    time_limit_s = 30                    claims = [...]        n = 3               every_s = 6.0
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class PlanError(Exception):
    """A plan, option or input that cannot be used: what is wrong, where, and what to do. Exit status 254."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """One kind of fault and its rhythm: every `every_s` it starts on fresh targets and lasts `for_s`.

    `kind`: partition | kill | pause | clock. `options` are the kind's own: partition `shape` = halves | isolate |
    majorities-ring | bridge | one-way; kill and pause `targets` = one | minority | majority | all; clock
    `offset_ms` = the largest offset either way, with `targets`.
    """

    kind: str
    start_s: float = 1.0
    every_s: float = 10.0
    for_s: float = 5.0
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run, fully described. Durations carry their unit; `rate` is operations per second over all clients, 0 for no limit."""

    name: str
    workload: str
    system: str
    claims: tuple[str, ...]
    seed: int = 1
    nodes: int = 5
    concurrency: int = 10
    rate: float = 100.0
    time_limit_s: float = 30.0
    op_timeout_ms: float = 1000.0
    options: Mapping[str, Any] = field(default_factory=dict)  # of the workload
    system_options: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[FaultPlan, ...] = ()
    sim: Mapping[str, Any] = field(default_factory=dict)  # latency_ms, latency = constant|uniform|exponential|lognormal, loss, duplicate, reorder
    hosts: Mapping[str, Any] = field(default_factory=dict)  # inventory = path

    @property
    def node_names(self) -> tuple[str, ...]:
        """n1, n2, …"""
        return tuple(f"n{number}" for number in range(1, self.nodes + 1))
