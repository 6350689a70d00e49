"""Serving: is a node ready, as it says itself? Asked before a run begins, and after its faults are healed.

dial ─► system.ready(channel) ─► True        serves
  │            ├───────────────► False       not yet
  └────────────┴─ no answer, or too late     not yet: a process that hangs must not keep the run from its end
"""

from __future__ import annotations

import asyncio
from typing import Final

from harness.client import NO_ANSWER
from harness.named import told
from harness.system import SystemFault
from harness.worlds import World

PATIENCE_S: Final = 5.0


async def serves(world: World, node: str) -> bool:
    """Whether the node says that it serves. What the system's own code for asking raises by mistake passes through."""
    try:
        async with asyncio.timeout(PATIENCE_S * world.slowness):
            channel = await world.dial(node)
            try:
                return await world.system.ready(channel)
            finally:
                await channel.close()
    except NO_ANSWER:
        return False


async def first_asked(world: World, node: str) -> bool:
    """The same before a run has begun. Raises SystemFault for a mistake in the system's own code for asking."""
    try:
        return await serves(world, node)
    except Exception as error:
        raise SystemFault(
            f"{world.system.name} cannot be asked whether {node} serves: {told(error)}"
        ) from error
