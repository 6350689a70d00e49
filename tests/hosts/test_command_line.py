"""The command line on local hosts: however a run is ended, the hosts are left clean, and `hosts down` leaves nothing.

What is left is asked of the machine itself (`ip`, /proc), not of our own code.
"""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.provision.inventory import Inventory
from tests.hosts.conftest import unique
from tests.polling import poll

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

QUORATE = str(Path(sys.executable).parent / "quorate")
PATIENCE_S = 300.0
PLAN = """
name = "ended"
workload = "register"
claims = ["linearizable"]
seed = 7
nodes = 3
time_limit_s = 1000

[system]
name = "kvstore"
mode = "register"

[[faults]]
kind = "partition"
start_s = 0.2
every_s = 2000
for_s = 1500

[[faults]]
kind = "pause"
start_s = 0.4
every_s = 2000
for_s = 1500
"""


def said(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_S).stdout


def until(condition: Callable[[], bool], run: subprocess.Popen[str]) -> None:
    """Wait until it holds; it is an error if the run ends before."""

    def holds() -> bool:
        assert run.poll() is None, run.communicate()
        return condition()

    poll(holds, wait_s=PATIENCE_S, pause_s=0.005)


class Running:
    """`quorate run` on a cluster, in a process of its own. `ignoring`: as a script's `&` starts it, deaf to SIGINT."""

    def __init__(self, cluster: str, folder: Path, *, ignoring: bool = False) -> None:
        plan = folder / "plan.toml"
        plan.write_text(PLAN)
        self.left = folder / "runs" / "ended" / "latest"
        handler = signal.SIG_IGN if ignoring else signal.default_int_handler
        self.process = subprocess.Popen(
            [QUORATE, "run", str(plan), "--world", "hosts", "--cluster", cluster, "--json", "--out", str(folder / "runs")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, handler),
        )  # fmt: skip

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def in_mid_run(self) -> None:
        """Return when operations are recorded and both faults go on."""
        history = self.left / "history.jsonl"

        def far() -> bool:
            text = history.read_bytes() if history.exists() else b""
            begun = [
                json.loads(line) for line in text.splitlines() if b"-start" in line and line.endswith(b"}")
            ]
            return text.count(b"\n") > 200 and sum(op["type"] == "ok" for op in begun) == 2

        until(far, self.process)

    def end(self) -> tuple[int, dict[str, Any], str]:
        """(exit status, results, stderr)."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, json.loads(out), err


def store_processes(cluster: str) -> list[str]:
    """Command lines of the store in the cluster's namespaces, without the shells that wait for it."""
    found = []
    for line in said("ip", "netns", "list").splitlines():
        if line.startswith(f"quorate.{cluster}."):
            for pid in said("ip", "netns", "pids", line.split()[0]).split():
                words = command_of(pid)
                found += [words.decode()] if b"kvstore" in words and not words.startswith(b"sh\0") else []
    return found


def rules(inventory: Inventory) -> list[str]:
    """Everything iptables knows on the hosts."""
    names = [f"quorate.{inventory.cluster}.{host.name}" for host in inventory.hosts]
    return [
        line
        for name in names
        for line in said("ip", "netns", "exec", name, "iptables", "-w", "-S").splitlines()
    ]


UNTOUCHED = ["-P INPUT ACCEPT", "-P FORWARD ACCEPT", "-P OUTPUT ACCEPT"]


@pytest.mark.parametrize(
    ("number", "ignoring"), [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGTERM, True)]
)
def test_a_run_that_is_ended_is_judged_and_leaves_the_hosts_clean(
    five: Inventory, tmp_path: Path, number: signal.Signals, ignoring: bool
) -> None:
    with Running(five.cluster, tmp_path, ignoring=ignoring) as run:
        run.in_mid_run()
        assert len(store_processes(five.cluster)) == 3
        assert any("-j DROP" in rule for rule in rules(five))
        run.process.send_signal(number)
        status, results, err = run.end()
    assert (status, "Traceback" in err) == (2, False), err
    assert (results["outcome"], results["reason"].split(";")[0]) == ("unknown", "interrupted")
    assert results["levels"]["linearizable"]["verdict"] == "valid"
    assert (run.left / "history.jsonl").read_bytes().count(b"\n") > 200
    assert {path.name for path in run.left.iterdir()} >= {"results.json", "report.html", "environment.json"}
    assert store_processes(five.cluster) == []
    assert rules(five) == UNTOUCHED * 5


