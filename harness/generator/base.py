"""The simplest generators, and plain values as generators: an operation, a function, one after the other. `protocol` says what a generator is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from checkers.op import MISSING, Op, Type
from harness.generator.context import Context
from harness.generator.protocol import PENDING as PENDING
from harness.generator.protocol import SLEEP as SLEEP
from harness.generator.protocol import Generator as Generator
from harness.generator.protocol import GeneratorError as GeneratorError
from harness.generator.protocol import GeneratorLike as GeneratorLike
from harness.generator.protocol import Next as Next


def next_op(gen: GeneratorLike, ctx: Context) -> Next:
    """Ask any generator, also one given as a plain value."""
    return lift(gen).next_op(ctx)


def update(gen: GeneratorLike, ctx: Context, event: Op) -> Generator:
    """Tell any generator of an event."""
    return lift(gen).update(ctx, event)


def lift(gen: GeneratorLike) -> Generator:
    """Make a generator of a plain value."""
    if isinstance(gen, Generator):
        return gen
    if gen is None:
        return NOTHING
    if isinstance(gen, Op):
        return Emit(gen.f, gen.key, gen.value, None if gen.process == -1 else gen.process)
    if isinstance(gen, Mapping):
        unknown = set(gen) - {"f", "key", "value", "process"}
        if unknown or "f" not in gen:
            raise GeneratorError(
                f"an operation has f, and may have key, value and process; this one has {sorted(gen)}"
            )
        return op(**gen)
    if isinstance(gen, Sequence) and not isinstance(gen, str | bytes):
        return sequence(*gen)
    if callable(gen):
        return Function(gen)
    raise GeneratorError(
        f"{gen!r} is no generator: give an operation, a list, a function of the context, or a combinator"
    )


def several(name: str, gens: tuple[GeneratorLike, ...]) -> tuple[Generator, ...]:
    """Lift the arguments of a combinator that takes several; a lone list is surely a slip (it would be a sequence)."""
    if len(gens) == 1 and isinstance(gens[0], list | tuple):
        raise GeneratorError(f"{name} takes generators as arguments, not a list of them: write {name}(*gens)")
    return tuple(lift(gen) for gen in gens)


class Nothing(Generator, frozen=True):
    """Exhausted from the start."""

    def next_op(self, ctx: Context) -> Next:
        """None."""
        return None


NOTHING: Final = Nothing()


def op(f: str, key: Any = None, value: Any = MISSING, process: int | str | None = None) -> Generator:
    """One operation, on any free process (or on the process named).

    op("read", 3)     p2 |--read 3--|  and nothing more
    """
    return Emit(f, key, value, process)


class Emit(Generator, frozen=True):
    """See `op`."""

    f: str
    key: Any
    value: Any
    process: int | str | None

    def next_op(self, ctx: Context) -> Next:
        """The operation, now, if a process is free. One for a process that has been retired can never be: nothing."""
        process = self.process
        if process is None:
            process = ctx.some_free_process()
            if process is None:
                return PENDING
        elif not ctx.is_free(process):
            return PENDING if ctx.is_mine(process) and process in ctx.processes else None
        return Op(-1, ctx.time_ns, process, Type.INVOKE, self.f, self.key, self.value), NOTHING


class Function(Generator, frozen=True):
    """A function of the context, called whenever what it gave last is used up; giving nothing ends it.

    lambda ctx: op("read", ctx.rng.randrange(5))     read 3 · read 0 · read 4 · …
    """

    call: Callable[[Context], GeneratorLike]

    def next_op(self, ctx: Context) -> Next:
        """Call, if anybody could take the operation."""
        if not ctx.free:
            return PENDING
        result = lift(self.call(ctx)).next_op(ctx)
        if result is None or result is PENDING:
            return result
        return result[0], before(result[1], self)


def numbered(call: Callable[[int, Context], GeneratorLike], start: int = 0) -> Generator:
    """A function of a counter and the context; the counter grows by one an operation given. The way to unique values.

    numbered(lambda n, ctx: op("write", 1, n))     write 0 · write 1 · write 2 · …
    """
    return Numbered(call, start)


class Numbered(Generator, frozen=True):
    """See `numbered`."""

    call: Callable[[int, Context], GeneratorLike]
    number: int

    def next_op(self, ctx: Context) -> Next:
        """Call, if anybody could take the operation."""
        if not ctx.free:
            return PENDING
        result = lift(self.call(self.number, ctx)).next_op(ctx)
        if result is None or result is PENDING:
            return result
        return result[0], before(result[1], Numbered(self.call, self.number + 1))


def sequence(*gens: GeneratorLike) -> Generator:
    """One after the other, each until it is exhausted. Processes run ahead: see `phases` for a barrier.

    sequence(a, b)     a a a b b b
    """
    return Sequence_(several("sequence", gens))


class Sequence_(Generator, frozen=True):  # noqa: N801 - `Sequence` is the ABC
    """See `sequence`."""

    gens: tuple[Generator, ...]

    def next_op(self, ctx: Context) -> Next:
        """From the first that is not exhausted."""
        for position, gen in enumerate(self.gens):
            result = gen.next_op(ctx)
            if result is None:
                continue
            if result is PENDING:
                return PENDING
            return result[0], follow(result[1], self.gens[position + 1 :])
        return None

    @property
    def listens(self) -> bool:
        """As the one at work."""
        return bool(self.gens) and self.gens[0].listens

    def update(self, ctx: Context, event: Op) -> Generator:
        """Only the one at work is told."""
        if not self.gens:
            return self
        first = self.gens[0].update(ctx, event)
        return self if first is self.gens[0] else Sequence_((first, *self.gens[1:]))


def before(first: Generator, then: Generator) -> Generator:
    """`first`, then `then`, without a layer that has nothing to do."""
    return then if first is NOTHING else Sequence_((first, then))


def follow(first: Generator, rest: tuple[Generator, ...]) -> Generator:
    """`first`, then the rest, without a layer that has nothing to do."""
    if first is NOTHING:
        return rest[0] if len(rest) == 1 else Sequence_(rest) if rest else NOTHING
    return Sequence_((first, *rest)) if rest else first


def soonest(candidates: list[tuple[Op, Generator, int, int]], ctx: Context) -> tuple[Op, Generator, int]:
    """The candidate `(op, gen, position, weight)` with the earliest time; among equals by lot, as their weights say."""
    chosen, alike = candidates[0], False
    for candidate in candidates[1:]:
        if candidate[0].time_ns < chosen[0].time_ns:
            chosen, alike = candidate, False
        elif candidate[0].time_ns == chosen[0].time_ns:
            alike = True
    if alike:
        equal = [each for each in candidates if each[0].time_ns == chosen[0].time_ns]
        lot = ctx.rng.random() * sum(each[3] for each in equal)
        for chosen in equal:
            lot -= chosen[3]
            if lot < 0:
                break
    return chosen[0], chosen[1], chosen[2]
