"""Operations written out beforehand: each client does its own, in order, each at its time or as soon as it is free.

script     client 0   write 1 @0.1   read @0.5
           client 1   read @0.1

played     p0  |--write 1--|              |--read--|
           p1  |--read----------- time-out          (the rest of client 1's is done by its next process)
"""

from __future__ import annotations

from collections.abc import Iterable

from checkers.op import MISSING, Op, Type
from harness.generator.base import PENDING, Generator, Next
from harness.generator.context import Context
from harness.plan_script import NS, ScriptOp


def script(ops: Iterable[ScriptOp], since: str | None = None) -> Generator:
    """Play them. Those without a time are due at once; among those that are due, the first in the list goes first.

    `since`: times are `after_s`, and count from the end of an operation of that name, which has to end before any is asked for.
    """
    queues: dict[int, list[Entry]] = {}
    due = [((op.at_s or 0.0) if since is None else op.after_s, place, op) for place, op in enumerate(ops)]
    for at_s, place, op in sorted(due, key=lambda each: each[:2]):
        queues.setdefault(op.client, []).append((round(at_s * NS), place, op))
    return Script(tuple((client, tuple(queue)) for client, queue in sorted(queues.items())), since)


Entry = tuple[int, int, ScriptOp]


class Script(Generator, frozen=True):
    """See `script`. `queues`: (client, what it has yet to do). `since` is None once it has ended."""

    queues: tuple[tuple[int, tuple[Entry, ...]], ...]
    since: str | None

    def next_op(self, ctx: Context) -> Next:
        """The earliest of those whose client is free."""
        if self.since is not None:
            return PENDING if self.queues else None
        best, chosen = None, -1
        for at, (client, queue) in enumerate(self.queues):
            if not ctx.free >> client & 1:
                ctx.waits.some = True
            elif best is None or queue[0][:2] < best[:2]:
                best, chosen = queue[0], at
        if best is None:
            return PENDING if self.queues else None
        client, queue = self.queues[chosen]
        left = () if len(queue) == 1 else ((client, queue[1:]),)
        after = Script(self.queues[:chosen] + left + self.queues[chosen + 1 :], None)
        at_ns, _, op = best
        value = MISSING if op.value is None and not op.null else op.value
        called = Op(-1, max(ctx.time_ns, at_ns), ctx.processes[client], Type.INVOKE, op.f, op.key, value)
        return called, after

    @property
    def listens(self) -> bool:
        """As long as it waits for the end of another operation."""
        return self.since is not None

    def update(self, ctx: Context, event: Op) -> Generator:
        """Count from now on, if this is the end that is waited for."""
        if event.f != self.since or event.type is Type.INVOKE:
            return self
        queues = tuple(
            (client, tuple((ctx.time_ns + at_ns, place, op) for at_ns, place, op in queue))
            for client, queue in self.queues
        )
        return Script(queues, None)
