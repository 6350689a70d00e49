"""The fault `restore`: one node is started on an old copy of its own data. The store refuses it, and no promise is broken."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from harness.nemesis.possible import refuse_impossible
from harness.plan import Plan, PlanError, parse_plan
from harness.runner import Story
from harness.simulate import simulate_run
from harness.system import SystemUnderTest

PLAN = """
name = "restored"
workload = "{workload}"
nodes = {nodes}
rate = 80.0
concurrency = 12
time_limit_s = 3.0
op_timeout_ms = 800.0
claims = ["{claim}"]
[options]
keys = 4
ops_per_key = 200
[system]
name = "kvstore"
mode = "{mode}"
n = 3
[sim]
latency_ms = 3.0
loss = 0.01
duplicate = 0.02
[[faults]]
kind = "restore"
start_s = 1.0
every_s = 100.0
for_s = 0.8
targets = "one"
"""
JUDGED = {"register": ("register", "linearizable"), "cas": ("cas-register", "cas-register")}


def plan_of(mode: str = "register", nodes: int = 5) -> Plan:
    workload, claim = JUDGED[mode]
    return parse_plan(PLAN.format(workload=workload, claim=claim, mode=mode, nodes=nodes), "plan")


@pytest.mark.parametrize("mode", JUDGED)
@pytest.mark.parametrize("nodes", [3, 5])
def test_the_node_is_refused_and_replaced(mode: str, nodes: int) -> None:
    run = simulate_run(plan_of(mode, nodes), 1)
    (fault,) = run.faults
    (node,) = fault["nodes"]
    assert fault["bit"], fault["note"]
    assert fault["healed"]
    assert fault["evidence"][node]["lacks"] > 0
    log = run.logs[node]
    assert f"copy {fault['evidence']['copy']} put back" in log
    assert f"{node} is restored from snapshot" in log, "it has said that it does not take part"
    assert f"{node} has lost its data and waits for KV.CLUSTER REPLACE {node}" in log
    assert run.verdict.value == "valid", run.results["reason"]


def test_without_a_copy_nothing_is_done() -> None:
    """A node that is down writes none, and a copy is of all or none."""
    plan = plan_of()
    down = replace(plan.faults[0], kind="kill", start_s=0.5, for_s=2.0)
    run = simulate_run(replace(plan, faults=(down, plan.faults[0])), 1)
    (fault,) = (each for each in run.faults if each["kind"] == "restore")
    assert not fault["bit"]
    assert fault["note"].startswith("no copy was made: ")
    assert "REPLACE" not in "".join(run.logs.values())


def test_what_was_not_written_since_is_no_bite() -> None:
    plan = replace(plan_of(), rate=0.5)
    (fault,) = simulate_run(plan, 3).faults
    assert not fault["bit"]
    assert fault["note"].startswith("the copy is as the disk was, or there was none")


def test_where_it_cannot_be_done_it_is_refused() -> None:
    class Opaque:
        name = "opaque"

    with pytest.raises(PlanError, match="the fault restore puts old copies back on simulated disks"):
        Story(plan_of(), "hosts")
    with pytest.raises(PlanError, match="opaque has no `put_back`"):
        refuse_impossible(plan_of(), "sim", cast(SystemUnderTest, Opaque()))
