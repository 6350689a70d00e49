"""The smallest plan whose reads are stale, as the text of a file: for tests of what reads plans, and not of what runs them."""

from __future__ import annotations

from typing import Final

_HEAD: Final = """
name = "base"
workload = "register"
claims = ["CLAIM"]
nodes = 3
concurrency = 4
rate = 60
time_limit_s = 2
op_timeout_ms = 300
[system]
name = "kvstore"
n = 3
MODE
[options]
keys = 1
ops_per_key = 100000
"""
_PARTITION: Final = """
[[faults]]
kind = "partition"
start_s = 0.5
every_s = 2.0
for_s = 1.0
"""


def calm(claim: str) -> str:
    """Three nodes, one key, no fault, in the usual mode."""
    return _HEAD.replace("CLAIM", claim).replace("MODE\n", "")


def stale(claim: str) -> str:
    """The same in mode `eventual`, with a partition."""
    return _HEAD.replace("CLAIM", claim).replace("MODE", 'mode = "eventual"') + _PARTITION
