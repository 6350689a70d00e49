"""How even the ring stays, and how much moves, when nodes join one after the other.

    python benchmarks/ring_balance.py [NODES_MAX]

load: replicas of partitions a node carries (n = 3), largest and smallest over mean; moved: replicas that change their node
over all replicas, against the ideal 1 / nodes.
"""

from __future__ import annotations

import sys

from kvstore.claim import Share, claim, loads, moved
from kvstore.ring import PARTITIONS, Ring

N = 3


def main() -> None:
    """Print the table."""
    nodes_max = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    names = [f"n{number:02}" for number in range(1, nodes_max + 1)]
    owners = Ring.striped(names[:3]).owners
    print("nodes   moved   ideal   moved/ideal   max/mean   min/mean")
    for size in range(4, nodes_max + 1):
        shares = {name: Share() for name in names[:size]}
        after = claim(owners, shares, N)
        carried = loads(after, N)
        mean = N * PARTITIONS / size
        share = sum(map(len, moved(owners, after, N).values())) / (N * PARTITIONS)
        high, low = max(carried.values()) / mean, min(carried.values()) / mean
        print(
            f"{size:>5}   {share:.3f}   {1 / size:.3f}   {share * size:>11.3f}   {high:>8.3f}   {low:>8.3f}"
        )
        owners = after


if __name__ == "__main__":
    main()
