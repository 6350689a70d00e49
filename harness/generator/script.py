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


def script(ops: Iterable[ScriptOp]) -> Generator:
    """Play them. Those without a time are due at once; among those that are due, the first in the list goes first."""
    queues: dict[int, list[Entry]] = {}
    timed = sorted(enumerate(ops), key=lambda each: (each[1].at_s or 0.0, each[0]))
    for place, op in timed:
        queues.setdefault(op.client, []).append((op.at_s or 0.0, place, op))
    return Script(tuple((client, tuple(queue)) for client, queue in sorted(queues.items())))


Entry = tuple[float, int, ScriptOp]


class Script(Generator, frozen=True):
    """See `script`. `queues`: (client, what it has yet to do)."""

    queues: tuple[tuple[int, tuple[Entry, ...]], ...]

    def next_op(self, ctx: Context) -> Next:
        """The earliest of those whose client is free."""
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
        after = Script(self.queues[:chosen] + left + self.queues[chosen + 1 :])
        at_s, _, op = best
        time_ns = max(ctx.time_ns, round(at_s * NS))
        value = MISSING if op.value is None and not op.null else op.value
        return Op(-1, time_ns, ctx.processes[client], Type.INVOKE, op.f, op.key, value), after
