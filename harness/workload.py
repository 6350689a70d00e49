"""Workload: generator, client and checkers with one meaning, as one value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

from harness.client import Channel, Client
from harness.named import find
from harness.plan_script import ScriptOp
from harness.plan_toml import PlanError, nearest


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
    operations: tuple[
        str, ...
    ] = ()  # what its client does; empty: not told, so a script of them is not checked
    draws_keys: bool = False  # its generator asks `Context.key`, so that a key can be made hot


WorkloadFactory = Callable[[Mapping[str, Any]], Workload]
"""The plan's [options], plus `concurrency`, `rate`, `time_limit_s` and `op_timeout_ms` -> a workload. Raises PlanError."""


def refuse_unknown(workload: Workload, script: Iterable[ScriptOp], source: str) -> None:
    """Raises PlanError if a plan's script has an operation that the workload's client does not do."""
    known = workload.operations
    for place, op in enumerate(script, 1):
        if known and op.f not in known:
            raise PlanError(
                f"{source}: script, operation {place}: f is {op.f!r}, which the workload {workload.name} does not do{nearest(op.f, known)}"
            )


def find_workload(name: str) -> WorkloadFactory:
    """A workload by its name (`harness.named`). Raises PlanError, as does the factory."""
    factory = find("workload", name)

    @wraps(factory)
    def make(options: Mapping[str, Any]) -> Workload:
        made = factory(options)
        if not isinstance(made, Workload):
            raise PlanError(
                f"workload {name!r}: it makes a {type(made).__name__}, and no harness.workload.Workload"
            )
        return made

    return make
