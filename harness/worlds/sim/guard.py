"""The guard of the simulator: whoever asks the real world for time, chance or a thread during a run is stopped, and named.

    time.time() in a node ──► LeakError: store.py, line 41, calls time.time(): use the clock that is handed in

A run must be a function of plan and seed; one such call makes it another every time. Only the thread that simulates is watched, and only while it does.
What cannot be watched so (the order of sets, `id`, `datetime.now`) shows when the same run is made twice (`tests/sim/test_determinism.py`).
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

CLOCK: Final = "use the clock that is handed in"
CHANCE: Final = "use the random stream that is handed in"
WATCHED: Final[tuple[tuple[Any, str, str], ...]] = (
    (time, "time", CLOCK),
    (time, "time_ns", CLOCK),
    (time, "sleep", "virtual time does not pass meanwhile: set a timer"),
    *((random, name, CHANCE) for name in ("random", "randrange", "randint", "choice", "shuffle", "sample", "uniform", "getrandbits")),
    (os, "urandom", CHANCE),
    (uuid, "uuid1", CHANCE),
    (uuid, "uuid4", CHANCE),
    (threading.Thread, "start", "what threads do has no order that a seed decides: use tasks or timers"),
)  # fmt: skip


class LeakError(RuntimeError):
    """Something in a simulated run asked the real world. The message has the place, the call, and what to do instead."""


@contextmanager
def guarded() -> Iterator[None]:
    """Watch this thread until the end of the block."""
    mine, before = threading.get_ident(), []
    for owner, name, instead in WATCHED:
        real = getattr(owner, name)
        before.append((owner, name, real))
        setattr(owner, name, _refusing(real, owner, name, instead, mine))
    try:
        yield
    finally:
        for owner, name, real in before:
            setattr(owner, name, real)


def _refusing(real: Callable[..., Any], owner: Any, name: str, instead: str, mine: int) -> Callable[..., Any]:
    whole = f"{owner.__name__}.{name}" if isinstance(owner, ModuleType) else f"{owner.__module__}.{owner.__name__}.{name}"  # fmt: skip

    def refused(*arguments: Any, **named: Any) -> Any:
        if threading.get_ident() != mine:
            return real(*arguments, **named)
        caller = sys._getframe(1)
        place = f"{Path(caller.f_code.co_filename).name}, line {caller.f_lineno}"
        raise LeakError(f"{place}, calls {whole}() in a simulated run, which would then not repeat itself: {instead}")  # fmt: skip

    return refused
