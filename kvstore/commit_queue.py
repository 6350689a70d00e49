"""When to commit which Writes, and with or without an fsync. Pure: whoever drives it has the clock and the disk.

    add(write, now) ─► waiting ── due_ms ──► take(now) ─► Batch(writes, ticket, loose) ─► engine.stage, engine.sync
                                                                       │
                                       loose: readable, not durable ◄──┘   its deadline is kept, and met by an empty Batch
                                                                           if no other comes before

What waits is taken all at once and in order, so tickets are committed in order. One Write that is awaited makes the whole batch
durable, and everything before it. A disk that is slow makes larger batches by itself: whoever drives this takes the next
batch when the last is done.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kvstore.durability import READABLE_MS
from kvstore.events import Write

_NEVER: Final = float("inf")


class Batch(NamedTuple):
    """What to commit now. `ticket` is to be reported then."""

    writes: list[Write]
    ticket: int
    loose: bool


class CommitQueue:
    """Writes on their way to the disk."""

    __slots__ = (
        "_durable_ms",
        "_hurry",
        "_loose",
        "_ticket",
        "_unsafe",
        "_waiting",
        "_young_ms",
        "due_ms",
    )

    def __init__(self) -> None:
        self._waiting: list[Write] = []
        self.due_ms = _NEVER  # when there is something to `take`; -inf: at once, inf: not as things are
        self._loose = True  # is all that waits loose?
        self._young_ms = _NEVER  # when the loose Writes among it must be durable
        self._durable_ms = _NEVER  # when what was taken loose must be
        self._unsafe = False  # was something taken loose that no later batch made durable?
        self._ticket = 0
        self._hurry = False

    def add(self, write: Write, now_ms: float) -> None:
        """Take a Write in."""
        self._waiting.append(write)
        due_ms = now_ms + write.within_ms
        if write.awaited:
            self._loose = False
        else:
            self._young_ms = min(self._young_ms, due_ms)
            due_ms = min(due_ms, now_ms + READABLE_MS)
        if self._hurry:
            self.due_ms = -_NEVER
        elif due_ms < self.due_ms:
            self.due_ms = due_ms

    def take(self, now_ms: float) -> Batch:
        """Everything that waits, as one batch."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._ticket = waiting[-1].ticket
        loose = self._loose and not self._hurry and self._durable_ms > now_ms
        self._durable_ms = min(self._durable_ms, self._young_ms) if loose else _NEVER
        self._young_ms = _NEVER
        self.due_ms = self._durable_ms
        self._unsafe, self._loose = loose, True
        return Batch(waiting, self._ticket, loose)

    def hurry(self) -> None:
        """From now on commit at once and with an fsync: the node is about to stop."""
        self._hurry = True
        self.due_ms = -_NEVER if self._waiting or self._unsafe else _NEVER
