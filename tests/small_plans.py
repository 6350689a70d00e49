"""The smallest plan whose reads are stale, and a matrix over it, as the texts of files: for tests of what reads plans, and not of what runs them."""

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


def modes_by_reads(environments: str, seeds: int = 1) -> str:
    """Two modes times two read quorums of `plan.toml`, in these environments: tables of TOML."""
    return f"""
name = "small"
plan = "plan.toml"
seeds = {seeds}
[axes]
"system.mode" = ["eventual", "register"]
"system.r" = [1, 2]
{environments}"""
