"""The guard of the simulator: whoever asks the real world for time, chance or a thread during a run is stopped, and named.

    time.time() in a node ──► LeakError: store.py, line 41, calls time.time(): use the clock that is handed in

A run must be a function of plan and seed; one such call makes it another every time. Only the thread that simulates is watched, and only while it does.

    time, chance, ids     time, datetime, random, SystemRandom (and so `secrets`), Random() without a seed, urandom, uuid
    order                 threads; id(), and hash() of what is not a number, which are others in each process
    the outside           processes, sockets; for plain asyncio code files and all else of this machine (`outside`)

What no call shows, the order of sets and addresses in a `repr`, shows when the same run is made twice (`tests/sim/test_determinism.py`).
"""

from __future__ import annotations

import _thread
import builtins
import io
import os
import random
import select
import signal
import socket
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

from harness.client import SpoiltRunError
from harness.named import is_library
from harness.worlds.sim import outside
from harness.worlds.sim.aliases import watched_where_used

CLOCK: Final = "use the clock that is handed in"
CHANCE: Final = "use the random stream that is handed in"
ORDER: Final = "what threads do has no order that a seed decides: use tasks or timers"
OUTSIDE: Final = "what goes on outside of the simulator is not of the seed"
FILES: Final = "what is on this machine's disk is not of the seed: use the disk that is handed in"
SIGNALS: Final = "they are this process's, and not the node's"
NUMBER: Final = "it is another in each process: use a number of your own"
DRAWS: Final = (
    "random", "randrange", "randint", "choice", "choices", "shuffle", "sample", "uniform", "getrandbits", "randbytes", "gauss",
    "normalvariate", "lognormvariate", "expovariate", "betavariate", "triangular", "gammavariate", "paretovariate", "vonmisesvariate", "weibullvariate",
)  # fmt: skip
WATCHED: Final[tuple[tuple[Any, str, str], ...]] = (
    *((time, name, CLOCK) for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "process_time_ns", "thread_time", "thread_time_ns", "clock_gettime", "clock_gettime_ns", "gmtime", "localtime", "ctime", "asctime", "strftime")),
    (time, "sleep", "virtual time does not pass meanwhile: set a timer"),
    *((random, name, CHANCE) for name in DRAWS),
    (os, "urandom", CHANCE),
    (uuid, "uuid1", CHANCE),
    (uuid, "uuid4", CHANCE),
    (random, "seed", CHANCE),
    *((random.SystemRandom, name, CHANCE) for name in ("random", "getrandbits", "randbytes")),
    *((os, name, instead) for name, instead in (("getrandom", CHANCE), ("fork", OUTSIDE)) if hasattr(os, name)),
    (threading.Thread, "start", ORDER),
    (_thread, "start_new_thread", ORDER),
    (subprocess.Popen, "__init__", OUTSIDE),
    (socket.socket, "__init__", OUTSIDE),
    (io, "open", FILES),
    *((os, name, "it would end the simulator too: use sys.exit") for name in ("_exit", "abort")),
    *((signal, name, SIGNALS) for name in ("signal", "alarm", "setitimer", "raise_signal", "set_wakeup_fd")),
    *((select, name, OUTSIDE) for name in ("select", "poll", "epoll") if hasattr(select, name)),
    (os, "getpid", NUMBER),
    (socket, "gethostname", OUTSIDE),
    (threading.Condition, "wait", "nobody else runs meanwhile: await what asyncio has for it"),
)  # fmt: skip
BUILTINS: Final[Mapping[str, str]] = {"id": NUMBER, "hash": NUMBER, "open": FILES}
OURS: Final = frozenset({f"time.{clock}{unit}" for clock in ("monotonic", "perf_counter", "process_time", "thread_time") for unit in ("", "_ns")})  # fmt: skip
"""What the harness and Python's library ask without harm: how long something takes."""
NODES_ONLY: Final = frozenset({"io.open", "builtins.open", "threading.Condition.wait", "os.getpid", "socket.gethostname", *(f"{owner.__name__}.{name}" for owner, name, _ in WATCHED if owner in (select, signal))})  # fmt: skip
"""What is refused to plain asyncio code alone: other nodes have a disk at hand, and a workload may read a file."""


WHEN: Final[Mapping[str, int]] = {"time.gmtime": 0, "time.localtime": 0, "time.ctime": 0, "time.asctime": 0, "time.strftime": 1}  # fmt: skip
"""What asks for the time only if it is given none: as which argument."""


