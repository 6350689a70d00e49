"""What Python's library tells a program of its process: the time, chance, and where what it prints goes. Here it tells of the node.

time.time()        the node's clock on the wall, which the fault `clock` shifts
time.monotonic()   virtual time, as `loop.time()`; so is perf_counter
random.random()    the node's own random stream, of the run's seed; so are os.urandom and uuid.uuid4
print()            a line in the node's log
os.getpid()        another number in each life of a node; socket.gethostname() its name
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from io import TextIOBase
from time import asctime, gmtime, strftime, struct_time
from typing import Any, Final

from harness.system import SimulatedEnv
from harness.worlds.sim.guard import DRAWS


class LogFile(TextIOBase):
    """What a program prints, line by line in its log. No terminal."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log, self._line = log, ""

    def write(self, text: str) -> int:
        """Print."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._log(line)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back but a line that is not at its end."""

    def close(self) -> None:
        """Whoever closes it may print on."""


def answers(env: SimulatedEnv, life: int) -> Mapping[str, Callable[..., Any]]:
    """What a program hears that asks Python's library for time or chance: the node's own."""
    rng, clock_ms = env.rng, env.clock_ms

    def today(zone: tzinfo | None = None) -> datetime:
        moment = datetime.fromtimestamp(clock_ms()[1] / 1000, zone or UTC)
        return moment if zone else moment.replace(tzinfo=None)

    def moment(when: float | None = None) -> struct_time:
        return gmtime(clock_ms()[1] / 1000 if when is None else when)

    return {
        "time.gmtime": moment,
        "time.localtime": moment,
        "time.ctime": lambda when=None: asctime(moment(when)),
        "time.asctime": lambda when=None: asctime(moment() if when is None else when),
        "time.strftime": lambda form, when=None: strftime(form, moment() if when is None else when),
        "time.time": lambda: clock_ms()[1] / 1000,
        "time.time_ns": lambda: round(clock_ms()[1] * 1e6),
        "time.monotonic": lambda: clock_ms()[0] / 1000,
        "time.monotonic_ns": lambda: round(clock_ms()[0] * 1e6),
        "time.perf_counter": lambda: clock_ms()[0] / 1000,
        "time.perf_counter_ns": lambda: round(clock_ms()[0] * 1e6),
        "datetime.datetime.now": today,
        "datetime.datetime.utcnow": today,
        "datetime.datetime.today": today,
        "datetime.date.today": lambda: today().date(),
        "os.getpid": lambda: life,
        "socket.gethostname": lambda: env.node,
        "os.urandom": rng.randbytes,
        "os.getrandom": rng.randbytes,
        "random.SystemRandom.random": lambda _: rng.random(),
        "random.SystemRandom.getrandbits": lambda _, bits: rng.getrandbits(bits),
        "random.SystemRandom.randbytes": lambda _, size: rng.randbytes(size),
        "uuid.uuid4": lambda: uuid.UUID(int=rng.getrandbits(128), version=4),
        **{f"random.{name}": getattr(rng, name) for name in DRAWS},
    }


def _number(writer: asyncio.StreamWriter) -> int:
    return hash(writer.transport)


HASH: Final = "__hash__"
setattr(
    asyncio.StreamWriter, HASH, _number
)  # programs keep writers in sets; on a real loop it is an address as before
