"""What DBSIZE costs: a node of 100,000 keys on SQLite, driven step by step.

    python benchmarks/dbsize.py [--keys 100000]

Processor time of all steps it takes; the time it would take with nothing else to do is that and the pauses between its slices.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import tempfile
import time
from pathlib import Path

from kvstore.config import bucket, node_config
from kvstore.engine import SqliteEngine
from kvstore.events import (
    Clock,
    Command,
    Committed,
    Effect,
    Event,
    Fired,
    Meta,
    Record,
    Reply,
    SetTimer,
    Tag,
    Write,
)
from kvstore.node import Node


class Alone:
    """One node whose timers come as they are due, on a clock that nobody waits for."""

    def __init__(self, engine: SqliteEngine) -> None:
        config = node_config(
            "n1", {}, default=bucket("default", "quorum", n=1), anti_entropy_ms=0.0, scrub_ms=0.0
        )
        self.now_ms = 0.0
        self.engine = engine
        self.node = Node(config, engine, random.Random(1))
        self.timer: tuple[float, int] = (0.0, 0)
        self.answer: object = None
        self.do(self.node.start(self.clock()))

    def clock(self) -> Clock:
        return Clock(self.now_ms, 1e9 + self.now_ms)

    def step(self, event: Event) -> None:
        self.do(self.node.step(self.clock(), event))

    def do(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, SetTimer):
                self.timer = self.now_ms + effect.delay_ms, effect.timer
            elif isinstance(effect, Reply):
                self.answer = effect.value
            elif isinstance(effect, Write):
                self.engine.commit(list(effect.rows))
                self.step(Committed(effect.ticket))

    def ask(self, *words: bytes) -> object:
        """The answer to a command."""
        self.answer = None
        self.step(Command(1, 1, words))
        while self.answer is None:
            self.now_ms, timer = max(self.now_ms, self.timer[0]), self.timer[1]
            self.step(Fired(timer))
        return self.answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=100_000)
    keys = parser.parse_args().keys
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(SqliteEngine(Path(folder))) as engine:
        engine.commit([Meta("incarnation", b"0")])
        for first in range(0, keys, 1000):
            engine.commit(
                [
                    Record("default", b"key-%d" % each, Tag(1, "n1", 1), b"x" * 200)
                    for each in range(first, min(first + 1000, keys))
                ]
            )
        alone = Alone(engine)
        for _ in range(3):
            began_ms, began_s = alone.now_ms, time.process_time()
            assert alone.ask(b"DBSIZE") == keys
            print(
                f"{keys:,} keys: {time.process_time() - began_s:.2f} s of processor time, {(alone.now_ms - began_ms) / 1000:.2f} s of pauses"
            )


if __name__ == "__main__":
    main()
