"""Small real clients over a dict, for tests of the interpreter, and ways to run it on either loop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any

from checkers.op import MISSING, Op, Type
from harness.client import Client
from harness.generator import GeneratorLike
from harness.interpreter import interpret
from harness.recorder import MemorySink, Recorder
from harness.worlds.sim.loop import simulate as on_virtual_time


class Refused(Exception):
    """Listed as FAIL."""


class Lost(Exception):
    """Listed nowhere."""


class Store:
    """A register a key, and a book of the connections made to it."""

    def __init__(self) -> None:
        self.values: dict[Any, Any] = {}
        self.opened: list[tuple[str, int]] = []
        self.closed: list[tuple[str, int]] = []

    async def connect(self, node: str, process: int) -> Client:
        self.opened.append((node, process))
        return MemoryClient(self, node, process)


class MemoryClient:
    """`f` says what to do: read, write, or one of the ways to end badly."""

    errors: Mapping[type[BaseException], Type] = {Refused: Type.FAIL}

    def __init__(self, store: Store, node: str, process: int) -> None:
        self.store, self.node, self.process = store, node, process

    async def invoke(self, op: Op) -> Op:
        await asyncio.sleep(0)
        if op.f == "write":
            self.store.values[op.key] = op.value
            return op.ok()
        if op.f == "read":
            return op.ok(self.store.values.get(op.key))
        if op.f == "refuse":
            raise Refused("not today")
        if op.f == "lose":
            raise Lost
        if op.f == "hang":
            await asyncio.get_running_loop().create_future()
        if op.f == "cancelled":
            raise asyncio.CancelledError
        if op.f == "exit":
            raise SystemExit(3)
        answers: dict[str, Callable[[], Any]] = {
            "fail": lambda: op.fail("said so"),
            "info": lambda: op.info("who knows"),
            "wrong-process": lambda: Op(-1, 0, 99, Type.OK, op.f),
            "wrong-key": lambda: Op(-1, 0, op.process, Type.OK, op.f, "other"),
            "wrong-f": lambda: Op(-1, 0, op.process, Type.OK, "other"),
            "no-end": lambda: op,
            "no-op": lambda: None,
            "no-json": lambda: op.ok({1, 2}),
        }
        return answers[op.f]()  # type: ignore[no-any-return]

    async def close(self) -> None:
        self.store.closed.append((self.node, self.process))


def run(generator: GeneratorLike, store: Store | None = None, **options: Any) -> list[Op]:
    """Interpret on virtual time (a hang costs nothing) and give the history."""
    recorder = Recorder(MemorySink(), keep=True)
    on_virtual_time(story(generator, recorder, store or Store(), **options))
    return recorder.ops


async def story(generator: GeneratorLike, recorder: Recorder, store: Store, **options: Any) -> None:
    """One interpretation with small defaults."""
    options = {
        "nodes": ["n1", "n2"],
        "concurrency": 1,
        "op_timeout_ms": 1000,
        "rng": random.Random(1),
        "connect": store.connect,
        **options,
    }
    await interpret(generator, recorder=recorder, **options)


def brief(ops: list[Op]) -> list[tuple[Any, ...]]:
    """(process, type, f, value or error) of each record."""
    return [
        (each.process, each.type.word, each.f, each.error or (None if each.value is MISSING else each.value))
        for each in ops
    ]
