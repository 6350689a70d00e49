"""`quorate node`: start one node of an installed system.

A system that can run in the foreground registers `serve(config_path, *, replace=False) -> int` under the entry-point group `quorate.nodes`;
the harness knows none by name. `replace`: the node's disk was lost, and it waits to be filled by the others.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

from harness.cli.console import readable
from harness.plan import PlanError


def start_node(config: Path, system: str, *, replace: bool = False) -> int:
    """Hand over to the system. Returns its exit status."""
    readable(config)
    found = {point.name: point for point in entry_points(group="quorate.nodes")}
    if not system and len(found) == 1:
        system = next(iter(found))
    if system not in found:
        known = ", ".join(sorted(found)) or "none"
        raise PlanError(
            f"no system {system!r} has a node to start (there are: {known}); name one with --system"
        )
    return int(found[system].load()(config, replace=replace))
