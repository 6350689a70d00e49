"""A simulated run with its messages, a hash over all that happened, and a run that stops half way to be looked into.

    plan, seed ──► SimWorld ──► every message: sent, lost, arrived, cut ──► Message …, digest

The same plan, seed and version give the same digest in every process. The system may tell what a message says and which
request it belongs to (`describe_message`); what belongs to none is background.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from typing import Any

from harness.plan import Plan
from harness.recorder import MemorySink
from harness.runner import Story
from harness.simulate import SimRun, simulate_run
from harness.worlds.sim import SimLoop, SimWorld
from harness.worlds.sim.loop import SimTimeLimitError
from harness.worlds.sim.net import LOST, SENT
from harness.worlds.sim.node import SimMachine
from harness.worlds.sim.tape import Streams

Describe = Callable[[Any], tuple[str, Hashable]]
"""message -> (what it says, the request it belongs to, or None)"""


@dataclass(slots=True)
class Message:
    """One message. `sent_s` and `end_s` are seconds of the run; `end_s` is when it arrived or was cut, None if it never was.

    `fate`: sent (and never arrived) | lost | arrived | cut.
    """

    sent_s: float
    src: str
    dst: str
    words: str
    about: Hashable
    fate: str
    end_s: float | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """A run with its messages. `digest` is a hash over all messages, their times and fates."""

    run: SimRun
    messages: Sequence[Message]
    digest: str


def traced(plan: Plan, streams: Streams | None = None) -> Trace:
    """Run a plan in the simulator and keep its messages. Raises PlanError and WorldError."""
    book = _Book()
    run = simulate_run(plan, on_world=book.open, streams=streams)
    for message in book.messages:
        message.sent_s -= run.start_s
        message.end_s = None if message.end_s is None else message.end_s - run.start_s
    return Trace(run, book.messages, book.digest.hexdigest())


class _Book:
    """Writes the messages down while they happen."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.digest = sha256()
        self._under_way: dict[
            int, tuple[Any, list[Message]]
        ] = {}  # by identity; holds the message, so that it stays its own

    def open(self, world: SimWorld, loop: SimLoop) -> None:
        """Begin with a world."""
        self._loop = loop
        self._describe: Describe = getattr(world.system, "describe_message", _bare)
        world.watch(self.note)

    def note(self, what: str, src: str, dst: str, message: Any) -> None:
        """One thing that happened to a message."""
        now_s = self._loop.now
        self.digest.update(f"{now_s:.9f} {what} {src} {dst} {message!r}\n".encode())
        _, copies = self._under_way.setdefault(id(message), (message, []))
        if what in (SENT, LOST):
            words, about = self._describe(message)
            copies.append(Message(now_s, src, dst, words, about, what))
            self.messages.append(copies[-1])
            return
        for copy in copies:
            if (copy.src, copy.dst, copy.fate) == (src, dst, SENT):
                copy.fate, copy.end_s = what, now_s
                return


def _bare(message: Any) -> tuple[str, Hashable]:
    return type(message).__name__, None


class Paused:
    """A run that stands still before the first event after a time of the run. `finish` lets it go on to its end.

    `machines[node].process` is the node itself, of the system's own class, to be looked into; `history` what was recorded.
    """

    def __init__(self, plan: Plan, until_s: float) -> None:
        """Run up to there. Raises PlanError and WorldError."""
        origin_s = simulate_run(plan).start_s
        self._loop = SimLoop(time_virtual_s_max=origin_s + until_s)
        self._story, self._sink = Story(plan, "sim"), MemorySink()
        world = SimWorld(
            self._story.system, plan.sim, plan.seed, loop=self._loop, streams=self._story.streams
        )
        self.machines: Mapping[str, SimMachine] = {node: world.machine(node) for node in world.nodes}
        self._task = self._loop.create_task(self._story.play(world, self._sink, lambda line: None))
        with suppress(SimTimeLimitError):
            self._loop.run_until_complete(self._task)

    @property
    def history(self) -> bytes:
        """What was recorded up to now, as JSON lines."""
        return bytes(self._sink.data)

    def states(self) -> dict[str, dict[str, Any]]:
        """Of each node: its process, clock, how much is on its disk, and its last line of log."""
        return {
            name: {
                "state": machine.state,
                "pid": machine.pid,
                "clock_offset_ms": machine.clock_offset_ms,
                "on_disk": {
                    part: len(kept) if hasattr(kept, "__len__") else 1 for part, kept in machine.disk.items()
                },
                "log": machine.lines[-1] if machine.lines else "",
            }
            for name, machine in self.machines.items()
        }

    def finish(self) -> None:
        """Go on to the end of the run."""
        self._loop.time_virtual_s_max = inf
        if not self._task.done():
            self._loop.run_until_complete(self._task)
        self._loop.close()
