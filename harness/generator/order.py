"""Again, and in order: repeat, cycle, synchronize, phases."""

from __future__ import annotations

from checkers.op import Op
from harness.generator.base import (
    NOTHING,
    PENDING,
    Generator,
    GeneratorError,
    GeneratorLike,
    Next,
    Sequence_,
    before,
    lift,
    several,
)
from harness.generator.context import Context


def repeat(gen: GeneratorLike, times: int | None = None) -> Generator:
    """The first operation of `gen`, over and over; `gen` never moves on. For ever, or so many times.

    repeat(sequence(a, b))     a a a a a …
    """
    if times is not None and times < 0:
        raise GeneratorError(f"repeat cannot happen {times} times; give 0 or more, or None for ever")
    return Repeat(lift(gen), times)


class Repeat(Generator, frozen=True):
    """See `repeat`."""

    gen: Generator
    left: int | None

    def next_op(self, ctx: Context) -> Next:
        """The inner generator's operation, but not its next state."""
        if self.left is None:
            result = self.gen.next_op(ctx)
            return result if result is None or result is PENDING else (result[0], self)
        if self.left == 0:
            return None
        result = self.gen.next_op(ctx)
        if result is None or result is PENDING:
            return result
        return result[0], Repeat(self.gen, self.left - 1)

    @property
    def listens(self) -> bool:
        """As the inner one."""
        return self.gen.listens

    def update(self, ctx: Context, event: Op) -> Generator:
        """Tell the inner one."""
        gen = self.gen.update(ctx, event)
        return self if gen is self.gen else Repeat(gen, self.left)


def cycle(gen: GeneratorLike, times: int | None = None) -> Generator:
    """All of `gen`, then all of it from the start. For ever, or so many times.

    cycle(sequence(a, b))     a b a b a b …
    """
    if times is not None and times < 0:
        raise GeneratorError(f"cycle cannot happen {times} times; give 0 or more, or None for ever")
    whole = lift(gen)
    return NOTHING if times == 0 else Cycle(whole, whole, None if times is None else times - 1)


class Cycle(Generator, frozen=True):
    """See `cycle`. `left` rounds come after this one."""

    whole: Generator
    gen: Generator
    left: int | None

    def next_op(self, ctx: Context) -> Next:
        """From this round, or from the next; a round that is empty from the start ends it."""
        left = self.left
        result = self.gen.next_op(ctx)
        if result is None:
            if left == 0:
                return None
            left = None if left is None else left - 1
            result = self.whole.next_op(ctx)
        if result is None or result is PENDING:
            return result
        return result[0], Cycle(self.whole, result[1], left)

    @property
    def listens(self) -> bool:
        """As this round."""
        return self.gen.listens

    def update(self, ctx: Context, event: Op) -> Generator:
        """Tell this round."""
        gen = self.gen.update(ctx, event)
        return self if gen is self.gen else Cycle(self.whole, gen, self.left)


def synchronize(gen: GeneratorLike) -> Generator:
    """`gen`, but not before every thread is free.

    p0 |--a--|      ║ |--b--|
    p1 |----a------|║ |--b--|
    """
    return Synchronize(lift(gen))


class Synchronize(Generator, frozen=True):
    """See `synchronize`."""

    gen: Generator

    def next_op(self, ctx: Context) -> Next:
        """Once all are free, step aside."""
        return self.gen.next_op(ctx) if ctx.free == ctx.threads else PENDING

    @property
    def listens(self) -> bool:
        """As the inner one."""
        return self.gen.listens

    def update(self, ctx: Context, event: Op) -> Generator:
        """Tell the inner one."""
        gen = self.gen.update(ctx, event)
        return self if gen is self.gen else Synchronize(gen)


def phases(*gens: GeneratorLike) -> Generator:
    """One after the other, with a barrier before each: a phase begins when all of the one before has ended.

    phases(a, b)     p0 |-a-| |-a-|      ║ |-b-|
                     p1   |-----a-------|║   |-b-|
    """
    return Sequence_(tuple(Synchronize(gen) for gen in several("phases", gens)))


def then(gen: GeneratorLike, after: GeneratorLike) -> Generator:
    """`gen`, a barrier, `after`."""
    return before(lift(gen), Synchronize(lift(after)))
