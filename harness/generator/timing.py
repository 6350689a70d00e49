"""When: stagger, delay, sleep. Times are given in seconds and kept in nanoseconds."""

from __future__ import annotations

from checkers.op import Op
from harness.generator.base import PENDING, SLEEP, Emit, Generator, GeneratorError, GeneratorLike, Next, lift
from harness.generator.context import Context


def stagger(mean_s: float, gen: GeneratorLike) -> Generator:
    """The operations of `gen` about `mean_s` apart, over all processes together: gaps are even from 0 to twice that.

    stagger(1, repeat(a))     a..a.a...a.aa..a
    """
    return Spaced(_ns("stagger", mean_s) * 2, True, None, lift(gen))


def delay(seconds: float, gen: GeneratorLike) -> Generator:
    """The operations of `gen` that long apart, over all processes together; later ones where no process was free.

    delay(1, repeat(a))     a..a..a..a..a
    """
    return Spaced(_ns("delay", seconds), False, None, lift(gen))


class Spaced(Generator, frozen=True):
    """See `stagger` (gaps by lot) and `delay` (gaps alike). `next_ns`: not before; None before the first operation."""

    gap_ns: int
    by_lot: bool
    next_ns: int | None
    gen: Generator

    def next_op(self, ctx: Context) -> Next:
        """The inner one's operation, moved to its time."""
        result = self.gen.next_op(ctx)
        if result is None or result is PENDING:
            return result
        op, gen = result
        if self.next_ns is not None and op.time_ns < self.next_ns:
            op = Op(op.index, self.next_ns, op.process, op.type, op.f, op.key, op.value, op.error)
        gap_ns = int(ctx.rng.random() * self.gap_ns) if self.by_lot else self.gap_ns
        return op, Spaced(self.gap_ns, self.by_lot, op.time_ns + gap_ns, gen)

    @property
    def listens(self) -> bool:
        """As the inner one."""
        return self.gen.listens

    def update(self, ctx: Context, event: Op) -> Generator:
        """Tell the inner one."""
        gen = self.gen.update(ctx, event)
        return self if gen is self.gen else Spaced(self.gap_ns, self.by_lot, self.next_ns, gen)


def sleep(seconds: float) -> Generator:
    """Keep one process busy for so long, doing nothing; it leaves no trace in the history.

    nemesis(sequence(sleep(5), start, sleep(5), stop))     .....start.....stop

    One process only: the others go on. To slow all down use `delay` or `stagger`.
    """
    return Emit(SLEEP, None, _ns("sleep", seconds), None)


def _ns(name: str, seconds: float) -> int:
    """Seconds as nanoseconds; refuses negative ones."""
    if not seconds >= 0:
        raise GeneratorError(f"{name} cannot take {seconds} s; give 0 or more")
    return round(seconds * 1e9)
