"""simulate: run a generator with no cluster, no clock and no thread, and list all it does.

    generator ─► next_op ─► soonest of: its operation | a completion under way ─► list of Op
                    ▲                                  │
                    └────────────── update ◄───────────┘

How operations end is a *completion model*: `perfect` (ok), `failing` (fail), `crashing` (info, the process is retired), or
a function of one's own. Time jumps from event to event. What it yields is what the interpreter would do with clients that
behave so, and a generator's tests compare the whole list.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

from msgspec import structs
from msgspec.structs import replace

from checkers.op import Op, Type
from harness.generator.base import PENDING, SLEEP, Generator, GeneratorError, GeneratorLike, lift
from harness.generator.context import Context, first_context

Completion = Callable[[Op, random.Random], Op]
"""(the invocation, a generator for latencies and the like) -> its completion, with `time_ns` not before the invocation's."""


def perfect(latency_ns: int = 10) -> Completion:
    """Every operation ends `ok`, so much later."""
    return lambda op, rng: replace(op, type=Type.OK, time_ns=op.time_ns + latency_ns)


def failing(latency_ns: int = 10) -> Completion:
    """Every operation ends `fail`, so much later."""
    return lambda op, rng: replace(op.fail("simulated"), time_ns=op.time_ns + latency_ns)


def crashing(latency_ns: int = 10) -> Completion:
    """Every operation ends `info`, so much later: each client operation takes a process of its own."""
    return lambda op, rng: replace(op.info("simulated"), time_ns=op.time_ns + latency_ns)


def simulate(
    generator: GeneratorLike,
    *,
    concurrency: int = 2,
    seed: int = 0,
    complete: Completion | None = None,
    limit: int = 100_000,
    with_nemesis: bool = True,
) -> list[Op]:
    """Every invocation and completion, in order, with index and time; at most `limit` of them, for endless generators."""
    rng = random.Random(seed)
    world = _Simulation(first_context(concurrency, rng, nemesis=with_nemesis), complete or perfect(), rng)
    gen = lift(generator)
    while len(world.history) < limit:
        result = gen.next_op(world.ctx)
        if result is None:
            if not world.under_way:
                break
            gen = world.finish(gen)
        elif result is PENDING:
            if not world.under_way:
                raise GeneratorError("the generator waits, but no operation is under way that could wake it")
            gen = world.finish(gen)
        elif world.under_way and world.under_way[0][0] <= result[0].time_ns:
            gen = world.finish(gen)
        else:
            gen = world.begin(*result)
    return world.history


class _Simulation:
    """The threads, what they do, and when that ends."""

    def __init__(self, ctx: Context, complete: Completion, rng: random.Random) -> None:
        self.ctx = ctx
        self.complete = complete
        self.rng = rng
        self.history: list[Op] = []
        self.under_way: list[tuple[int, int, Op]] = []  # (end, order, completion), a heap
        self.begun = 0

    def begin(self, op: Op, gen: Generator) -> Generator:
        """Invoke."""
        ctx = self.ctx
        if not ctx.is_free(op.process):
            raise GeneratorError(
                f"the generator gave an operation to process {op.process!r}, which is not free"
            )
        op = self._record(replace(op, time_ns=max(op.time_ns, ctx.time_ns)))
        self.ctx = structs.replace(ctx, time_ns=op.time_ns, free=ctx.free & ~(1 << ctx.thread_of(op.process)))
        done = replace(op, time_ns=op.time_ns + op.value) if op.f == SLEEP else self.complete(op, self.rng)
        heapq.heappush(self.under_way, (done.time_ns, self.begun, done))
        self.begun += 1
        return gen.update(self.ctx, op)

    def finish(self, gen: Generator) -> Generator:
        """Let the completion happen that comes first."""
        end_ns, _, done = heapq.heappop(self.under_way)
        ctx = self.ctx
        thread = ctx.thread_of(done.process)
        processes = ctx.processes
        if done.type is Type.INFO and isinstance(done.process, int):
            processes = (*processes[:thread], done.process + ctx.concurrency, *processes[thread + 1 :])
        done = self._record(replace(done, time_ns=max(end_ns, ctx.time_ns)))
        self.ctx = structs.replace(
            ctx, time_ns=done.time_ns, free=ctx.free | 1 << thread, processes=processes
        )
        return gen.update(self.ctx, done)

    def _record(self, op: Op) -> Op:
        if op.f == SLEEP:
            return op
        op = replace(op, index=len(self.history))
        self.history.append(op)
        return op


def invocations(ops: list[Op]) -> list[Op]:
    """Only the calls."""
    return [op for op in ops if op.type is Type.INVOKE]
