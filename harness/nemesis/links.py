"""Faults of the network: what happens to packets on some links, one way or both. Each is a Trouble of the world.

kind        packets on its links are                          it bit if
partition   dropped                                           some were dropped
loss        dropped, each with probability `share`            some were dropped
flapping    dropped, let through, dropped, … (`flapping`)     some were dropped in two downs at least
reset       answered, each with probability `share`, by a     some were
            reset of their connection
rate        let through at `rate_kbit`                        some had to wait
delay       held for `delay_ms` ± `jitter_ms`                 some were, for that long on average
duplicate   doubled, each with probability `share`            some were
reorder     held for `delay_ms`, each with probability        some were overtaken
            `share`, while others pass them
corrupt     changed by one bit, each with probability         some were
            `share`; their `checksum` is wrong, or right

    detail: grudge = {n2: [n1, n3]} ──► Trouble ──► world.disturb … world.relieve ──► {"n1->n2": (seen, hit)}

A grudge may name `clients` in place of a node: what they ask a node, or are answered. Otherwise clients are never cut off: a node without
its peers still has to answer them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from harness.nemesis.faults import Fault
from harness.nemesis.grudges import Grudge, names
from harness.plan_options import CHECKSUM, LINK_DEFAULTS, RIGHT
from harness.worlds import World
from harness.worlds.trouble import (
    CORRUPT,
    DELAY,
    DROP,
    DUPLICATE,
    RATE,
    REORDER,
    RESET,
    Touches,
    Trouble,
)

DELAY_TOLERANCE_MS: Final = 1.0


class LinkFault(Fault):
    """A trouble from start to stop. A kind says which, with which of its options, and what is done to packets."""

    act = DROP
    asks: tuple[str, ...] = ()
    told = "dropped"

    def trouble(self) -> Trouble:
        """What happens to packets."""
        asked: dict[str, Any] = {name: self.option(name) for name in self.asks}
        return Trouble(number=self.number, kind=self.act, links=self.links(), **asked)

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
        hit = {link: touch.hit for link, touch in touches.items() if touch.hit}
        self.evidence |= {self.told: hit, "links": len(names(self.links()))}
        self.evidence["seen"] = sum(touch.seen for touch in touches.values())
        self.bit = bool(hit)
        self.note = "" if self.bit else f"no packet was {self.told.replace('_', ' ')}"


class Partition(LinkFault):
    """Every packet is dropped."""

    kind = "partition"


class Loss(LinkFault):
    """A share of the packets is dropped."""

    kind = "loss"
    asks = ("share",)

    def weigh(self, touches: Touches) -> None:
        """With the share that was asked for and the one that was seen."""
        super().weigh(touches)
        share = sum(self.evidence[self.told].values()) / max(1, self.evidence["seen"])
        self.evidence |= {"asked_share": self.option("share"), "measured_share": round(share, 3)}


class Reset(LinkFault):
    """Connections between nodes are reset: both ends know at once, and what was on its way is lost."""

    kind = "reset"
    act, asks, told = RESET, ("share",), "reset"


class Rate(LinkFault):
    """Links are slow: packets wait for those before them."""

    kind = "rate"
    act, asks, told = RATE, ("rate_kbit",), "held_back"


class Delay(LinkFault):
    """Links are long: every packet is late."""

    kind = "delay"
    act, asks, told = DELAY, ("delay_ms", "jitter_ms"), "delayed"

    def weigh(self, touches: Touches) -> None:
        """With the delay that was measured: less than was asked for is no bite."""
        super().weigh(touches)
        count = max(1, sum(self.evidence[self.told].values()))
        held_ms = sum(touch.hit * touch.held_ms for touch in touches.values()) / count
        self.evidence |= {"asked_ms": self.option("delay_ms"), "measured_ms": round(held_ms, 1)}
        least_ms = self.option("delay_ms") - self.option("jitter_ms") - DELAY_TOLERANCE_MS
        if self.bit and held_ms < least_ms:
            self.bit, self.note = False, f"packets were held for {held_ms:.1f} ms on average only"


class Duplicate(LinkFault):
    """Some packets arrive twice. TCP takes the second away; who speaks UDP, and a simulated node, gets both."""

    kind = "duplicate"
    act, asks, told = DUPLICATE, ("share",), "doubled"


class Reorder(LinkFault):
    """Some packets are overtaken by those behind them. TCP puts them in order, and is late by that."""

    kind = "reorder"
    act, asks, told = REORDER, ("share", "delay_ms"), "overtaken"


class Corrupt(LinkFault):
    """One bit of some packets is flipped. With a wrong checksum they are lost; with the right one the bit reaches the system."""

    kind = "corrupt"
    act, asks, told = CORRUPT, ("share",), "corrupted"

    def trouble(self) -> Trouble:
        """With what becomes of the checksum."""
        return replace(super().trouble(), mends_checksum=self.detail.get(CHECKSUM) == RIGHT)


KINDS: Final[dict[str, Any]] = {
    kind.kind: kind for kind in (Partition, Loss, Reset, Rate, Delay, Duplicate, Reorder, Corrupt)
}
