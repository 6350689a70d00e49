"""The guard of the simulator: whoever asks the real world for time, chance or a thread during a run is stopped, and named.

    time.time() in a node ──► LeakError: store.py, line 41, calls time.time(): use the clock that is handed in

A run must be a function of plan and seed; one such call makes it another every time. Only the thread that simulates is watched, and only while it does.
What cannot be watched so (the order of sets, `id`, `datetime.now`) shows when the same run is made twice (`tests/sim/test_determinism.py`).
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, Final, NamedTuple

from harness.named import is_library

CLOCK: Final = "use the clock that is handed in"
CHANCE: Final = "use the random stream that is handed in"
ORDER: Final = "what threads do has no order that a seed decides: use tasks or timers"
OUTSIDE: Final = "what goes on outside of the simulator is not of the seed"
DRAWS: Final = (
    "random", "randrange", "randint", "choice", "choices", "shuffle", "sample", "uniform", "getrandbits", "randbytes", "gauss",
    "normalvariate", "lognormvariate", "expovariate", "betavariate", "triangular",
)  # fmt: skip
WATCHED: Final[tuple[tuple[Any, str, str], ...]] = (
    *((time, name, CLOCK) for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")),
    (time, "sleep", "virtual time does not pass meanwhile: set a timer"),
    *((random, name, CHANCE) for name in DRAWS),
    (os, "urandom", CHANCE),
    (uuid, "uuid1", CHANCE),
    (uuid, "uuid4", CHANCE),
    (threading.Thread, "start", ORDER),
    (subprocess.Popen, "__init__", OUTSIDE),
)  # fmt: skip
OURS: Final = frozenset({"time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns"})
"""What the harness and Python's library ask without harm: how long something takes."""


class LeakError(RuntimeError):
    """Something in a simulated run asked the real world. The message has the place, the call, and what to do instead."""


class Inside(NamedTuple):
    """A node whose code takes its clock from Python's library. `answers`: what to call in place of refusing, by the name of the call, such as `time.time`;
    `tell` hears of what is refused, whatever the code does about it.
    """

    answers: Mapping[str, Callable[..., Any]]
    tell: Callable[[LeakError], object]


_inside: Inside | None = None


def enter(inside: Inside | None) -> Inside | None:
    """From now on this node's code runs, or none's; whose did before is returned."""
    global _inside
    before, _inside = _inside, inside
    return before


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
        if _inside is not None and whole in _inside.answers:
            return _inside.answers[whole](*arguments, **named)
        caller = sys._getframe(1)
        if whole in OURS and _is_ours(caller):
            return real(*arguments, **named)
        place = f"{Path(caller.f_code.co_filename).name}, line {caller.f_lineno}"
        leak = LeakError(f"{place}, calls {whole}() in a simulated run, which would then not repeat itself: {instead}")  # fmt: skip
        if _inside is not None:
            _inside.tell(leak)
        raise leak

    return refused


def _is_ours(caller: FrameType) -> bool:
    return str(caller.f_globals.get("__name__")).startswith("harness.") or is_library(
        caller.f_code.co_filename
    )
