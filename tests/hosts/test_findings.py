"""What was found and shrunk in the simulator happens on real hosts too: the same script, with time for the faults to take hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.plan import parse_plan
from harness.provision import find_inventory
from harness.provision.inventory import Inventory
from harness.runner import run
from harness.search import simpler
from harness.search.finding import targets
from harness.simulate import simulate_run

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

SHRUNK = """
name = "shrunk"
workload = "register"
claims = ["linearizable"]
seed = 1
nodes = 3
concurrency = 3
time_limit_s = 0.2
script = [
  {at_s = 0.0203, client = 2, f = "write", key = 0, value = 212},
  {at_s = 0.06, client = 1, f = "read", key = 0},
]

[system]
name = "kvstore"
mode = "eventual"
n = 3

[sim]
latency = "constant"

[[strokes]]
kind = "partition"
start_s = 0.02
for_s = 0.02
nodes = ["n2"]
detail = {shape = "halves", grudge = {n2 = ["n3"]}}
"""


def test_a_shrunk_finding_comes_back_on_hosts(five: Inventory, tmp_path: Path) -> None:
    plan = simpler.settled(parse_plan(SHRUNK), 0.5)
    (target,) = targets(simulate_run(plan))
    done = run(plan, world="hosts", out=tmp_path, inventory=find_inventory(five.cluster))
    claim = done.results["claims"]["linearizable"]
    assert (claim["verdict"], claim["anomaly"]) == ("invalid", target.anomaly)
    assert done.results["faults"]["bit"] == 1
