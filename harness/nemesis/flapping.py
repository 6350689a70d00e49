"""Flapping links: down for `down_ms`, up for `up_ms`, again and again, until the fault ends.

    start                                          stop
    ══════╗      ╔══════╗      ╔══════╗      ╔═══════
          ╚══════╝      ╚══════╝      ╚══════╝            each down is a partition of its own: begun, ended, counted
           down_ms up_ms

The nemesis changes the world itself each time, so it is the same in both worlds, and what a dead harness leaves is a
partition, which the lease ends. A link that flaps makes failure detectors and new connections work all the time.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from harness.nemesis.grudges import names
from harness.nemesis.links import LinkFault
from harness.nemesis.rhythm import Rhythm
from harness.worlds import World
from harness.worlds.trouble import Touches

DOWNS_MIN: Final = 2  # once down is a partition


class Flapping(LinkFault):
    """The links go down and up, again and again. What was seen in each down is summed up."""

    kind = "flapping"
    _rhythm: Rhythm | None = None

    async def start(self, world: World) -> None:
        """The links go down for the first time."""
        self.evidence = {"downs": 0, "downs_that_dropped": 0, "dropped": {}}
        await super().start(world)
        self._rhythm = Rhythm(lambda rhythm: self._flap(world, rhythm))

    async def _flap(self, world: World, rhythm: Rhythm) -> None:
        """Up and down until it is over; never broken off within a change of the world."""
        while not await rhythm.is_over_within(self.option("down_ms") / 1000):
            self._count(await world.relieve(self.number))
            if await rhythm.is_over_within(self.option("up_ms") / 1000):
                return
            await super().start(world)

    def _count(self, touches: Touches) -> None:
        dropped = {link: touch.hit for link, touch in touches.items() if touch.hit}
        self.evidence["downs"] += bool(touches)
        self.evidence["downs_that_dropped"] += bool(dropped)
        self.evidence["dropped"] = dict(Counter(self.evidence["dropped"]) + Counter(dropped))

    async def stop(self, world: World) -> None:
        """Leave the links up. Raises WorldError, also one that ended the flapping before."""
        try:
            if self._rhythm is not None:
                await self._rhythm.end()
        finally:
            self._count(await world.relieve(self.number))
        self.healed = True
        self.evidence["links"] = len(names(self.links()))
        self.bit = self.evidence["downs_that_dropped"] >= DOWNS_MIN
        self.note = "" if self.bit else f"packets were dropped in fewer than {DOWNS_MIN} downs"

    def abandon(self) -> None:
        """End the task where it is."""
        if self._rhythm is not None:
            self._rhythm.abandon()
