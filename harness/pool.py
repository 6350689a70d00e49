"""Work in many processes, results in the order of the tasks: what is written down does not depend on how many there are, nor on where.

    tasks ──► at most AHEAD x size are handed out ──► executor ──► results, first task first
                                                         ├─ processes here (`cores`)
                                                         └─ a Ray cluster (`harness.ray_pool`)

Ctrl-C, or a terminal that is closed, is for the process that hands out the work: the others do not see it. If it is killed they end at once: nobody would hear of what they do.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from typing import Any, Final, TypeVar

TERMINAL: Final = frozenset({signal.SIGINT, signal.SIGHUP})  # what a terminal sends to all of its processes
AHEAD: Final = 4  # tasks handed to a process before it asks
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Pool:
    """`size` tasks are worked on at the same time, by the executor that `open` makes."""

    size: int
    open: Callable[[], Executor]


Jobs = int | Pool  # so many processes of this machine, or others


def cores(jobs: int) -> Pool:
    """So many processes of this machine."""
    return Pool(jobs, partial(ProcessPoolExecutor, jobs, get_context("spawn"), _stay))


def size_of(jobs: Jobs) -> int:
    """How many tasks are worked on at the same time."""
    return jobs if isinstance(jobs, int) else jobs.size


def in_order(
    work: Callable[..., R], tasks: Iterable[tuple[T, tuple[Any, ...]] | None], jobs: Jobs
) -> Generator[tuple[T, R], None, None]:
    """Yield (name, work(*arguments)) for each (name, arguments); None among them: the next is known after another result. Closing the iterator drops what has not begun and waits for the rest."""
    pool = cores(jobs) if isinstance(jobs, int) else jobs
    with _deaf():
        executor = pool.open()
    waiting: deque[tuple[T, Future[R]]] = deque()
    following = iter(tasks)
    try:
        while True:
            for task in following:
                if task is None:
                    break
                name, arguments = task
                with _deaf():
                    waiting.append((name, executor.submit(work, *arguments)))
                if len(waiting) >= AHEAD * pool.size:
                    break
            if not waiting:
                return
            name, future = waiting.popleft()
            yield name, future.result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _deaf() -> Iterator[None]:
    """A process that is made now hears none of TERMINAL while it loads its modules; what comes meanwhile we hear right after.

    A mask alone is not enough here: another thread takes the signal, and its handler would break off the making of the process half way.
    """
    heard, handlers = list[int](), dict[signal.Signals, Any]()
    if threading.current_thread() is threading.main_thread():
        for each in (*TERMINAL, signal.SIGTERM):
            if callable(signal.getsignal(each)):
                handlers[each] = signal.signal(each, lambda number, frame: heard.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for each, handler in handlers.items():
            signal.signal(each, handler)
        for number in dict.fromkeys(heard):
            signal.raise_signal(number)


def _stay() -> None:
    for each in TERMINAL:
        signal.signal(each, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TERMINAL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
