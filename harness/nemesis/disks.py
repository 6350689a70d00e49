"""The fault of disks: bits flip in what a node has stored, below its process, which learns of it when it reads.

    n1   x=3  y=7  z=5          bitflip-start, share 0.3: one of three
         x=3  y≠#  z=5          a read of y, or a scrub, meets a checksum that does not match
         x=3  y=7  z=5          the system mends it from its replicas, or a later write takes its place

Damage that nothing reads tests nothing. So the fault bit if records were damaged on every node, and a read met at least one of them on each
before the fault ended. Nothing is undone at the end, for no disk heals: it counts what is damaged still (Bairavasundaram et al., "An analysis
of data corruption in the storage stack", FAST 2008; Ganesan et al., "Redundancy does not imply fault tolerance", FAST 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, cast

from harness.nemesis.faults import Fault
from harness.plan_options import STRENGTHS
from harness.worlds import RottingWorld, World


@dataclass(slots=True)
class Bitflip(Fault):
    """A share of the records on some disks is damaged."""

    struck: dict[str, AbstractSet[Hashable]] = field(default_factory=dict)

    kind = "bitflip"

    async def start(self, world: World) -> None:
        """Damage them. Where nothing is stored, nothing can be."""
        share = float(self.detail.get("share", STRENGTHS[self.kind]["share"]))
        for node in self.nodes:
            self.struck[node] = await cast(RottingWorld, world).damage(node, share, self.number)
            self.evidence[node] = {"damaged": len(self.struck[node])}
        self.judge({node: bool(struck) for node, struck in self.struck.items()}, "no record was on the disk")

    async def stop(self, world: World) -> None:
        """Look what was met and what is left. Healed if the system has mended, or replaced, them all."""
        self.healed = True
        bites = {}
        for node, struck in self.struck.items():
            found = await cast(RottingWorld, world).rot(node)
            met, left = len(struck & found.met), len(struck & found.left)
            self.evidence[node] |= {"met": met, "left": left}
            bites[node] = met > 0
            self.healed &= left == 0
        if self.bit:
            self.judge(bites, "no read met a damaged record")


KINDS: Final[Mapping[str, Callable[..., Fault]]] = {Bitflip.kind: Bitflip}
