"""How many operations a second generator and interpreter manage with a client that answers at once.

python benchmarks/interpreter_rate.py        target: 20,000 operations/s on one core, each recorded twice
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from checkers.op import Op, Type
from harness.generator import Context, Generator, clients, limit, mix, numbered, op, repeat, time_limit
from harness.interpreter import interpret
from harness.recorder import FileSink, Recorder
from harness.worlds.sim.loop import simulate as simulate_time

TARGET = 20_000
OPS = 40_000


class Instant:
    """A client that answers without waiting."""

    errors: Mapping[type[BaseException], Type] = MappingProxyType({})

    async def invoke(self, op: Op) -> Op:
        return op.ok(1)

    async def close(self) -> None:
        pass


def write(number: int, ctx: Context) -> Generator:
    return op("write", int(ctx.rng.random() * 10), number)


def plain() -> Generator:
    return limit(OPS, mix(repeat(op("read", 1)), numbered(write)))


def realistic() -> Generator:
    reads = mix(*(repeat(op("read", key)) for key in range(5)))
    return time_limit(600, clients(limit(OPS, mix(reads, numbered(write)))))


async def connect(node: str, process: int) -> Instant:
    return Instant()


def measure(
    generator: Generator, path: Path | None, run: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run
) -> float:
    """Operations a second."""
    recorder = Recorder(None if path is None else FileSink(path))
    begun = time.perf_counter()
    run(
        interpret(
            generator,
            connect=connect,
            nodes=["n1", "n2", "n3", "n4", "n5"],
            concurrency=10,
            recorder=recorder,
            op_timeout_ms=1000,
            rng=random.Random(1),
        )
    )
    seconds = time.perf_counter() - begun
    recorder.close()
    assert recorder.count == 2 * OPS
    return OPS / seconds


def run_virtual(main: Coroutine[Any, Any, None]) -> None:
    """As asyncio.run, on the simulator's loop."""
    simulate_time(main)


def main() -> int:
    slowest = float("inf")
    with tempfile.TemporaryDirectory() as folder:
        for name, generator, path, run in (
            ("limit(mix), not recorded", plain(), None, asyncio.run),
            ("limit(mix), to a file", plain(), Path(folder, "plain.jsonl"), asyncio.run),
            (
                "time_limit(clients(limit(mix))), to a file",
                realistic(),
                Path(folder, "asyncio.jsonl"),
                asyncio.run,
            ),
            ("the same on the simulator's loop", realistic(), Path(folder, "sim.jsonl"), run_virtual),
        ):
            rate = measure(generator, path, run)
            slowest = min(slowest, rate)
            print(
                f"{name:44} {rate:8,.0f} ops/s   target {TARGET:,}   {'reached' if rate >= TARGET else 'MISSED'}"
            )
    return 0 if slowest >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
