"""Nights with real runs of a store whose build changes from night to night: a bug comes, becomes rare, and is mended.

night         0         1           2               3, 4
build      right     wrong on    wrong on one      right
                     all nodes   node of five

The store under development is installed as anybody's would be, by an entry point; its configuration says nothing of the build.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.campaign.findings import runs_to_resolve
from harness.intervals import wilson

STORE = """
from pathlib import Path
from workloads.kvstore_system import KvStoreSystem

class Store(KvStoreSystem):
    def __init__(self, options, nodes):
        super().__init__(options, nodes)
        self._wrong = KvStoreSystem({**options, "bugs": ["register.optimistic_retag"]}, nodes)
        self._mistaken = Path(__file__).with_name("build.txt").read_text().split()

    def simulated(self, node, env):
        return self._wrong.simulated(node, env) if node in self._mistaken else super().simulated(node, env)
"""
PLAN = """
name = "base"
workload = "register"
claims = ["linearizable"]
nodes = 5
concurrency = 10
rate = 120
time_limit_s = 2
op_timeout_ms = 300
[system]
name = "mine"
mode = "register"
[options]
keys = 1
ops_per_key = 100000
[sim]
latency_ms = 10
[[faults]]
kind = "partition"
start_s = 0.5
every_s = 2.0
for_s = 1.0
"""
FILE = 'name = "mine"\n[[items]]\nname = "register"\nplan = "plan.toml"\nruns = 30\n'
ALL = "n1 n2 n3 n4 n5"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A store that is installed, a plan for it and a campaign."""
    (tmp_path / "mystore.py").write_text(STORE)
    installed = tmp_path / "mystore-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: mystore\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[quorate.systems]\nmine = mystore:Store\n")
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "mine.toml").write_text(FILE)
    return tmp_path


def night(home: Path, build: str) -> tuple[int, dict[str, Any]]:
    """One night of the build: its exit status, and what the morning tells."""
    (home / "build.txt").write_text(build)
    done = quorate(home, "campaign", "run", "mine.toml", "--jobs", "2", "--json")
    return done.returncode, json.loads(done.stdout)


def quorate(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, where the store is installed."""
    command = [str(Path(sys.executable).parent / "quorate"), *arguments]
    return subprocess.run(command, cwd=home, env={**os.environ, "PYTHONPATH": str(home)}, capture_output=True, text=True)  # fmt: skip


def inversion(morning: dict[str, Any]) -> dict[str, Any]:
    (found,) = (each for each in morning["findings"] if each["anomaly"] == "new-old-inversion")
    assert isinstance(found, dict)
    return found


@pytest.mark.slow
def test_a_bug_that_comes_becomes_rare_and_is_mended_is_told_on_the_right_nights(home: Path) -> None:
    status, first = night(home, "")
    assert (status, first["outcome"], first["findings"]) == (0, "ok", [])

    status, second = night(home, ALL)
    came = inversion(second)
    assert (status, came["state"], came["red"], list(came["nights"])) == (1, "new", True, ["0", "1"])
    assert came["nights"]["1"][0] > 15
    replay = quorate(home, "replay", came["plan"], "--json")
    assert {"claim": "linearizable", "anomaly": "new-old-inversion"} in json.loads(replay.stdout)["broken"]

    status, third = night(home, "n1")
    rare = inversion(third)
    assert (status, rare["state"], rare["red"]) == (1, "rare", True)
    hits, runs = rare["nights"]["2"]
    assert 0 < hits < 10
    assert rare["rate"] == [round(end, 6) for end in wilson(hits, runs)]
    assert rare["needed"] == runs_to_resolve(wilson(hits, runs)[0]) > 30  # more than a night has

    told = [night(home, "") for _ in range(2)]
    assert [status for status, _ in told] == [0, 0]
    gone = [inversion(morning) for _, morning in told]
    assert [each["state"] for each in gone] == ["rare", "resolved"]
    assert [each["clean"] >= each["needed"] for each in gone] == [False, True]
    assert gone[1]["clean"] == gone[0]["clean"] + 30
