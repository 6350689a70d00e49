"""Nights on hosts: made on hosts of their own, told of as what they are, and nothing left of them, however the night ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.campaign.ledger import Record, opened
from harness.cli import status_of
from harness.provision import down, list_clusters, up
from tests.hosts.conftest import unique
from tests.polling import poll

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

PLAN = """
name = "base"
workload = "register"
claims = ["linearizable"]
nodes = 3
concurrency = 6
rate = 100
time_limit_s = 3
op_timeout_ms = 500
[system]
name = "kvstore"
n = 3
mode = "eventual"
[options]
keys = 1
ops_per_key = 100000
[[faults]]
kind = "partition"
start_s = 0.5
every_s = 2.5
for_s = 2.0
"""
FILE = """
name = "small"
[[items]]
name = "on hosts"
plan = "plan.toml"
runs = 1
world = "hosts"
[[items]]
name = "simulated"
plan = "plan.toml"
runs = 1
"""


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "small.toml").write_text(FILE)
    return tmp_path / "small.toml"


def records(folder: Path) -> dict[str, Record]:
    with opened(folder / "campaign.sqlite") as ledger:
        return {record.item: record for record in ledger.records()}


def owned(maker: int) -> list[str]:
    """Clusters that were made for a process."""
    return [cluster.name for cluster in list_clusters() if cluster.name.startswith(f"own-{maker}-")]


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, Any]:
    status = status_of(["campaign", *map(str, arguments), "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_a_night_in_both_worlds_says_which_and_leaves_no_hosts(
    campaign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    status, night = told(capsys, "run", campaign, "--out", out, "--jobs", "1")
    assert status == 1
    assert owned(os.getpid()) == []
    assert [(item["world"], item["outcomes"]) for item in night["items"]] == [
        ("hosts", {"violation": 1}), ("sim", {"violation": 1}),
    ]  # fmt: skip
    worlds = {finding["world"]: finding for finding in night["findings"]}
    assert worlds["hosts"]["configuration"] == worlds["sim"]["configuration"] + " on hosts"
    assert worlds["hosts"]["id"] != worlds["sim"]["id"]  # not taken for each other
    kept = Path(worlds["hosts"]["ways"]["folder"])
    assert json.loads((kept / "results.json").read_text())["world"] == "hosts"
    assert (worlds["sim"]["ways"]["folder"], records(out)["simulated"].folder) == (None, "")
    said = (out / "morning.md").read_text()
    assert f"`quorate report {kept}`" in said
    assert "On hosts no run is the same again" in said

    status, again = told(capsys, "replay", campaign, worlds["hosts"]["id"], "--out", out)
    assert (again["world"], again["same_bytes"]) == ("hosts", False)  # a run like it, never the same
    came_back = "came back; on hosts that is another run, which broke the claim in the same way"
    assert again["told"].startswith(
        came_back if again["came_back"] else "did not come back: this run came to"
    )
    assert status == 1 or not again["came_back"]
    assert owned(os.getpid()) == []


def test_of_a_clean_run_the_record_is_kept_and_no_folder(campaign: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN.replace("eventual", "register"))
    out = tmp_path / "out"
    assert status_of(["campaign", "run", str(campaign), "--out", str(out), "--jobs", "1", "--json"]) == 0
    made = records(out)["on hosts"]
    assert (made.outcome, made.world, made.tries, made.folder) == ("ok", "hosts", 1, "")
    assert made.faults == {"partition": 1}
    assert list((out / "runs" / "0").iterdir()) == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_night_that_is_ended_leaves_no_hosts(how: signal.Signals, campaign: Path, tmp_path: Path) -> None:
    """After SIGKILL the next night takes down what was left."""
    command = [str(Path(sys.executable).parent / "quorate"), "campaign", "run", str(campaign), "--out", str(tmp_path / "out"), "--jobs", "1"]  # fmt: skip
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    poll(lambda: bool(owned(first.pid)), wait_s=300)
    first.send_signal(how)
    if how != signal.SIGKILL:
        assert first.stderr is not None
        lines = iter(first.stderr.readline, "")
        assert any("stopping: what is under way comes to its end first" in line for line in lines)
        first.send_signal(how)  # who presses it again changes nothing
    _, said = first.communicate(timeout=900)
    if how == signal.SIGKILL:
        left = owned(first.pid)
        assert left
        assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    else:
        assert "stopping already" in said
    assert owned(first.pid) == []


def test_trouble_with_the_hosts_is_tried_again_on_fresh_ones_and_counted(
    campaign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cluster of ours of which somebody removes a host while the run goes on."""
    out = tmp_path / "out"
    campaign.write_text(FILE.partition('[[items]]\nname = "simulated"')[0])
    (tmp_path / "plan.toml").write_text(PLAN.replace("time_limit_s = 3", "time_limit_s = 12"))
    command = [str(Path(sys.executable).parent / "quorate"), "campaign", "run", str(campaign), "--out", str(out), "--jobs", "1", "--json"]  # fmt: skip
    night = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    poll(lambda: any(out.glob("runs/0/*/base/latest/history.jsonl")), wait_s=300)
    (name,) = owned(night.pid)
    down(name)
    said, _ = night.communicate(timeout=900)
    (item,) = json.loads(said)["items"]
    assert (item["outcomes"], item["tried_again"]) == ({"violation": 1}, 1)
    assert records(out)["on hosts"].tries == 2
    assert status_of(["campaign", "runs", str(campaign), "--out", str(out)]) == 0
    assert "after 1 in trouble" in capsys.readouterr().out
    assert "1 attempt ended in trouble with the infrastructure" in (out / "morning.md").read_text()
    assert owned(night.pid) == []


