"""Work on several cores, results in the order of the tasks: what is written down does not depend on how many processes there are.

    tasks ──► at most AHEAD x jobs are handed out ──► process pool ──► results, first task first

Ctrl-C is for the process that hands out the work: the others do not see it. If it is killed they end at once: nobody would hear of what they do.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from typing import Any, Final, TypeVar

AHEAD: Final = 4  # tasks handed to a process before it asks
T = TypeVar("T")
R = TypeVar("R")


def in_order(
    work: Callable[..., R], tasks: Iterable[tuple[T, tuple[Any, ...]] | None], jobs: int
) -> Generator[tuple[T, R], None, None]:
    """Yield (name, work(*arguments)) for each (name, arguments); None among them: the next is known after another result. Closing the iterator drops what has not begun and waits for the rest."""
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_stay) as pool:
        waiting: deque[tuple[T, Future[R]]] = deque()
        following = iter(tasks)
        try:
            while True:
                for task in following:
                    if task is None:
                        break
                    name, arguments = task
                    waiting.append((name, pool.submit(work, *arguments)))
                    if len(waiting) >= AHEAD * jobs:
                        break
                if not waiting:
                    return
                name, future = waiting.popleft()
                yield name, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _stay() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
