"""How much, and which: limit, time_limit, until_ok, filter_ops, map_ops, on_update."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from checkers.op import Op, Type
from harness.generator.base import PENDING, Generator, GeneratorError, GeneratorLike, Next, lift
from harness.generator.context import Context


def limit(count: int, gen: GeneratorLike) -> Generator:
    """At most `count` operations of `gen`.

    limit(3, repeat(a))     a a a
    """
    if count < 0:
        raise GeneratorError(f"limit cannot be {count}; give 0 or more")
    return Limit(count, lift(gen))


class Limit(Generator, frozen=True):
    """See `limit`."""

    left: int
    gen: Generator

    def next_op(self, ctx: Context) -> Next:
        """While any are left."""
        if not self.left:
            return None
        result = self.gen.next_op(ctx)
        if result is None or result is PENDING:
            return result
        return result[0], Limit(self.left - 1, result[1])

    @property
    def listens(self) -> bool:
        """As the inner one."""
        return self.gen.listens

    def update(self, ctx: Context, event: Op) -> Generator:
        """Tell the inner one."""
        gen = self.gen.update(ctx, event)
        return self if gen is self.gen else Limit(self.left, gen)


def time_limit(seconds: float, gen: GeneratorLike) -> Generator:
    """`gen` for so long, counted from its first operation. None begins later; those begun may end later.

    |--a--| |--a--| |--a----┊--|
    0s                      └ seconds
    """
    if seconds < 0:
        raise GeneratorError(f"time_limit cannot be {seconds} s; give 0 or more")
    return TimeLimit(round(seconds * 1e9), None, lift(gen))


class TimeLimit(Generator, frozen=True):
    """See `time_limit`. `end_ns` is None until the first operation."""

    length_ns: int
    end_ns: int | None
    gen: Generator

    def next_op(self, ctx: Context) -> Next:
        """What begins before the end."""
        end_ns = self.end_ns
        if end_ns is not None and ctx.time_ns >= end_ns:
            return None
        result = self.gen.next_op(ctx)
        if result is None or result is PENDING:
            return result
        op, gen = result
        if end_ns is None:
            end_ns = op.time_ns + self.length_ns
        elif gen is self.gen:
            return (op, self) if op.time_ns < end_ns else None
        return (op, TimeLimit(self.length_ns, end_ns, gen)) if op.time_ns < end_ns else None

    @property
    def listens(self) -> bool:
        """As the inner one."""
        return self.gen.listens

    def update(self, ctx: Context, event: Op) -> Generator:
        """Tell the inner one."""
        gen = self.gen.update(ctx, event)
        return self if gen is self.gen else TimeLimit(self.length_ns, self.end_ns, gen)


def until_ok(gen: GeneratorLike) -> Generator:
    """`gen` until one of its own operations has ended `ok`. Those under way by then still end.

    p0 |--a--fail|  |--a--ok|     (over)
    """
    return UntilOk(lift(gen), frozenset(), False)


class UntilOk(Generator, frozen=True):
    """See `until_ok`. `active`: the processes doing an operation of ours."""

    gen: Generator
    active: frozenset[int | str]
    done: bool

    def next_op(self, ctx: Context) -> Next:
        """While none has succeeded; when `gen` is exhausted first, that is the end too."""
        if self.done:
            return None
        result = self.gen.next_op(ctx)
        if result is None or result is PENDING:
            return result
        return result[0], UntilOk(result[1], self.active | {result[0].process}, False)

    @property
    def listens(self) -> bool:
        """True: it waits for an ok."""
        return True

    def update(self, ctx: Context, event: Op) -> Generator:
        """Watch our own operations end."""
        gen = self.gen.update(ctx, event)
        if event.type is Type.INVOKE or event.process not in self.active:
            return self if gen is self.gen else UntilOk(gen, self.active, self.done)
        return UntilOk(gen, self.active - {event.process}, self.done or event.type is Type.OK)


def filter_ops(keep: Callable[[Op], bool], gen: GeneratorLike) -> Generator:
    """Only the operations of `gen` for which `keep` is true; the others are skipped.

    filter_ops(even, 1 2 3 4)     2 4
    """
    return Filter(keep, lift(gen))


SKIPPED_MAX = 100_000


class Filter(Generator, frozen=True):
    """See `filter_ops`."""

    keep: Callable[[Op], bool]
    gen: Generator

    def next_op(self, ctx: Context) -> Next:
        """The first that may pass."""
        gen = self.gen
        for _ in range(SKIPPED_MAX):
            result = gen.next_op(ctx)
            if result is None or result is PENDING:
                return result
            op, gen = result
            if self.keep(op):
                return op, Filter(self.keep, gen)
        raise GeneratorError(
            f"filter_ops skipped {SKIPPED_MAX} operations in a row; its condition seems to be never true"
        )

    @property
    def listens(self) -> bool:
        """As the inner one."""
        return self.gen.listens

    def update(self, ctx: Context, event: Op) -> Generator:
        """Tell the inner one."""
        gen = self.gen.update(ctx, event)
        return self if gen is self.gen else Filter(self.keep, gen)


def map_ops(change: Callable[[Op], Op], gen: GeneratorLike) -> Generator:
    """Every operation of `gen`, changed. Process and time stay as they are, whatever the function says.

    map_ops(lambda op: replace(op, f="put"), write 1 · write 2)     put 1 · put 2
    """
    return Map(change, lift(gen))


class Map(Generator, frozen=True):
    """See `map_ops`."""

    change: Callable[[Op], Op]
    gen: Generator

    def next_op(self, ctx: Context) -> Next:
        """Change the inner one's operation."""
        result = self.gen.next_op(ctx)
        if result is None or result is PENDING:
            return result
        op, gen = result
        changed = self.change(op)
        if changed.process != op.process or changed.time_ns != op.time_ns:
            changed = replace(changed, process=op.process, time_ns=op.time_ns)
        return changed, self if gen is self.gen else Map(self.change, gen)

    @property
    def listens(self) -> bool:
        """As the inner one."""
        return self.gen.listens

    def update(self, ctx: Context, event: Op) -> Generator:
        """Tell the inner one."""
        gen = self.gen.update(ctx, event)
        return self if gen is self.gen else Map(self.change, gen)


