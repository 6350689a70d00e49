"""How much processor time the nodes take per client operation, with no network, disk or loop around them.

    python benchmarks/node_steps.py [--nodes 5] [--ops 20000] [--profile]

Messages travel through one heap in a fixed order; storage is a dict that commits at once. Half reads, half
writes, 20 clients, one operation each at a time, 10 keys. The simulator's budget is 100 microseconds.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import random
import time
from heapq import heappop, heappush

from kvstore.config import bucket, node_config
from kvstore.engine_memory import MemoryEngine
from kvstore.events import Clock, Command, Committed, Deliver, Fired, Reply, Send, SetTimer, Write
from kvstore.node import Node


def run(mode: str, nodes: int, ops: int, clients: int = 20) -> float:
    """Seconds that `ops` operations took."""
    names = [f"n{i}" for i in range(1, nodes + 1)]
    peers = {name: f"{name}:7100" for name in names}
    rng = random.Random(1)
    disks = {name: MemoryEngine() for name in names}
    cluster = {
        name: Node(node_config(name, peers, default=bucket("default", mode)), disks[name], rng)
        for name in names
    }
    queue: list[tuple[float, int, str, object]] = []
    order = done = begun = 0

    def perform(now: float, name: str, effects: list) -> None:
        nonlocal order, done
        for effect in effects:
            order += 1
            kind = type(effect)
            if kind is Send:
                heappush(queue, (now + 1.0, order, effect.dst, Deliver(name, effect.message)))
            elif kind is Write:
                disks[name].commit(effect.rows)
                heappush(queue, (now + 0.5, order, name, Committed(effect.ticket)))
            elif kind is Reply:
                done += 1
                submit(now, effect.conn)
            elif kind is SetTimer:
                heappush(queue, (now + effect.delay_ms, order, name, Fired(effect.timer)))

    def submit(now: float, conn: int) -> None:
        nonlocal order, begun
        if begun == ops:
            return
        begun += 1
        order += 1
        key = b"key%d" % (begun % 10)
        args = (b"GET", key) if begun % 2 else (b"SET", key, b"%d" % begun)
        heappush(queue, (now + 0.1, order, names[conn % nodes], Command(conn, begun, args)))

    clock = Clock(0.0, 1e12)
    for name in names:
        perform(0.0, name, cluster[name].start(clock))
    for conn in range(clients):
        submit(5.0, conn)
    gc.collect()
    start = time.perf_counter()
    while done < ops:
        now, _, name, event = heappop(queue)
        perform(now, name, cluster[name].step(Clock(now, 1e12 + now), event))
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--ops", type=int, default=20_000)
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    if asked.profile:
        profile = cProfile.Profile()
        profile.runcall(run, "register", asked.nodes, asked.ops)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        return
    print(f"{asked.nodes} nodes, {asked.ops} operations, half of them writes; harness heap included")
    for mode in ("eventual", "quorum", "monotonic", "register"):
        took = run(mode, asked.nodes, asked.ops)
        print(f"{mode:>10}  {took / asked.ops * 1e6:6.1f} us/op  {asked.ops / took:8.0f} ops/s")


if __name__ == "__main__":
    main()