class LeakError(SpoiltRunError):
    """Something in a simulated run asked the real world. The message has the place, the call, and what to do instead."""


class Inside(NamedTuple):
    """A node whose code takes its clock from Python's library. `answers`: what to call in place of refusing, by the name of the call, such as `time.time`;
    `tell` hears of what is refused, whatever the code does about it.
    """

    answers: Mapping[str, Callable[..., Any]]
    tell: Callable[[LeakError], object]


_inside: Inside | None = None
_watched: int | None = None  # the thread that simulates


def enter(inside: Inside | None) -> Inside | None:
    """From now on this node's code runs, or none's; whose did before is returned."""
    global _inside
    before, _inside = _inside, inside
    return before


@contextmanager
def guarded() -> Iterator[None]:
    """Watch this thread until the end of the block."""
    global _watched
    outer, _watched = _watched, threading.get_ident()
    mine, before, others = _watched, [], {}
    for owner, name, instead in WATCHED:
        real = getattr(owner, name)
        before.append((owner, name, real))
        others[id(real)] = _refusing(real, owner, name, instead, mine)
    for name, whole in (("__init__", "random.Random"), ("seed", "random.Random.seed")):
        real = getattr(random.Random, name)
        before.append((random.Random, name, real))
        others[id(real)] = _seeded(real, whole, mine)
    given = {name: _refusing(getattr(builtins, name), builtins, name, instead, mine) for name, instead in BUILTINS.items()}  # fmt: skip
    try:
        for owner, name, real in before:
            setattr(owner, name, others[id(real)])
        with watched_where_used(others, given, lambda owner, name: _refusing(getattr(owner, name), owner, name, CLOCK, mine)):  # fmt: skip
            yield
    finally:
        _watched = outer
        for owner, name, real in before:
            setattr(owner, name, real)


def _refusing(real: Callable[..., Any], owner: Any, name: str, instead: str, mine: int) -> Callable[..., Any]:
    whole = f"{owner.__name__}.{name}" if isinstance(owner, ModuleType) else f"{owner.__module__}.{owner.__name__}.{name}"  # fmt: skip

    when = WHEN.get(whole)

    def refused(*arguments: Any, **named: Any) -> Any:
        if threading.get_ident() != mine or (whole in NODES_ONLY and _inside is None):
            return real(*arguments, **named)
        if _inside is not None and whole in _inside.answers:
            return _inside.answers[whole](*arguments, **named)
        if when is not None and len(arguments) > when and arguments[when] is not None:
            return real(*arguments)
        caller = sys._getframe(1)
        if whole in OURS and _is_ours(caller):
            return real(*arguments, **named)
        if whole == "builtins.hash" and (
            isinstance(arguments[0], int | float) or caller.f_code.co_name == "__hash__"
        ):
            return real(*arguments)
        raise _leak(caller, whole, instead)

    return refused


def _seeded(real: Callable[..., Any], whole: str, mine: int) -> Callable[..., Any]:
    def seeded(self: random.Random, *seed: Any, **named: Any) -> None:
        needs_seed = (*seed, *named.values(), None)[0] is None and not isinstance(self, random.SystemRandom)
        if needs_seed and threading.get_ident() == mine and not _is_ours(sys._getframe(1)):
            raise _leak(sys._getframe(1), whole, CHANCE)
        real(self, *seed, **named)

    return seeded


def on_event(event: str, arguments: tuple[Any, ...]) -> None:
    """Python is about to do something (`outside`). Raises LeakError if plain asyncio code has it done to this machine."""
    if _inside is None or event not in outside.EVENTS or threading.get_ident() != _watched:
        return
    caller = sys._getframe(1)
    if not outside.harmless(event, arguments, caller):
        raise _leak(caller, event, FILES if event in outside.FILES else OUTSIDE)


def _leak(caller: FrameType, whole: str, instead: str) -> LeakError:
    caller = outside.asking(caller)
    place = f"{Path(caller.f_code.co_filename).name}, line {caller.f_lineno}"
    leak = LeakError(f"{place}, calls {whole}() in a simulated run, which would then not repeat itself: {instead}")  # fmt: skip
    if _inside is not None:
        _inside.tell(leak)
    return leak


def _is_ours(caller: FrameType) -> bool:
    return str(caller.f_globals.get("__name__")).startswith("harness.") or is_library(
        caller.f_code.co_filename
    )
