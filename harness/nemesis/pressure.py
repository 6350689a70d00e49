"""Load that others put on a node: the system there gets a share of a processor only.

kind          what happens                                               it bit if                         healed if
cpu-pressure  in each tenth of a second it has its share of a processor  it wanted more, and had to wait   it waits no more

    share = 0.1   ▓▓░░░░░░░░ ▓▓░░░░░░░░ ▓▓░░░░░░░░     runs, stands still until the tenth of a second is over, runs, …

That is what a scheduler does to a group with a quota, and what a node feels beside a noisy neighbour, in short: answers are late in steps, time-outs
are met by nodes that are not dead. A system that asks for less than its share notices nothing, and the fault has not bitten. Reference:
Documentation/scheduler/sched-bwc.rst of Linux.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from harness.nemesis.faults import Fault
from harness.plan_options import STRENGTHS
from harness.worlds import World


class CpuPressure(Fault):
    """A quota, from start to stop."""

    kind = "cpu-pressure"

    async def start(self, world: World) -> None:
        """Set it; whether it is felt shows at the end."""
        await world.throttle(self.nodes, float(self.detail.get("share", STRENGTHS[self.kind]["share"])))

    async def stop(self, world: World) -> None:
        """Take it away, and see how long the system had to wait."""
        waits = await world.unthrottle(self.nodes)
        self.evidence |= {node: {"waited_ms": round(waited_ms, 1)} for node, waited_ms in waits.items()}
        self.judge({node: waited_ms > 0 for node, waited_ms in waits.items()}, "it had all the processor time it wanted")  # fmt: skip
        self.healed = True


KINDS: Final[Mapping[str, Callable[..., Fault]]] = {CpuPressure.kind: CpuPressure}
