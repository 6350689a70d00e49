"""A simulated run with its messages, and a hash over all that happened.

    plan, seed ──► SimWorld ──► every message: sent, lost, arrived, cut ──► Message …, digest

The same plan, seed and version give the same digest in every process. The system may tell what a message says and which
request it belongs to (`describe_message`); what belongs to none is background.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from harness.plan import Plan
from harness.simulate import SimRun, simulate_run
from harness.worlds.sim import SimLoop, SimWorld
from harness.worlds.sim.net import LOST, SENT
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

    def shifted(self, by_s: float) -> Message:
        """The same, its times counted from elsewhere."""
        return replace(
            self, sent_s=self.sent_s + by_s, end_s=None if self.end_s is None else self.end_s + by_s
        )


@dataclass(frozen=True, slots=True)
class Trace:
    """A run with its messages. `digest` is a hash over all messages, their times and fates."""

    run: SimRun
    messages: Sequence[Message]
    digest: str


def traced(plan: Plan, streams: Streams | None = None) -> Trace:
    """Run a plan in the simulator and keep its messages. Raises PlanError and WorldError."""
    book = Book()
    run = simulate_run(plan, on_world=book.open, streams=streams)
    messages = [message.shifted(-run.start_s) for message in book.messages]
    return Trace(run, messages, book.digest.hexdigest())


class Book:
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
