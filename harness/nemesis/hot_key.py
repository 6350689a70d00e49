"""A load that crowds on one key: while the fault goes on a share of the clients' operations is on it.

kind      what happens                                it bit if                                                         healed if
hot-key   of the operations so many are on one key    their share was nearer to what was asked for than to the usual    keys are drawn as before

Nothing is done to the nodes, so it is the same in every world. Which key is hot is drawn ahead; a fault aimed at `primaries` a while after this one
began strikes the nodes that lead for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from harness.generator.crowd import Crowd
from harness.nemesis.faults import Fault
from harness.plan_options import STRENGTHS
from harness.worlds import World


class HotKey(Fault):
    """From start to stop, of the load that `crowd` steers; who starts it says which."""

    kind = "hot-key"
    crowd: Crowd

    @property
    def share(self) -> float:
        """Of the operations, as it is asked for."""
        return float(self.detail.get("share", STRENGTHS[self.kind]["share"]))

    async def start(self, world: World) -> None:
        """Begin to crowd; what clients do of it shows at the end."""
        self.crowd.begin(self.number, self.share, float(self.detail["draw"]))

    async def stop(self, world: World) -> None:
        """Go back to what was usual, and see how many operations were on the key."""
        seen, self.healed = self.crowd.end(self.number), True
        self.evidence = {"keys": list(seen.keys), "operations": seen.of, "on_it": seen.on_it}
        self.evidence |= {"share": round(seen.share, 3), "usual_share": round(seen.usual, 3)}
        self.bit = seen.of > 0 and seen.usual < self.share and seen.share > (self.share + seen.usual) / 2
        if not seen.of:
            self.note = "no operation was called meanwhile"
        elif seen.usual >= self.share:
            self.note = "a key has as large a share without it"
        elif not self.bit:
            self.note = f"the key had a share of {seen.share:.2f} of the operations, and {self.share:g} was asked for"  # fmt: skip


KINDS: Final[Mapping[str, Callable[..., Fault]]] = {HotKey.kind: HotKey}