def test_ctrl_c_while_the_store_comes_up_leaves_no_process(five: Inventory, tmp_path: Path) -> None:
    with Running(five.cluster, tmp_path) as run:
        until(lambda: store_processes(five.cluster) != [], run.process)
        run.process.send_signal(signal.SIGINT)
        status, results, err = run.end()
    assert (status, results["outcome"], "Traceback" in err) == (2, "unknown", False), err
    assert "interrupted" in results["reason"]
    assert store_processes(five.cluster) == []
    assert rules(five) == UNTOUCHED * 5


def test_a_second_ctrl_c_while_logs_are_fetched_does_not_spare_the_clearing(
    five: Inventory, tmp_path: Path
) -> None:
    """n2's `tail` tells when it is asked for the log, and waits until the second signal was sent."""
    pids = said("ip", "netns", "pids", f"quorate.{five.cluster}.n2").split()
    inside = next(pid for pid in pids if b"[listener]" in command_of(pid))  # those of connections come and go
    root = Path(f"/proc/{inside}/root")
    tail = root / "usr/local/bin/tail"
    script = (
        '#!/bin/sh\ntouch /tmp/asked; until [ -e /tmp/go ]; do sleep 0.02; done\nexec /usr/bin/tail "$@"\n'
    )
    try:
        with Running(five.cluster, tmp_path) as run:
            run.in_mid_run()
            tail.write_text(script)
            tail.chmod(0o755)
            run.process.send_signal(signal.SIGINT)
            until((root / "tmp/asked").exists, run.process)
            run.process.send_signal(signal.SIGINT)
            (root / "tmp/go").touch()
            status, results, err = run.end()
    finally:
        for path in (root / "tmp/go", root / "tmp/asked", tail):
            path.unlink(missing_ok=True)
    assert (status, results["outcome"], "Traceback" in err) == (2, "unknown", False), err
    assert store_processes(five.cluster) == []
    assert rules(five) == UNTOUCHED * 5


@pytest.fixture
def own(tmp_path: Path) -> Iterator[str]:
    """A cluster made and removed by the command line."""
    name = unique("cli")
    try:
        said(QUORATE, "hosts", "up", "-n", "3", "--name", name)
        yield name
    finally:
        said(QUORATE, "hosts", "down", "--name", name)


def born(pid: str) -> str:
    """When a process began, "" if it is gone or a zombie: with the pid, what it is known by."""
    try:
        columns = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if columns[0] in "ZX" else columns[19]


def traces(cluster: str, subnet: ipaddress.IPv4Network) -> dict[str, list[str]]:
    """What this machine knows of a cluster: namespaces, links in its subnet, mounts, processes, files."""
    places = [Path(root) / cluster for root in ("/run/quorate", "/var/lib/quorate/hosts")]
    return {
        "namespaces": [line for line in said("ip", "netns", "list").splitlines() if f".{cluster}." in line],
        "links": [
            link["ifname"]
            for link in json.loads(said("ip", "-j", "-4", "address"))
            for address in link["addr_info"]
            if ipaddress.IPv4Address(address["local"]) in subnet
        ],
        "mounts": [line for line in Path("/proc/mounts").read_text().splitlines() if cluster in line],
        "processes": [
            pid for pid in os.listdir("/proc") if pid.isdigit() and cluster.encode() in command_of(pid)
        ],
        "files": [str(place) for place in places if place.exists()],
    }


def test_after_a_killed_run_down_leaves_nothing(own: str, tmp_path: Path) -> None:
    listed = json.loads(said(QUORATE, "hosts", "list", "--json"))["clusters"]
    (text,) = (cluster["subnet"] for cluster in listed if cluster["name"] == own)
    subnet = ipaddress.IPv4Network(text)
    with Running(own, tmp_path) as run:
        run.in_mid_run()
        run.process.send_signal(signal.SIGKILL)
        run.process.wait(PATIENCE_S)
    before = traces(own, subnet)
    assert all(before.values()), before
    inside = [line.split()[0] for line in before["namespaces"]]
    assert len(inside) == 4, "three hosts and their switch"
    known = {(pid, born(pid)) for name in inside for pid in said("ip", "netns", "pids", name).split()}
    assert len(store_processes(own)) == 3
    said(QUORATE, "hosts", "down", "--name", own)
    assert traces(own, subnet) == {what: [] for what in before}
    assert [pid for pid, when in known if when and born(pid) == when] == []


def command_of(pid: str) -> bytes:
    """The command line of a process; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
