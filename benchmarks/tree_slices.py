"""How long the longest step of a node takes while it compares itself with its peers for the first time: reads wait so long.

    python benchmarks/tree_slices.py [--writes 40000]

One node on SQLite, as one of three, to which so many values of 200 B were written at random among 100,000 keys. Its peers are silent; time is that of its
timers. What is measured is the processor time of each step (`Node.step`) from the first comparison on, until the trees of all 256 partitions are built.
Exit status 1 above the target.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
from heapq import heappop, heappush
from pathlib import Path

from kvstore.config import bucket, node_config
from kvstore.engine import SqliteEngine
from kvstore.events import Clock, Committed, Effect, Event, Fired, Meta, Record, SetTimer, Tag, Write
from kvstore.node import Node

KEYS, VALUE, BATCH = 100_000, b"v" * 200, 100
COMPARE_MS, LASTS_MS = 3_000.0, 10_000.0
TARGET_MS = 5.0


def written(engine: SqliteEngine, writes: int) -> None:
    """Write, the last of it still in the memtable."""
    rng = random.Random(1)
    engine.commit([Meta("incarnation", b"0")])
    for number in range(writes // BATCH):
        tag = Tag(number + 1, "n1", 1)
        rows = [Record("default", b"key:%012d" % rng.randrange(KEYS), tag, VALUE) for _ in range(BATCH)]
        engine.stage(rows, loose=True)
        engine.sync()


def steps(engine: SqliteEngine) -> list[float]:
    """Milliseconds of processor time of each step, over some seconds of the node's own time."""
    peers = {name: f"{name}:7100" for name in ("n1", "n2", "n3")}
    options = {"anti_entropy_ms": COMPARE_MS, "scrub_ms": 0.0, "heartbeat_ms": LASTS_MS}
    node = Node(
        node_config("n1", peers, default=bucket("default", "quorum"), **options), engine, random.Random(1)
    )
    queue: list[tuple[float, int, Event]] = []
    took, now_ms, count = list[float](), 0.0, 0

    def perform(effects: list[Effect]) -> None:
        nonlocal count
        for effect in effects:
            count += 1
            if isinstance(effect, SetTimer):
                heappush(queue, (now_ms + effect.delay_ms, count, Fired(effect.timer)))
            elif isinstance(effect, Write):
                engine.commit(effect.rows)
                heappush(queue, (now_ms, count, Committed(effect.ticket)))

    perform(node.start(Clock(now_ms, 1e6)))
    while queue and queue[0][0] < LASTS_MS:
        now_ms, _, event = heappop(queue)
        before = time.thread_time()
        effects = node.step(Clock(now_ms, 1e6 + now_ms), event)
        if now_ms >= COMPARE_MS:
            took.append(1000 * (time.thread_time() - before))
        perform(effects)
    assert all(node.overlay.forest.get("default", partition) for partition in range(256)), "not all was built"
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writes", type=int, default=40_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(SqliteEngine(Path(folder))) as engine:
        written(engine, options.writes)
        took = sorted(steps(engine))
    print(
        f"{len(took)} steps, {sum(took):.0f} ms of processor time; the longest {took[-1]:.1f} ms (target ≤ {TARGET_MS:.0f})"
    )
    return 0 if took[-1] <= TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
