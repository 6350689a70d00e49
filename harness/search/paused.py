"""A run that stands still, to be looked into.

    plan ──► simulate it whole            when does it begin, what is recorded when?
         ──► simulate it again, so far    stopped_at(plan, 2.15)  before the first event after that time
                   │                      stopped_before(plan, 424)  before the instant at which record 424 is written
                   ├──► machines["n1"].process   the node itself, an object of the system's own class
                   ├──► under_way                the messages that have not arrived
                   ├──► history, states(), upcoming
                   └──► finish()                 it goes on to its end, as it did the first time; so does the end of `with stopped_at(…) as standing:`

Nothing of this can be seen by the run: it is the same byte for byte. The time-travelling debuggers of deterministic simulators do it so (King, Dunlap and Chen,
"Debugging operating systems with time-traveling virtual machines", 2005): go back by beginning anew and stopping earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import Any, Final
from weakref import finalize

from checkers import History
from checkers.op import Op
from harness.plan import Plan, PlanError
from harness.recorder import MemorySink
from harness.runner import Story, perform
from harness.search.trace import Book, Message
from harness.system import SystemFault
from harness.worlds import World, WorldError
from harness.worlds.sim import SimLoop
from harness.worlds.sim.guard import guarded
from harness.worlds.sim.loop import SimTimeLimitError, leave_off
from harness.worlds.sim.net import SENT
from harness.worlds.sim.node import SimMachine
from harness.worlds.sim.tape import Draw, PlayedStreams

INSTANT_S: Final = 1e-6
"""Records of one instant are written a nanosecond apart."""


Tape = Mapping[str, Sequence[Draw]]


def stopped_at(plan: Plan, until_s: float, tape: Tape | None = None) -> Paused:
    """The run of the plan, from its tape if one is given, standing before the first event after this time.

    Raises PlanError, TapeError if the tape does not fit, and WorldError if the world does not come up.
    """
    return Paused(plan, until_s, _whole(plan, tape), tape)


def stopped_before(plan: Plan, record: int, tape: Tape | None = None) -> Paused:
    """The same, before the instant at which this record of the history is written: its `index`, the number after `#` in what checkers say."""
    story, lines = _whole(plan, tape)
    history = History.parse(lines)
    if not 0 <= record < len(history):
        raise PlanError(
            f"there is no record {record} in the run of {plan.name}, which has {len(history):,}; the first is 0"
        )
    return Paused(plan, history.op(record).time_ns / 1e9 - INSTANT_S, (story, lines), tape)


def _whole(plan: Plan, tape: Tape | None) -> tuple[Story, bytes]:
    """The run as far as it goes: one that breaks off has a place to stand, too, if its world came up."""
    played = _streams(tape)
    story, sink = Story(plan, "sim", streams=played), MemorySink()

    def make(loop: SimLoop | None) -> World:
        assert loop is not None
        return story.simulated(loop)

    try:
        perform(story, make, sink, lambda line: None)
    except WorldError:
        if played is not None and played.problem is not None:
            raise played.problem from None
        if story.nemesis is None:
            raise
    else:
        if played is not None:
            played.finish()
    return story, bytes(sink.data)


def _streams(tape: Tape | None) -> PlayedStreams | None:
    return None if tape is None else PlayedStreams(tape)


class Paused:
    """A run that stands still. `machines` are the simulated ones, by node; `failure` is what it broke off with, if it did before the time was reached."""

    def __init__(self, plan: Plan, until_s: float, whole: tuple[Story, bytes], tape: Tape | None) -> None:
        before, self._lines = whole
        self.plan, self._origin_s = plan, before.start_s
        self.failure: WorldError | SystemFault | None = None
        self._loop = SimLoop(time_virtual_s_max=self._origin_s + until_s)
        finalize(self, self._loop.close)  # of one that is dropped as it stands
        self._story, self._sink, self._book = Story(plan, "sim", streams=_streams(tape)), MemorySink(), Book()
        self._world = self._story.simulated(self._loop)
        self._book.open(self._world, self._loop)
        self.machines: Mapping[str, SimMachine] = {
            node: self._world.machine(node) for node in self._world.nodes
        }
        self._task = self._loop.create_task(self._story.play(self._world, self._sink, lambda line: None))
        with suppress(SimTimeLimitError):
            self._go()

    def _go(self) -> None:
        try:
            with guarded():  # asyncio programs have their clock and chance of it
                self._loop.run_until_complete(self._task)
        except (WorldError, SystemFault) as error:
            self.failure = error

    @property
    def history(self) -> bytes:
        """What was recorded up to now, as JSON lines."""
        return bytes(self._sink.data)

    @property
    def whole(self) -> bytes:
        """What is recorded when it goes on to its end."""
        return self._lines

    @property
    def records(self) -> int:
        """How many records that is."""
        return self._sink.data.count(b"\n")

    @property
    def upcoming(self) -> Op | None:
        """The record that will be written next; None if there is none."""
        whole = History.parse(self._lines)
        return whole.op(self.records) if self.records < len(whole) else None

    @property
    def ended_s(self) -> float | None:
        """When the run came to its end or broke off, if that was before the time at which to stop."""
        return self._loop.now - self._origin_s if self._task.done() or self.failure is not None else None

    @property
    def messages(self) -> Sequence[Message]:
        """All that were sent up to now, with times of the run."""
        return [message.shifted(-self._origin_s) for message in self._book.messages]

    @property
    def under_way(self) -> Sequence[Message]:
        """Those that have not arrived; one that is doubled may have, and be here."""
        return [message for message in self.messages if message.fate == SENT]

    def states(self) -> dict[str, dict[str, Any]]:
        """Of each node: its process, its clock, how much is on its disk, the last lines of its log, and what its system tells of it
        (`describe_node`), each value as it prints itself.
        """
        tell: Callable[[Any], Mapping[str, Any]] = getattr(self._world.system, "describe_node", _nothing)
        return {name: self._state(machine, tell) for name, machine in self.machines.items()}

    def _state(self, machine: SimMachine, tell: Callable[[Any], Mapping[str, Any]]) -> dict[str, Any]:
        told = {} if machine.process is None else tell(machine.process)
        on_disk = {part: len(kept) if hasattr(kept, "__len__") else 1 for part, kept in machine.disk.items()}
        return {
            "state": machine.state,
            "pid": machine.pid,
            "clock_offset_ms": machine.clock_offset_ms,
            "held": len(machine.held),
            "on_disk": on_disk,
            "node": {str(name): repr(value) for name, value in told.items()},
            "log": machine.lines[-3:],
        }

    def __enter__(self) -> Paused:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """Go on to the end of the run, as at the end of a `with` block. Nodes cannot be looked into any more."""
        self._loop.agenda.limit_s = inf
        if self.failure is not None:
            leave_off(self._loop, self._task)
        elif not self._task.done():
            self._go()
        self._loop.close()


def _nothing(node: Any) -> Mapping[str, Any]:
    return {}
