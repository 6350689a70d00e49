"""What a durable write costs storage alone, on one node: SQLite, a few rows a commit, keys at random among 100,000.

    python benchmarks/storage_rate.py [--writes 60000] [--batch 15]

    one row      a version, as modes quorum and register write it
    no fsync     the same, loose: as durability `interval` and `never` write it
    two rows     a promise and then a state, each with a commit of its own: the first change of a key in mode cas

Processor time, user and system, and bytes handed to the disk, for each write. No network, no node. Then how long a snapshot of all
100,000 keys takes, and its restoration (`kvstore.engine_snapshot`).
"""

from __future__ import annotations

import argparse
import contextlib
import random
import resource
import tempfile
import time
from pathlib import Path

from kvstore.acceptor import PROMISES
from kvstore.engine import SqliteEngine
from kvstore.engine_snapshot import restore, take
from kvstore.events import Record, Snapshot, Tag

KEYS, VALUE = 100_000, b"x" * 200


def measure(writes: int, batch: int, *, promises: bool, loose: bool) -> tuple[float, float, float, float]:
    """Milliseconds of wall clock a commit, µs user and µs system a write, KiB a write."""
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        engine = SqliteEngine(Path(folder))
        before, began_s, commits = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter(), 0
        for number in range(writes // batch):
            tag = Tag(number + 1, "n1", 1)
            keys = [b"key-%d" % rng.randrange(KEYS) for _ in range(batch)]
            if promises:
                engine.commit([Record(PROMISES + "default", key, tag, None) for key in keys])
            engine.stage([Record("default", key, tag, VALUE) for key in keys], loose=loose)
            engine.sync()
            commits += 1 + promises
        took_s, after = time.perf_counter() - began_s, resource.getrusage(resource.RUSAGE_SELF)
        engine.close()
    user_us, system_us = (
        1e6 * (getattr(after, name) - getattr(before, name)) / writes for name in ("ru_utime", "ru_stime")
    )
    return (
        1e3 * took_s / commits,
        user_us,
        system_us,
        (after.ru_oublock - before.ru_oublock) / 2 / writes,
    )


def copy_all() -> tuple[float, float, float]:
    """MiB of a snapshot of every key, seconds to write it, and to restore it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with contextlib.closing(SqliteEngine(folder / "data")) as engine:
            for first in range(0, KEYS, 1000):
                keys = [b"key-%d" % number for number in range(first, first + 1000)]
                engine.commit([Record("default", key, Tag(1, "n1", 1), VALUE) for key in keys])
            began_s = time.perf_counter()
            size, place = take(folder / "data", folder / "out", "n1", Snapshot("all", (), (), ()))
            written_s = time.perf_counter()
            restore(place, folder / "again", "n1")
            return size / (1 << 20), written_s - began_s, time.perf_counter() - written_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writes", type=int, default=60_000)
    parser.add_argument("--batch", type=int, default=15)
    options = parser.parse_args()
    print(
        f"{options.batch} writes a commit      ms a commit   user µs a write   system µs a write   KiB a write"
    )
    for name, promises, loose in (
        ("one row", False, False),
        ("no fsync", False, True),
        ("two rows", True, False),
    ):
        took_ms, user_us, system_us, kib = measure(
            options.writes, options.batch, promises=promises, loose=loose
        )
        print(f"{name:23} {took_ms:11.2f} {user_us:17.0f} {system_us:19.0f} {kib:13.1f}", flush=True)
    mib, write_s, restore_s = copy_all()
    print(f"snapshot of {KEYS:,} keys: {mib:.0f} MiB, {write_s:.2f} s to write, {restore_s:.2f} s to restore")


if __name__ == "__main__":
    main()
