"""What a generator is: a value that, asked with a context, gives an operation and the generator that comes after.

    next_op(gen, ctx) ─► (op, gen')   do this at op.time_ns, which may lie ahead, then ask gen'
                      ─► PENDING      nothing yet: ask again when an operation has ended
                      ─► None         exhausted, for good

    update(gen, ctx, event) ─► gen'   told of every invocation and every completion

Asking decides nothing: as long as `gen'` is not kept, nothing has happened, and whoever asked may ask again. Or need
not: an answer that lies ahead holds until then, unless `update` is called or `ctx.waits` says that a part was passed over
that waits for a process (a combinator that passes over a PENDING part must set it). So a
generator can be tested by listing all it gives, with no cluster, thread or clock (`simulate`). The idea and its words
are those of Jepsen's generators.

Also generators: None (nothing) · an Op or a dict `{"f": "read", "key": 1}` (once) · a list or tuple (one after the
other) · a function `ctx -> generator` (called again and again, until it gives None).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final

import msgspec

from checkers.op import Op
from harness.generator.context import Context
from harness.plan import PlanError


class Pending(Enum):
    """The type of PENDING."""

    PENDING = "pending"


PENDING: Final = Pending.PENDING
SLEEP: Final = (
    "$sleep"  # the `f` of an operation that only keeps its thread busy, `value` ns long; never recorded
)


class GeneratorError(PlanError):
    """A generator that cannot be run as it is put together."""


class Generator(msgspec.Struct, frozen=True):
    """Base of all combinators. They are frozen: a step gives a new one."""

    def next_op(self, ctx: Context) -> Next:
        """The next operation and what comes after it, PENDING, or None."""
        raise NotImplementedError

    def update(self, ctx: Context, event: Op) -> Generator:
        """The generator after this invocation or completion. Most do not care."""
        return self

    @property
    def listens(self) -> bool:
        """False if `update` surely gives the very same generator, so that nobody need call it."""
        return False


Next = tuple[Op, Generator] | Pending | None
GeneratorLike = Generator | Op | Mapping[str, Any] | Sequence[Any] | Callable[[Context], Any] | None
