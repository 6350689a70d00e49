"""Looks at who holds what, while a run goes on; what is kept of it: `harness.rings`.

simulator   looked into without a message, so that no run goes otherwise for it, at every record 50 ms or more after the last look
hosts       every node is asked once a second; one that does not answer is passed over
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from checkers.op import Op
from harness.client import NO_ANSWER
from harness.rings import RingLog
from harness.system import Ring, RingedSystem
from harness.worlds import World

if TYPE_CHECKING:
    from harness.worlds.sim import SimWorld

SIM_LOOK_NS: Final = 50_000_000
HOSTS_LOOK_S: Final = 1.0
PATIENCE_S: Final = 2.0


class Rings:
    """Looks at the nodes of a world while a run goes on."""

    def __init__(self, world: World, key_name: Callable[[Any], bytes] | None) -> None:
        self._world, self._system = world, cast(RingedSystem, world.system)
        self._key_name = key_name
        self._next_ns = 0
        self.log = RingLog(self._partition_of)

    def _partition_of(self, key: Any) -> int | None:
        return None if self._key_name is None or key is None else self._system.partition_of(self._key_name(key))  # fmt: skip

    def see(self, record: Op) -> None:
        """A record of the history: its key, and in the simulator an occasion to look."""
        if isinstance(record.process, int):
            self.log.use(record.key)
        if self._world.kind == "sim" and record.time_ns >= self._next_ns:
            self._next_ns = record.time_ns + SIM_LOOK_NS
            self.log.see(record.time_ns, self._looked_into())

    def _looked_into(self) -> dict[str, Ring]:
        world = cast("SimWorld", self._world)
        running = {node: world.machine(node).process for node in world.nodes}
        rings = {node: self._system.simulated_ring(process) for node, process in running.items() if process is not None}  # fmt: skip
        return {node: ring for node, ring in rings.items() if ring is not None}

    async def ask(self, now_ns: Callable[[], int]) -> None:
        """On hosts, until it is cancelled. Each node by itself: one that is paused does not delay the others."""
        await asyncio.gather(*(self._keep_asking(node, now_ns) for node in self._world.nodes))

    async def _keep_asking(self, node: str, now_ns: Callable[[], int]) -> None:
        while True:
            if (ring := await self._asked(node)) is not None:
                self.log.see(now_ns(), {node: ring})
            await asyncio.sleep(HOSTS_LOOK_S)

    async def _asked(self, node: str) -> Ring | None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                channel = await self._world.dial(node)
                try:
                    return await self._system.ring(channel)
                finally:
                    await channel.close()
        except NO_ANSWER:
            return None


def rings_of(world: World, key_name: Callable[[Any], bytes] | None) -> Rings | None:
    """For a world whose system tells of its ring."""
    wanted = ("partition_of", "simulated_ring" if world.kind == "sim" else "ring")
    return Rings(world, key_name) if all(hasattr(world.system, name) for name in wanted) else None
