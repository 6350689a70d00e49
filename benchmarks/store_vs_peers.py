"""The store beside etcd and Redis: the same load on each in turn, writes durable before they are answered.

    python benchmarks/store_vs_peers.py                  50 connections, 200 B values, 100,000 keys, about 90 s
    python benchmarks/store_vs_peers.py --keys 1000      keys are written again and again, which spares mode cas a round
    python benchmarks/store_vs_peers.py --spread         connections over all members, not all to one
    scripts/system-packages peers                        installs etcd-server and redis-server

Ours are three nodes with N=3, R=W=2, in the modes quorum, register and cas; etcd has three members; Redis is one server, which
survives no lost disk: it is there to show what the disk allows. All connections go to one node of ours and to etcd's leader, which
is best for etcd: a follower forwards. Each speaks its own protocol (`benchmarks/peers/load.py`). Servers and load
share the processors, so the generator's own cost is printed too. Exit status 1 if durable `cas` writes are fewer than etcd's puts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.peers.clusters import Running, etcd, missing, ours, redis
from benchmarks.peers.load import Measured, load

Start = Callable[[Path], AbstractContextManager[Running]]
SYSTEMS: dict[str, tuple[Start, tuple[str, ...]]] = {
    "quorum": (partial(ours, mode="quorum"), ()),
    "register": (partial(ours, mode="register"), ()),
    "cas": (partial(ours, mode="cas"), ()),
    "etcd": (etcd, ("etcd",)),
    "redis": (redis, ("redis-server",)),
}


def measure(running: Running, what: str, options: argparse.Namespace) -> tuple[Measured, float]:
    """One load; and the processor time of the servers, µs an operation."""
    ports = running.ports if options.spread else running.ports[:1]
    gc.collect()
    before_s = running.processor_s()
    work = load(
        running.link, ports, what, connections=options.clients, seconds=options.seconds, keys=options.keys
    )
    measured = asyncio.run(work)
    return measured, 1e6 * (running.processor_s() - before_s) / measured.ops


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--spread", action="store_true")
    parser.add_argument("--only", nargs="*", default=list(SYSTEMS), choices=SYSTEMS)
    options = parser.parse_args()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    puts: dict[str, float] = {}
    print("system     op      ops/s   p50 ms   p99 ms   servers µs/op   load µs/op")
    for name in options.only:
        start, programs = SYSTEMS[name]
        if why := missing(*programs):
            print(f"{name:9} left out: {why}")
            continue
        with tempfile.TemporaryDirectory() as folder, start(Path(folder)) as running:
            for what in ("put", "get"):
                measured, servers_us = measure(running, what, options)
                rate = measured.ops / measured.seconds
                if what == "put":
                    puts[name] = rate
                print(
                    f"{name:9} {what:4} {rate:9,.0f} {measured.p50_ms:8.1f} {measured.p99_ms:8.1f} {servers_us:15.0f} "
                    f"{measured.client_us:12.0f}",
                    flush=True,
                )
    if "cas" not in puts or "etcd" not in puts:
        return 0
    ratio = puts["cas"] / puts["etcd"]
    print(f"durable cas writes / etcd puts = {ratio:.2f} (target 1.00)")
    return 0 if ratio >= 1.0 else 1


if __name__ == "__main__":
    sys.exit(main())
