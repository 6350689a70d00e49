"""Faults of the network: what happens to packets on some links, one way or both. Each is a Trouble of the world.

kind        packets on its links are                     it bit if
partition   dropped                                      some were dropped
loss        dropped, each with probability `share`       some were dropped
flapping    dropped, let through, dropped, … (`flapping`)  some were dropped in two downs at least

    detail: grudge = {n2: [n1, n3]} ──► Trouble ──► world.disturb … world.relieve ──► {"n1->n2": (seen, hit)}

Clients are never cut off: a node without its peers still has to answer them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from harness.nemesis.faults import Fault
from harness.nemesis.grudges import Grudge, names
from harness.plan_options import LINK_DEFAULTS
from harness.worlds import World
from harness.worlds.trouble import DROP, Touches, Trouble


class Partition(Fault):
    """Every packet over the links is dropped."""

    kind = "partition"

    def trouble(self) -> Trouble:
        """What happens to packets."""
        return Trouble(number=self.number, kind=DROP, links=self.links())

    def links(self) -> Grudge:
        """Which links are meant."""
        return {dst: frozenset(sources) for dst, sources in self.detail["grudge"].items()}

    def option(self, name: str) -> float:
        """An option of its kind, or its default where strokes leave it out."""
        return float(self.detail.get(name, LINK_DEFAULTS[self.kind][name]))

    async def start(self, world: World) -> None:
        """Begin; the counts begin here."""
        await world.disturb(self.trouble())

    async def stop(self, world: World) -> None:
        """End it, and see what it did."""
        self.weigh(await world.relieve(self.number))
        self.healed = True

    def weigh(self, touches: Touches) -> None:
        """Set the evidence, and whether it bit."""
        self.evidence["dropped"] = {link: touch.hit for link, touch in touches.items() if touch.hit}
        self.evidence["links"] = len(names(self.links()))
        self.bit = bool(self.evidence["dropped"])
        self.note = "" if self.bit else "no packet was dropped"


class Loss(Partition):
    """A share of the packets is dropped."""

    kind = "loss"

    def trouble(self) -> Trouble:
        """As a partition that lets some through."""
        return replace(super().trouble(), share=self.option("share"))

    def weigh(self, touches: Touches) -> None:
        """As of a partition, with the share that was asked for and the one that was seen."""
        super().weigh(touches)
        seen = sum(touch.seen for touch in touches.values())
        dropped = sum(touch.hit for touch in touches.values())
        self.evidence |= {"seen": seen, "asked_share": self.option("share")}
        self.evidence["measured_share"] = round(dropped / seen, 3) if seen else None


KINDS: Final[dict[str, Any]] = {kind.kind: kind for kind in (Partition, Loss)}
