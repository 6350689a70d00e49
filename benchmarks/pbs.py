"""PBS against the simulator under PBS's own assumptions: does the measured t-visibility lie within the interval of the prediction?

    python benchmarks/pbs.py [seeds]

Prints the time of a million trials, then for each (R, W) and each bin of t: reads, measured share, predicted share, inside or not. Inside
means: the count could have come from the predicted share with 95 % (exact binomial interval of the prediction).
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from math import comb

import numpy as np

from harness.pbs import Delays, Quorums, Visibility, predict
from harness.plan import Plan
from harness.simulate import simulate_run
from harness.visibility import Seen, observed

NODES, LATENCY_MS = 12, 20.0
EDGES_MS = (0.0, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 80.0, 120.0)
DELAYS = Delays(latency="exponential", latency_ms=LATENCY_MS, latency_ms_min=0.0, commit_ms=(0.2, 1.0))


def plan(r: int, w: int, seed: int) -> Plan:
    """Reads and writes of many keys, a delay for each message of its own, nothing repaired."""
    return Plan(
        name="pbs", workload="register", system="kvstore", claims=("linearizable",), seed=seed, nodes=NODES, concurrency=60,
        rate=600.0, time_limit_s=20.0, op_timeout_ms=5000.0, options={"keys": 150, "ops_per_key": 10_000, "read_fraction": 0.75},
        system_options={"mode": "quorum", "n": 3, "r": r, "w": w, "read_repair": "none"},
        sim={"latency": "exponential", "latency_ms": LATENCY_MS, "latency_ms_min": 0.0, "client_latency_ms": 0.0, "duplicate": 0.0, "reorder": 1.0},
    )  # fmt: skip


def within(hits: int, trials: int, share: float) -> bool:
    """Whether neither tail of the binomial distribution at `hits` is below 2.5 %."""
    terms = (
        [comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in range(trials + 1)]
        if trials < 900
        else None
    )
    if terms is None:
        deviation = (trials * share * (1 - share)) ** 0.5
        return abs(hits - trials * share) <= 1.96 * deviation + 0.5
    return sum(terms[: hits + 1]) > 0.025 and sum(terms[hits:]) > 0.025


def one_a_write(reads: list[Seen]) -> list[Seen]:
    """The first read of each write: several of one write are no independent draws."""
    return list({seen.write: seen for seen in sorted(reads, key=lambda seen: -seen.t_ms)}.values())


def compare(r: int, w: int, seeds: int) -> tuple[int, int]:
    """(points inside, points)"""
    reads = [
        seen
        for seed in range(seeds)
        for seen in one_a_write(observed(simulate_run(plan(r, w, seed)).history))
    ]
    curve = predict(Quorums(n=3, r=r, w=w, nodes=NODES), DELAYS)
    rows = list(lines(reads, curve))
    for low_ms, high_ms, count, stale, share, inside in rows:
        print(
            f"R={r} W={w}  t {low_ms:5.0f} to {high_ms:4.0f} ms  {count:6} reads  measured {stale / count:7.4f}  predicted {share:7.4f}  {'inside' if inside else 'OUTSIDE'}"
        )
    telling = [row for row in rows if row[3] or row[4] * row[2] >= 0.5]  # 0 of 0 expected proves nothing
    return sum(row[-1] for row in telling), len(telling)


def lines(reads: list[Seen], curve: Visibility) -> Iterator[tuple[float, float, int, int, float, bool]]:
    """(from, to, reads, stale, predicted, inside) of each bin with 30 reads or more."""
    for low_ms, high_ms in itertools.pairwise(EDGES_MS):
        inside = [seen for seen in reads if low_ms <= seen.t_ms < high_ms]
        if len(inside) >= 30:
            share = curve.mean_stale(np.array([seen.t_ms for seen in inside]))
            stale = sum(seen.stale for seen in inside)
            yield low_ms, high_ms, len(inside), stale, share, within(stale, len(inside), share)


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    begin_s = time.perf_counter()
    predict(Quorums(n=3, r=1, w=1), DELAYS)
    print(f"1,000,000 trials in {time.perf_counter() - begin_s:.2f} s")
    found = [compare(r, w, seeds) for r, w in ((1, 1), (2, 1), (1, 2), (2, 2), (1, 3))]
    inside, points = sum(f[0] for f in found), sum(f[1] for f in found)
    print(f"{inside} of {points} telling points inside ({100 * inside / points:.0f} %; target 95)")


if __name__ == "__main__":
    main()
