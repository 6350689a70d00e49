"""Choice: mix (by lot), any_of (whoever can go first) and crowded (which key)."""

from __future__ import annotations

from operator import attrgetter

from msgspec.structs import replace

from checkers.op import Op
from harness.generator.base import PENDING, Generator, GeneratorLike, Next, lift, several, soonest
from harness.generator.context import Context
from harness.generator.crowd import Crowd


def mix(*gens: GeneratorLike) -> Generator:
    """Each operation from one of them, by lot, all with the same chance. One that is exhausted drops out.

    mix(repeat(r), repeat(w))     r w w r w r r …

    One that is pending loses its turn to the next: a mix waits only when all of them wait.
    """
    parts = several("mix", gens)
    return Mix(parts, None, any(gen.listens for gen in parts))


class Mix(Generator, frozen=True):
    """See `mix`. `turn`: whose turn it is, None until the first operation; `attentive`: one of them may listen."""

    gens: tuple[Generator, ...]
    turn: int | None
    attentive: bool

    def next_op(self, ctx: Context) -> Next:
        """From the one drawn; if it cannot, from those after it."""
        gens = self.gens
        if not gens:
            return None
        turn = self.turn
        if turn is None:
            turn = int(ctx.rng.random() * len(gens))
        result = gens[turn].next_op(ctx)
        if result is None or result is PENDING:
            return self._others(ctx, turn, pending=result is PENDING)
        attentive = self.attentive
        if result[1] is not gens[turn]:
            gens = (*gens[:turn], result[1], *gens[turn + 1 :])
            attentive = attentive or result[1].listens
        return result[0], Mix(gens, int(ctx.rng.random() * len(gens)), attentive)

    def _others(self, ctx: Context, turn: int, *, pending: bool) -> Next:
        """Round the table, beginning after `turn`; leave out the exhausted."""
        gens = list(self.gens)
        over = set() if pending else {turn}
        for step in range(1, len(gens)):
            position = (turn + step) % len(gens)
            result = gens[position].next_op(ctx)
            if result is PENDING:
                pending = True
            elif result is None:
                over.add(position)
            else:
                gens[position] = result[1]
                ctx.waits.some = ctx.waits.some or pending
                left = tuple(gen for place, gen in enumerate(gens) if place not in over)
                return result[0], Mix(
                    left, int(ctx.rng.random() * len(left)), any(gen.listens for gen in left)
                )
        return PENDING if pending else None

    def update(self, ctx: Context, event: Op) -> Generator:
        """Tell all."""
        if not self.attentive:
            return self
        gens = tuple([gen.update(ctx, event) for gen in self.gens])
        return self if same(gens, self.gens) else Mix(gens, self.turn, any(gen.listens for gen in gens))

    @property
    def listens(self) -> bool:
        """If one of them may."""
        return self.attentive


def any_of(*gens: GeneratorLike) -> Generator:
    """Whichever can go soonest; among equals by lot. Over when all are.

    any_of(delay(2, a), delay(3, b))     a b . a b a . ab …
    """
    return AnyOf(several("any_of", gens))


class AnyOf(Generator, frozen=True):
    """See `any_of`."""

    gens: tuple[Generator, ...]

    def next_op(self, ctx: Context) -> Next:
        """Ask all, take the soonest; the others have not moved."""
        candidates = []
        pending = False
        for position, gen in enumerate(self.gens):
            result = gen.next_op(ctx)
            if result is PENDING:
                pending = True
            elif result is not None:
                candidates.append((result[0], result[1], position, 1))
        if not candidates:
            return PENDING if pending else None
        ctx.waits.some = ctx.waits.some or pending
        op, gen, position = soonest(candidates, ctx)
        return op, AnyOf((*self.gens[:position], gen, *self.gens[position + 1 :]))

    def update(self, ctx: Context, event: Op) -> Generator:
        """Tell all."""
        gens = tuple([gen.update(ctx, event) for gen in self.gens])
        return self if same(gens, self.gens) else AnyOf(gens)

    @property
    def listens(self) -> bool:
        """If one of them does."""
        return any(map(_LISTENS, self.gens))


def crowded(crowd: Crowd | None, gen: GeneratorLike) -> Generator:
    """`gen`, whose keys are the crowd's, if there is one: those that it asks the context for."""
    return lift(gen) if crowd is None else Crowded(crowd, lift(gen))


class Crowded(Generator, frozen=True):
    """See `crowded`."""

    crowd: Crowd
    gen: Generator

    def next_op(self, ctx: Context) -> Next:
        """Ask with the crowd in the context."""
        result = self.gen.next_op(replace(ctx, crowd=self.crowd))
        if result is None or result is PENDING:
            return result
        return result[0], Crowded(self.crowd, result[1])

    def update(self, ctx: Context, event: Op) -> Generator:
        """Tell it."""
        gen = self.gen.update(ctx, event)
        return self if gen is self.gen else Crowded(self.crowd, gen)

    @property
    def listens(self) -> bool:
        """If it does."""
        return self.gen.listens


_LISTENS = attrgetter("listens")


def same(left: tuple[Generator, ...], right: tuple[Generator, ...]) -> bool:
    """True if they hold the very same generators."""
    return all(map(_is, left, right))


def _is(left: Generator, right: Generator) -> bool:
    return left is right