def on_update(react: Callable[[Generator, Context, Op], GeneratorLike], gen: GeneratorLike) -> Generator:
    """`gen`, replaced at each event by what `react(gen, ctx, event)` gives. For generators that learn from results."""
    return OnUpdate(react, lift(gen))


class OnUpdate(Generator, frozen=True):
    """See `on_update`."""

    react: Callable[[Generator, Context, Op], GeneratorLike]
    gen: Generator

    def next_op(self, ctx: Context) -> Next:
        """As the inner one."""
        result = self.gen.next_op(ctx)
        if result is None or result is PENDING:
            return result
        return result[0], OnUpdate(self.react, result[1])

    @property
    def listens(self) -> bool:
        """True: that is its purpose."""
        return True

    def update(self, ctx: Context, event: Op) -> Generator:
        """Tell the inner one, then let the function decide."""
        return OnUpdate(self.react, lift(self.react(self.gen.update(ctx, event), ctx, event)))


def unless(over: Callable[[], bool], gen: GeneratorLike) -> Generator:
    """`gen` until somebody outside says that it is over. What is under way by then still ends.

    p0 |--a--|  |--a--|     (over)
    """
    return Unless(over, lift(gen))


class Unless(Generator, frozen=True):
    """See `unless`. `over` never turns back to false."""

    over: Callable[[], bool]
    gen: Generator

    def next_op(self, ctx: Context) -> Next:
        """As the inner one."""
        if self.over():
            return None
        result = self.gen.next_op(ctx)
        if result is None or result is PENDING:
            return result
        return result[0], Unless(self.over, result[1])

    @property
    def listens(self) -> bool:
        """As the inner one."""
        return self.gen.listens

    def update(self, ctx: Context, event: Op) -> Generator:
        """Tell the inner one."""
        gen = self.gen.update(ctx, event)
        return self if gen is self.gen else Unless(self.over, gen)
