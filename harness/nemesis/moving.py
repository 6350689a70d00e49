"""Clocks that go on moving while the fault goes on: they drift to their offset, or jump there and back, again and again.

    drift_s = 4                           strobe_ms = 500
    offset_ms ┄┄┄┄┄┄┄┄┄┄╭────┐ stop       offset_ms ┄╭──╮  ╭──╮  ╭─┐ stop
                   ╭────╯    │                       │  │  │  │  │ │
    0 ────╭────────╯         └───         0 ─────────╯  ╰──╯  ╰──╯ └───
          start                                      start

Drift is a staircase with a step each tenth of a second. The nemesis sets the clocks itself, so it is the same in both worlds, and what a dead harness
leaves is an offset, which the lease ends. Every so often the clocks are measured between two moves: each has to be where it was put.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.nemesis.faults import CLOCK_TOLERANCE_MS, ClockShift, Fault
from harness.nemesis.rhythm import Rhythm
from harness.plan_options import DRIFT, STROBE
from harness.worlds import World

STEP_S: Final = 0.1
ROUNDING: Final = 1e-6
JUMPS_MIN: Final = 3  # there, back, and there again: once there is an offset


def clock(number: int, nodes: tuple[str, ...], detail: Mapping[str, Any]) -> Fault:
    """The fault of this detail: clocks that move, or that stay where they were put."""
    moves = DRIFT in detail or STROBE in detail
    return MovingClock(number, nodes, detail) if moves else ClockShift(number, nodes, detail)


class MovingClock(ClockShift):
    """Wall clocks of some nodes move. `seen` in the evidence: the share of the offset they were put to, and where they were, now and then."""

    _rhythm: Rhythm | None = None

    async def start(self, world: World) -> None:
        """The clocks begin to move."""
        self.evidence = {
            node: {"asked_ms": asked, "seen": []} for node, asked in self.detail["offsets_ms"].items()
        }
        self._moves, self._due = 0, 0.5
        self._rhythm = Rhythm(lambda rhythm: self._move(world, rhythm))

    async def _move(self, world: World, rhythm: Rhythm) -> None:
        """From step to step until it is over, or a drift is complete; never broken off within a change of the world."""
        step_s = STEP_S if DRIFT in self.detail else self.detail[STROBE] / 1000
        while True:
            share = self._share(rhythm.passed_s)
            for node, asked in self.detail["offsets_ms"].items():
                await world.set_clock(node, round(share * asked, 3))
            self._moves += 1
            if self._is_to_be_looked_at(share):
                await self._look(world, share)
            is_complete = DRIFT in self.detail and share >= 1
            if is_complete or await rhythm.is_over_within(step_s):
                return

    def _share(self, passed_s: float) -> float:
        """Of the offset, so long after the start, or at this move."""
        if DRIFT in self.detail:
            return min(1.0, passed_s / float(self.detail[DRIFT]))
        return float(self._moves % 2 == 0)

    def _is_to_be_looked_at(self, share: float) -> bool:
        """Half way and at the end of a drift; in the first jumps."""
        if DRIFT not in self.detail:
            return self._moves <= JUMPS_MIN
        if share < self._due - ROUNDING:
            return False
        self._due += 0.5
        return True

    async def _look(self, world: World, share: float) -> None:
        for node in self.detail["offsets_ms"]:
            if (await world.process(node)).state != "gone":
                measured = await world.clock_offset_ms(node)
                self.evidence[node]["seen"].append([round(share, 3), round(measured, 1)])

    async def stop(self, world: World) -> None:
        """Set them right and measure. Raises WorldError, also one that ended the moving before."""
        try:
            if self._rhythm is not None:
                await self._rhythm.end()
        finally:
            await super().stop(world)
        if DRIFT not in self.detail and self._moves < JUMPS_MIN:
            self.note = f"they jumped fewer than {JUMPS_MIN} times"
            return
        seen = {node: found["seen"] for node, found in self.evidence.items() if found["seen"]}
        bites = {node: self._are_right(node, looks) for node, looks in seen.items()}
        self.judge(
            bites, "the offset measured is not the one asked for" if seen else "no clock was seen to move"
        )

    def _are_right(self, node: str, looks: Sequence[tuple[float, float]]) -> bool:
        asked = float(self.detail["offsets_ms"][node])
        return all(abs(measured - share * asked) <= CLOCK_TOLERANCE_MS for share, measured in looks)

    def abandon(self) -> None:
        """End the task where it is."""
        if self._rhythm is not None:
            self._rhythm.abandon()