def test_hosts_that_are_there_are_used_and_stay(campaign: Path, tmp_path: Path) -> None:
    name = unique("lab")
    try:
        inventory = up("netns", name, 3)
        inventory.dump(tmp_path / "lab.toml")
        campaign.write_text(FILE.replace('world = "hosts"', 'world = "hosts"\ninventory = "lab.toml"'))
        out = tmp_path / "out"
        assert status_of(["campaign", "run", str(campaign), "--out", str(out), "--jobs", "1", "--json"]) == 1
        assert records(out)["on hosts"].outcome == "violation"
        assert f"--inventory {tmp_path / 'lab.toml'}" in (out / "morning.md").read_text()
        assert name in [cluster.name for cluster in list_clusters()]
    finally:
        down(name)


def test_each_worker_of_pytest_has_hosts_of_its_own(tmp_path: Path) -> None:
    """Two tests that are under way at the same time, each with hosts: other names, other subnets, and the same plan runs on both."""
    (tmp_path / "plan.toml").write_text(PLAN.replace("eventual", "register"))
    (tmp_path / "test_mine.py").write_text(f"""
import time
from pathlib import Path
import pytest

HERE = Path({str(tmp_path)!r})

@pytest.mark.parametrize("number", [0, 1])
def test_mine(number, cluster, worker_id):
    inventory = cluster.inventory(3)
    (HERE / f"here-{{number}}").write_text(inventory.read_text())
    deadline = time.monotonic() + 600
    while not (HERE / f"here-{{1 - number}}").exists():  # both are up at this moment
        assert time.monotonic() < deadline
    assert (HERE / "here-0").read_text() != (HERE / "here-1").read_text()
    run = cluster.run("plan.toml", {{"seed": number + 1}})
    assert run.results["world"] == "hosts"
    assert cluster.inventory(3) == inventory
""")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    texts = [(tmp_path / f"here-{number}").read_text() for number in (0, 1)]
    names = {re.findall('cluster = "(.+)"', text)[0] for text in texts}
    subnets = [set(re.findall(r'address = "(.+)\.\d+"', text)) for text in texts]
    assert [len(each) for each in (names, *subnets, subnets[0] & subnets[1])] == [2, 1, 1, 0]
    assert not names & {cluster.name for cluster in list_clusters()}  # others may be under test meanwhile


def test_an_item_on_hosts_is_a_test_in_pytest(campaign: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-m", "hosts", "-p", "no:cacheprovider", "small.toml"],
        cwd=campaign.parent, capture_output=True, text=True,
    )  # fmt: skip
    assert "1 failed, 1 deselected" in done.stdout, done.stdout + done.stderr
    assert "again:   quorate hosts up --kind netns -n 3 && quorate replay " in done.stdout
    assert "left:    quorate report " in done.stdout
    assert "smaller:" not in done.stdout
