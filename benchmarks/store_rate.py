"""How many durable quorum writes and quorum reads a second three nodes on this machine serve.

    python benchmarks/store_rate.py                    50 connections, 200 B values, no pipelining
    python benchmarks/store_rate.py --mode register    or cas: two rounds and two commits a write
    python benchmarks/store_rate.py --durability interval:1    or group:5, never: see kvstore/durability.py
    python benchmarks/store_rate.py --profile DIR      a cProfile of each node into DIR, at half the speed

The nodes run as processes on loopback ports, N=3 R=W=2, every write fsynced on two of them before its answer (unless --durability
says otherwise); redis-benchmark talks to one of them. Exit status 1 if a target is missed; there is none for other durabilities.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "kvstore"))

from live import LiveCluster, ask

TARGETS = {
    "quorum": {"SET": 4000.0, "GET": 8000.0},
    "register": {"SET": 3000.0, "GET": 7000.0},
    "cas": {"SET": 2000.0, "GET": 7000.0},
}
P99_MS = 25.0


def measure(port: int, test: str, requests: int, clients: int) -> dict[str, str]:
    """One redis-benchmark run; its CSV row."""
    command = ["redis-benchmark", "-p", str(port), "-c", str(clients), "-n", str(requests)]
    command += ["-d", "200", "-r", "100000", "-t", test.lower(), "--csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    return next(row for row in rows if row["test"] == test)


def processor_s(cluster: LiveCluster) -> float:
    """Processor time all nodes have used, user and system."""
    ticks = 0
    for process in cluster.running.values():
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", default="quorum", choices=TARGETS)
    parser.add_argument("--durability", default="always")
    parser.add_argument("--requests", type=int, default=40_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--profile", type=Path)
    options = parser.parse_args()
    met = True
    with tempfile.TemporaryDirectory() as folder:
        cluster = LiveCluster(
            Path(folder), bucket=f'mode = "{options.mode}"\ndurability = "{options.durability}"'
        )
        try:
            for name in cluster.names:
                if options.profile:
                    cluster.python = [sys.executable, "-m", "cProfile", "-o", str(options.profile / name)]
                cluster.start(name)
            for name in cluster.names:
                cluster.wait_answering(name)
            port = cluster.ports["n1"]
            for test, target in TARGETS[options.mode].items():
                if options.durability != "always":
                    if test == "GET":
                        continue
                    target = 0.0
                before_s = processor_s(cluster)
                row = measure(port, test, options.requests, options.clients)
                cost_us = 1e6 * (processor_s(cluster) - before_s) / options.requests
                rate, p99_ms = float(row["rps"]), float(row["p99_latency_ms"])
                met = met and rate >= target and p99_ms < P99_MS
                print(
                    f"{test} {rate:7.0f}/s (target {target:.0f})   p50 {row['p50_latency_ms']} ms   "
                    f"p99 {p99_ms} ms (target < {P99_MS:.0f})   {cost_us:.0f} µs of processor an op   {options.mode}, {options.durability}, {options.clients} connections"
                )
            (info,) = ask(port, [b"INFO", b"stats"])
            assert isinstance(info, bytes)
            print("\n".join(line for line in info.decode().splitlines() if "commit" in line))
            for name in list(cluster.running):
                cluster.stop(name)
        finally:
            cluster.stop_all()
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
