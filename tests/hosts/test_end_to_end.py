"""One plan on five local hosts: the real store, real sockets, real signals, packets really dropped."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from harness.plan import Plan, parse_plan
from harness.provision import find_inventory
from harness.provision.inventory import Inventory
from harness.runner import RunOutcome, run

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

PLAN = """
name = "end-to-end"
workload = "register"
claims = ["linearizable"]
seed = 7
time_limit_s = 8
op_timeout_ms = 1000

[system]
name = "kvstore"
mode = "MODE"

[[faults]]
kind = "partition"
start_s = 1
every_s = 20
for_s = 3

[[faults]]
kind = "kill"
start_s = 5
every_s = 20
for_s = 1

[[faults]]
kind = "clock"
offset_ms = 400
start_s = 4.5
every_s = 20
for_s = 2
"""


def plan_in(mode: str) -> Plan:
    return parse_plan(PLAN.replace("MODE", mode))


def on_hosts(mode: str, five: Inventory, out: Path) -> RunOutcome:
    """The plan in this mode, on the five hosts."""
    return run(plan_in(mode), world="hosts", out=out, inventory=find_inventory(five.cluster))


def left_on(five: Inventory) -> list[str]:
    """Processes of the store and rules of ours that are still on the hosts."""
    found = []
    for host in five.hosts:
        inside = ["ip", "netns", "exec", f"quorate.{five.cluster}.{host.name}"]
        rules = subprocess.run([*inside, "iptables", "-S"], capture_output=True, text=True, check=True).stdout
        sockets = subprocess.run(
            [*inside, "python3", "-c", "print(open('/proc/net/tcp').read())"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        found += [line for line in rules.splitlines() if "QUORATE" in line]
        found += [
            line for line in sockets.splitlines() if ":1B58 " in line and " 0A " in line
        ]  # listens on 7000
    return found


def test_register_is_valid_with_evidence_and_leaves_nothing(five: Inventory, tmp_path: Path) -> None:
    outcome = on_hosts("register", five, tmp_path)
    assert outcome.results["outcome"] == "valid", outcome.results["reason"]
    certificate = outcome.results["claims"]["linearizable"]["certificate"]
    assert certificate["kind"] == "witness"
    assert certificate["size"] > 20
    faults = {
        each["kind"]: each
        for each in map(json.loads, (outcome.folder / "faults.jsonl").read_text().splitlines())
    }
    assert all(fault["bit"] and fault["healed"] for fault in faults.values())
    assert sum(faults["partition"]["evidence"]["dropped"].values()) > 0
    (killed,) = faults["kill"]["evidence"].values()
    assert killed["state"] == "gone"
    assert killed["pid_after"] not in (None, killed["pid_before"])
    (clock,) = faults["clock"]["evidence"].values()
    assert abs(clock["measured_ms"] - clock["asked_ms"]) < 100
    assert sorted(path.name for path in (outcome.folder / "nodes").iterdir()) == [
        "n1",
        "n2",
        "n3",
        "n4",
        "n5",
    ]
    assert left_on(five) == []


def test_eventual_is_invalid_with_a_small_core(five: Inventory, tmp_path: Path) -> None:
    outcome = on_hosts("eventual", five, tmp_path)
    assert outcome.results["outcome"] == "invalid", outcome.results["reason"]
    certificate = outcome.results["claims"]["linearizable"]["certificate"]
    assert certificate["kind"] == "core"
    assert 2 <= certificate["size"] <= 6
    assert left_on(five) == []


def test_the_same_plan_runs_in_the_simulator(tmp_path: Path) -> None:
    assert run(plan_in("register"), world="sim", out=tmp_path).results["outcome"] == "valid"
    assert run(plan_in("eventual"), world="sim", out=tmp_path).results["outcome"] == "invalid"
