"""Who: clients, nemesis, each_process, each_thread, reserve, keyed."""

from __future__ import annotations

from typing import Any

from checkers.op import Op
from harness.generator.base import (
    NOTHING,
    PENDING,
    Generator,
    GeneratorError,
    GeneratorLike,
    Next,
    lift,
    soonest,
)
from harness.generator.choice import any_of
from harness.generator.context import Context, bits, split


def clients(gen: GeneratorLike, nemesis_gen: GeneratorLike = None) -> Generator:
    """`gen` on client threads only; the second, if given, on the nemesis at the same time.

    clients(r)     p0 |-r-|  p1 |-r-|  …  nemesis (idle)
    """
    own = OnThreads(True, lift(gen))
    return own if nemesis_gen is None else any_of(own, OnThreads(False, lift(nemesis_gen)))


def nemesis(gen: GeneratorLike, client_gen: GeneratorLike = None) -> Generator:
    """`gen` on the nemesis only; the second, if given, on the client threads at the same time.

    nemesis(kill)     p0 (idle)  p1 (idle)  …  nemesis |-kill-|
    """
    own = OnThreads(False, lift(gen))
    return own if client_gen is None else any_of(own, OnThreads(True, lift(client_gen)))


class OnThreads(Generator, frozen=True):
    """See `clients` and `nemesis`."""

    of_clients: bool
    gen: Generator

    def next_op(self, ctx: Context) -> Next:
        """Ask as if only these threads existed."""
        own = self._own(ctx)
        if not own.threads:
            raise GeneratorError("a part of the generator is for the nemesis, but this run has none")
        if not own.free:
            return PENDING if self.gen is not NOTHING else None
        result = self.gen.next_op(own)
        if result is None or result is PENDING:
            return result
        op, gen = result
        return op, self if gen is self.gen else NOTHING if gen is NOTHING else OnThreads(self.of_clients, gen)

    @property
    def listens(self) -> bool:
        """As the inner one."""
        return self.gen.listens

    def update(self, ctx: Context, event: Op) -> Generator:
        """Tell of events on these threads only."""
        if isinstance(event.process, int) is not self.of_clients:
            return self
        gen = self.gen.update(self._own(ctx), event)
        return self if gen is self.gen else OnThreads(self.of_clients, gen)

    def _own(self, ctx: Context) -> Context:
        clients = (1 << ctx.concurrency) - 1
        return ctx.restrict(clients if self.of_clients else ~clients)


def each_thread(gen: GeneratorLike) -> Generator:
    """A copy of `gen` for each thread, which outlives the thread's processes.

    each_thread(sequence(a, b))     thread 0: a b     thread 1: a b     …
    """
    return Each(lift(gen), False, ())


def each_process(gen: GeneratorLike) -> Generator:
    """A copy of `gen` for each process: one that takes over from a retired process begins anew.

    each_process(sequence(a, b))     p0: a (info)     p10, on the same thread: a b
    """
    return Each(lift(gen), True, ())


class Each(Generator, frozen=True):
    """See `each_thread` and `each_process`. `copies`: by thread, (process, what is left for it), once it has begun."""

    whole: Generator
    per_process: bool
    copies: tuple[tuple[int | str, Generator] | None, ...]

    def next_op(self, ctx: Context) -> Next:
        """The soonest of what the copies of the free threads would do; over when nobody works and nobody would."""
        candidates = []
        pending = ctx.free != ctx.threads
        for thread in bits(ctx.free):
            result = self._copy(ctx, thread).next_op(ctx.restrict(1 << thread))
            if result is PENDING:
                pending = True
            elif result is not None:
                candidates.append((result[0], result[1], thread, 1))
        if not candidates:
            return PENDING if pending else None
        ctx.waits.some = ctx.waits.some or pending
        op, gen, thread = soonest(candidates, ctx)
        return op, self._with(ctx, thread, gen)

    @property
    def listens(self) -> bool:
        """If one of the copies does."""
        return any(entry is not None and entry[1].listens for entry in self.copies)

    def update(self, ctx: Context, event: Op) -> Generator:
        """Tell the copy concerned. An event of a retired process concerns the copy it had."""
        thread = ctx.thread_of(event.process)
        entry = self.copies[thread] if thread < len(self.copies) else None
        if entry is None or (self.per_process and entry[0] != event.process):
            return self
        gen = entry[1].update(ctx.restrict(1 << thread), event)
        if gen is entry[1]:
            return self
        return Each(
            self.whole, self.per_process, (*self.copies[:thread], (entry[0], gen), *self.copies[thread + 1 :])
        )

    def _copy(self, ctx: Context, thread: int) -> Generator:
        entry = self.copies[thread] if thread < len(self.copies) else None
        if entry is None or (self.per_process and entry[0] != ctx.processes[thread]):
            return self.whole
        return entry[1]

    def _with(self, ctx: Context, thread: int, gen: Generator) -> Each:
        copies = list(self.copies) or [None] * len(ctx.processes)
        copies[thread] = (ctx.processes[thread], gen)
        return Each(self.whole, self.per_process, tuple(copies))


def reserve(*counts_and_gens: Any) -> Generator:
    """`reserve(count, gen, count, gen, …, rest)`: so many threads for each generator, the remaining ones for the last.

    reserve(2, w, 3, c, r)     threads 0 1: w     2 3 4: c     5 …: r
    """
    counts, gens = counts_and_gens[:-1:2], (*counts_and_gens[1::2], *counts_and_gens[-1:])
    if len(counts_and_gens) % 2 == 0 or not all(isinstance(count, int) and count > 0 for count in counts):
        raise GeneratorError(
            "reserve takes count, generator, count, generator, …, and a last generator for the rest"
        )
    return Reserve(tuple(counts), tuple(lift(gen) for gen in gens))


class Reserve(Generator, frozen=True):
    """See `reserve`."""

    counts: tuple[int, ...]
    gens: tuple[Generator, ...]

    def next_op(self, ctx: Context) -> Next:
        """The soonest over the ranges; among equals, larger ranges more often."""
        candidates = []
        pending = False
        for position, mask in enumerate(self._masks(ctx)):
            if not mask:
                continue
            result = self.gens[position].next_op(ctx.restrict(mask))
            if result is PENDING:
                pending = True
            elif result is not None:
                candidates.append((result[0], result[1], position, mask.bit_count()))
        if not candidates:
            return PENDING if pending else None
        ctx.waits.some = ctx.waits.some or pending
        op, gen, position = soonest(candidates, ctx)
        return op, self._with(position, gen)

    @property
    def listens(self) -> bool:
        """If one of the ranges does."""
        return any(gen.listens for gen in self.gens)

    def update(self, ctx: Context, event: Op) -> Generator:
        """Tell the range the event's thread belongs to."""
        thread = ctx.thread_of(event.process)
        for position, mask in enumerate(self._masks(ctx)):
            if mask >> thread & 1:
                gen = self.gens[position].update(ctx.restrict(mask), event)
                return self if gen is self.gens[position] else self._with(position, gen)
        return self

    def _masks(self, ctx: Context) -> tuple[int, ...]:
        if sum(self.counts) > ctx.threads.bit_count():
            raise GeneratorError(
                f"reserve wants {sum(self.counts)} threads, but there are {ctx.threads.bit_count()}; raise the concurrency"
            )
        return split(ctx.threads, self.counts)

    def _with(self, position: int, gen: Generator) -> Reserve:
        return Reserve(self.counts, (*self.gens[:position], gen, *self.gens[position + 1 :]))
