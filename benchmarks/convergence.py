"""How three replicas come together after a partition: time, and bytes that the comparison sends.

python benchmarks/convergence.py [--keys 100000] [--divergent 0.01]

One of three nodes lacks some keys' newest versions. Time is virtual: messages take 0.1 to 5 ms, and nodes compare with one peer every ten seconds.
Exit status 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from kvstore.config import bucket
from kvstore.events import Record, Tag
from kvstore.merkle import FANOUT
from kvstore.ring import PARTITIONS
from tests.kvstore.cluster import Cluster

VALUE = bytes(200)
TARGET_S, TARGET_RATIO, TARGET_KEY_BYTES = 60.0, 3.0, 400


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--divergent", type=float, default=0.01)
    given = parser.parse_args()
    rng = random.Random(1)
    made = Cluster("abc", bucket("default", "quorum"), scrub_ms=0.0)
    old = [Record("default", b"key-%d" % n, Tag(1, "a", 1), VALUE) for n in range(given.keys)]
    stale = rng.sample(range(given.keys), int(given.keys * given.divergent))
    new = [Record("default", b"key-%d" % n, Tag(2, "b", 1), VALUE) for n in stale]
    for name in "abc":
        made.machines[name].disk.commit(old)
    for name in "ab":
        made.machines[name].disk.commit(new)
    began, clock = made.now_ms, time.perf_counter()
    want = made.machines["a"].disk
    tracemalloc.start()
    while any(made.machines["c"].disk.get("default", record.key) != record for record in new):
        made.idle(500)
        if made.now_ms - began > 10 * TARGET_S * 1000:
            break
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    same = all(list(made.machines[name].disk.records()) == list(want.records()) for name in "bc")
    took_s = (made.now_ms - began) / 1000
    sent = sum(made.node(name).upkeep.antientropy.bytes_sent for name in "abc")
    differing = sum(len(record.key) + len(VALUE) for record in new)
    trees = (
        3 * 2 * PARTITIONS * 8 * (1 + 2 * FANOUT)
    )  # roots, branches and leaves of every partition, both ways
    allowed = int(TARGET_RATIO * differing) + trees
    memory = peak / (3 * given.keys)
    print(
        f"{given.keys} keys, {len(new)} differ: alike after {took_s:.1f} virtual s (target {TARGET_S:g}), same: {same}"
    )
    print(f"bytes sent: {sent:,} (target {allowed:,} = 3 x the differing data and the trees)")
    print(
        f"memory that grew: {memory:.0f} bytes a key and node (target {TARGET_KEY_BYTES}); {time.perf_counter() - clock:.0f} s of real time"
    )
    return 0 if same and took_s <= TARGET_S and sent <= allowed and memory <= TARGET_KEY_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
