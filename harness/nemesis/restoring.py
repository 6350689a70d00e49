"""One node restored alone: it loses its disk and is started on an old copy of what it held, made while the cluster served.

    start   every node writes a copy ── a while ── kill, put the old copy back, start       it bit if the copy lacks what the disk had
    end     kill, empty the disk, start on that                                             healed as a kill; then it is replaced, as after `wipe`

A replica that comes back so has forgotten what it acknowledged and promised since (amnesia). A store may refuse it, or fill it with what it lacks
before it counts; if it takes part as it is, a majority may meet in it alone.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

from harness.client import NO_ANSWER
from harness.nemesis.faults import Wipe
from harness.system import CopiedSystem, SystemFault
from harness.worlds import CopiedWorld, World

AGE_S: Final = 0.2  # of a copy that is put back: clients go on meanwhile


class Restore(Wipe):
    """A node runs on an old copy of its own data, until the end: then on an empty disk."""

    kind = "restore"

    async def start(self, world: World) -> None:
        """Make copies, let them become old, and put them back."""
        copy, why = await copied(world)
        if not copy:
            self.note = f"no copy was made: {why}"
            return
        self.evidence["copy"] = copy
        await asyncio.sleep(AGE_S)
        bites = {}
        for node in self.nodes:
            before = await world.process(node)
            await world.kill(node)
            lacks = await cast(CopiedWorld, world).put_back(node, copy)
            await world.start(node)
            self.evidence[node] = {"pid_before": before.pid, "lacks": lacks}
            bites[node] = before.pid is not None and bool(lacks)
        self.judge(bites, "the copy is as the disk was, or there was none")

    async def stop(self, world: World) -> None:
        """Begin with an empty disk, and be replaced."""
        for node in self.nodes:
            if self.evidence.get(node, {}).get("lacks") is not None:
                await world.kill(node)
                self.evidence[node]["removed"] = await world.wipe(node)
        await super().stop(world)


async def copied(world: World) -> tuple[str, str]:
    """Have every node write a copy; its name, or why there is none."""
    system, why = cast(CopiedSystem, world.system), "no node is running"
    for node in world.nodes:
        if (await world.process(node)).state != "running":
            continue
        try:
            channel = await world.dial(node)
            try:
                return await system.copy(channel), ""
            finally:
                await channel.close()
        except (*NO_ANSWER, SystemFault) as error:
            why = str(error)
    return "", why
