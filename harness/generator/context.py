"""Context: what a generator may know when it is asked for an operation.

    thread     0    1    2   …  n-1   n            a thread does one operation at a time
    process    0   11    2   …   9   "nemesis"     process 1 ended `info`: its thread goes on as 1 + n
    free       1    0    1   …   1    1            a bit a thread; as an int, so that a copy costs nothing

A process lives on thread `process % concurrency`. The nemesis has the thread after the last client's. A context is a
value: `restrict` makes a smaller one, nothing changes one. Only its random generator, `waits` and `crowd` have state; the first
is seeded, so the same questions in the same order get the same answers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from harness.generator.crowd import Crowd

NEMESIS: Final = "nemesis"


class Waits:
    """Whether an answer passed over a part that waits: then the next completion may let that part go first.

    any_of(delay(2, a), b)     b waits for a free process, a is due in two seconds: `some` is set
    """

    __slots__ = ("some",)

    def __init__(self) -> None:
        self.some = False


class Context(msgspec.Struct, frozen=True):
    """`time_ns` since the run began · `free` and `threads` bit masks · `processes` by thread · `concurrency` client threads.

    `waits` is where a combinator notes that it answered although one of its parts is pending, `crowd` knows which key is hot.
    """

    time_ns: int
    free: int
    threads: int
    processes: tuple[int | str, ...]
    concurrency: int
    rng: random.Random
    waits: Waits
    crowd: Crowd | None = None

    def restrict(self, mask: int) -> Context:
        """The same moment, seen by the threads of the mask only."""
        threads = self.threads & mask
        if threads == self.threads:
            return self
        seen = (self.time_ns, self.free & mask, threads, self.processes, self.concurrency)
        return Context(*seen, self.rng, self.waits, self.crowd)

    def key(self, places: int, first: int = 0) -> int:
        """Which of so many keys, of which `first` is the first, an operation is on: each with the same chance, as long as none is hot."""
        drawn = int(self.rng.random() * places)
        return first + drawn if self.crowd is None else self.crowd.key(drawn, places, first)

    def thread_of(self, process: int | str) -> int:
        """The thread a process lives on, or lived on."""
        return process % self.concurrency if isinstance(process, int) else self.concurrency

    def is_free(self, process: int | str) -> bool:
        """True if this very process (not a retired one) can take an operation now."""
        thread = self.thread_of(process)
        return bool(self.free >> thread & 1) and self.processes[thread] == process

    def is_mine(self, process: int | str) -> bool:
        """True if the process lives on one of this context's threads."""
        return bool(self.threads >> self.thread_of(process) & 1)

    def some_free_process(self) -> int | str | None:
        """A free process, each with the same chance; None if all are busy."""
        free = self.free
        skip = int(self.rng.random() * free.bit_count())
        while skip:
            free &= free - 1
            skip -= 1
        return self.processes[(free & -free).bit_length() - 1] if free else None

    def free_processes(self) -> list[int | str]:
        """Every free process, by thread."""
        return [self.processes[thread] for thread in bits(self.free)]


def first_context(concurrency: int, rng: random.Random, *, nemesis: bool = True) -> Context:
    """The context at the start of a run: everybody free, process = thread."""
    everybody = (1 << concurrency + nemesis) - 1
    processes: tuple[int | str, ...] = (*range(concurrency), *([NEMESIS] if nemesis else []))
    return Context(0, everybody, everybody, processes, concurrency, rng, Waits())


def bits(mask: int) -> Iterator[int]:
    """Positions of the set bits, lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


@lru_cache(maxsize=1024)
def split(mask: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """Cut a mask into one of `sizes[0]` threads, one of `sizes[1]`, …, and last the threads that remain."""
    threads = list(bits(mask))
    parts, start = [], 0
    for size in (*sizes, len(threads)):
        parts.append(sum(1 << thread for thread in threads[start : start + size]))
        start += size
    return tuple(parts)
