"""Memory that others have taken: what a fault asks of a world, and what the world saw of it.

    room_mib = 1      ████████████░│      █ what the system cannot give back   ░ the room   │ the limit

What lies beyond the limit is asked for and not got: pages of files are dropped to make room, and read again; then whoever asks waits, or is killed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Shortage:
    """What a shortage did on a node: how often the limit was met, how many processes it killed, and what else there is to tell."""

    met: int
    killed: int
    told: Mapping[str, Any] = field(default_factory=dict)


class Memory(Protocol):
    """The memory of the nodes of a world."""

    async def squeeze(self, nodes: Sequence[str], room_mib: float, kill: bool) -> None:
        """The system on these nodes gets this room beyond what it cannot give back. `kill`: until it has gone out, and a process of it is killed."""

    async def release(self, nodes: Sequence[str]) -> Mapping[str, Shortage]:
        """It gets what it asks for, verified; what the shortage did."""
