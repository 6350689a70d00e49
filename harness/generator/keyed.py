"""keyed: many independent keys, each worked on by its own few processes.

    keyed(2, [k0, k1, k2, …], ops)        4 threads, 2 a key

    threads 0 1   |--- ops(k0) ---|--- ops(k3) ---| …      a group whose key is used up
    threads 2 3   |- ops(k1) -|------ ops(k2) ------| …    takes the next one

A history over many short keys is far cheaper to check than one over a long key, and a violation is found in a small
part. Jepsen calls this independent/concurrent-generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from checkers.op import Op
from harness.generator.base import PENDING, Generator, GeneratorError, GeneratorLike, Next, lift, soonest
from harness.generator.context import Context, split


def keyed(per_key: int, keys: Iterable[Any], gen_of: Callable[[Any], GeneratorLike]) -> Generator:
    """For each key, `gen_of(key)` run by a group of `per_key` threads; `keys` may have no end. Sets the operations' key.

    The number of threads it runs on must be a multiple of `per_key`; put it inside `clients`.
    """
    if per_key < 1:
        raise GeneratorError(f"keyed needs at least one process a key, not {per_key}")
    return Keyed(per_key, Keys(keys), gen_of, (), 0)


class Keys:
    """An iterable as a value: position i always holds the same key, and later ones are drawn only when asked for."""

    def __init__(self, keys: Iterable[Any]) -> None:
        self._rest = iter(keys)
        self._known: list[Any] = []

    def has(self, position: int) -> bool:
        """True if there is a key at this position."""
        while len(self._known) <= position:
            try:
                self._known.append(next(self._rest))
            except StopIteration:
                return False
        return True

    def __getitem__(self, position: int) -> Any:
        return self._known[position]


class Group(msgspec.Struct, frozen=True):
    """What a group of threads works on. `gen` None: no key was left for it."""

    key: Any
    gen: Generator | None


class Keyed(Generator, frozen=True):
    """See `keyed`. `groups`: by group, empty before the first operation; `taken`: how many keys have been given out."""

    per_key: int
    keys: Keys
    gen_of: Callable[[Any], GeneratorLike]
    groups: tuple[Group, ...]
    taken: int

    def next_op(self, ctx: Context) -> Next:
        """The soonest over the groups; each with a free thread may first have to take a new key."""
        masks = self._masks(ctx)
        groups, taken = list(self.groups), self.taken
        while len(groups) < len(masks):
            group, taken = self._take(taken)
            groups.append(group)
        candidates = []
        pending = False
        for number, mask in enumerate(masks):
            own = ctx.restrict(mask)
            group = groups[number]
            if not own.free:
                pending = pending or group.gen is not None
                continue
            result: Next = None
            while group.gen is not None and (result := group.gen.next_op(own)) is None:
                group, taken = self._take(taken)
            groups[number] = group
            if result is PENDING:
                pending = True
            elif result is not None:
                candidates.append((result[0], result[1], number, 1))
        if not candidates:
            return PENDING if pending else None
        ctx.waits.some = ctx.waits.some or pending
        op, gen, number = soonest(candidates, ctx)
        groups[number] = Group(groups[number].key, gen)
        if op.key is None:
            op = replace(op, key=groups[number].key)
        return op, Keyed(self.per_key, self.keys, self.gen_of, tuple(groups), taken)

    @property
    def listens(self) -> bool:
        """If one of the groups does."""
        return any(group.gen is not None and group.gen.listens for group in self.groups)

    def update(self, ctx: Context, event: Op) -> Generator:
        """Tell the group, if it still works on the event's key."""
        if not self.groups:
            return self
        thread = ctx.thread_of(event.process)
        for number, mask in enumerate(self._masks(ctx)):
            group = self.groups[number]
            if mask >> thread & 1 and group.gen is not None and group.key == event.key:
                gen = group.gen.update(ctx.restrict(mask), event)
                if gen is group.gen:
                    return self
                groups = (*self.groups[:number], Group(group.key, gen), *self.groups[number + 1 :])
                return Keyed(self.per_key, self.keys, self.gen_of, groups, self.taken)
        return self

    def _take(self, taken: int) -> tuple[Group, int]:
        """A group with the next key, if there is one."""
        if not self.keys.has(taken):
            return Group(None, None), taken
        key = self.keys[taken]
        return Group(key, lift(self.gen_of(key))), taken + 1

    def _masks(self, ctx: Context) -> tuple[int, ...]:
        """The threads of each group."""
        count = ctx.threads.bit_count()
        if count % self.per_key or not count:
            raise GeneratorError(
                f"keyed wants {self.per_key} processes a key, which {count} threads cannot be divided into; "
                f"choose a concurrency that is a multiple of {self.per_key}, and put keyed inside clients(…)"
            )
        return split(ctx.threads, (self.per_key,) * (count // self.per_key))[:-1]
