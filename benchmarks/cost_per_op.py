"""What an operation costs as the cluster grows: messages, and processor time in the simulator, at 3, 5, 9 and 20 nodes.

    python benchmarks/cost_per_op.py             about a minute

One load for all: 12 clients, half of the operations writes, no faults, N=3. *For clients* are the messages that an operation makes (questions,
answers and their doubles); *upkeep* are all others (heartbeats, gossip, trees, scrubbing), a node and virtual second. A node's heartbeats go to every
other, so its upkeep grows with the nodes and an operation's cost must not.

Of three nodes each holds every key; of more, whoever coordinates is itself a replica by chance, N times in `nodes`. A message to itself needs no network. So
N - N/nodes replicas are asked over it, 2 at 3 nodes and never more than 3, and the messages are also told for each of these. Exit status 1 if
that number is a tenth greater at 20 nodes than at 3.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Any

from harness.plan import Plan
from harness.simulate import simulate_run
from harness.worlds.sim import SimLoop, SimWorld
from workloads.kvstore_system import OF_CLIENTS

NODES = (3, 5, 9, 20)
REPLICAS = 3
SECONDS = 4.0
RATE = 1500.0
GROWTH_MAX = 1.1
WORKLOADS = {"quorum": "register", "register": "register", "cas": "register", "siblings": "siblings"}


def measure(mode: str, nodes: int) -> tuple[float, float, float]:
    """Messages an operation, messages of upkeep a node and second, µs of processor an operation, judging left out."""
    sent: Counter[bool] = Counter()

    def watched(what: str, src: str, dst: str, message: Any) -> None:
        if what == "sent":
            sent[isinstance(message, OF_CLIENTS) and message.request != 0] += 1

    def on_world(world: SimWorld, loop: SimLoop) -> None:
        world.watch(watched)

    plan = Plan(
        name="cost", workload=WORKLOADS[mode], system="kvstore", claims=(), nodes=nodes, concurrency=12, rate=RATE,
        time_limit_s=SECONDS, system_options={"mode": mode, "n": REPLICAS}, options={"keys": 20} if mode == "siblings" else {"keys": 20, "ops_per_key": 500},
        sim={"duplicate": 0.0},
    )  # fmt: skip
    begin = time.process_time()
    run = simulate_run(plan, on_world=on_world)
    spent_s = time.process_time() - begin
    ops = run.results["stats"]["stats"]["ops"]
    return sent[True] / ops, sent[False] / nodes / SECONDS, 1e6 * spent_s / ops


def main() -> int:
    met = True
    print("mode       nodes   messages an op   for each asked replica   upkeep a node and s   µs an op")
    for mode in WORKLOADS:
        costs = []
        for nodes in NODES:
            messages, upkeep, spent_us = measure(mode, nodes)
            costs.append(messages / (REPLICAS - REPLICAS / nodes))
            print(
                f"{mode:9} {nodes:6} {messages:16.2f} {costs[-1]:22.2f} {upkeep:21.1f} {spent_us:10.0f}",
                flush=True,
            )
        met &= costs[-1] <= GROWTH_MAX * costs[0]
    print(
        f"for each asked replica at {NODES[-1]} nodes at most {GROWTH_MAX} times what it is at {NODES[0]}: {met}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
