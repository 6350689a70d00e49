"""Hosts of the other kinds: what holds of namespaces holds of them, and one plan has one verdict on all.

Not part of the normal suite: `make kinds` runs this file, and those on faults and leases with hosts of such a kind as the five.
What is left is asked of the machine (`ip`, /proc, /sys), not of our own code.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.control import Control
from harness.plan import PlanError
from harness.provision import (
    docker,
    down,
    find_inventory,
    list_clusters,
    local,
    netns,
    qemu,
    qemu_boot,
    up,
    vagrant,
)
from harness.provision.inventory import Inventory, load
from harness.provision.state import STATE_ROOT
from harness.worlds import WorldError
from tests.hosts.conftest import unique
from tests.polling import poll

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

QUORATE = str(Path(sys.executable).parent / "quorate")
KIND = os.environ.get("QUORATE_KIND", "docker")
TOOLS = {"docker": docker.TOOLS, "qemu": qemu.TOOLS, "vagrant": vagrant.TOOLS}[KIND]
PATIENCE_S = 900.0  # the first hosts of a kind wait for their Debian, and emulated machines are slow
PLAN = """
name = "on-every-kind"
workload = "register"
claims = ["linearizable"]
seed = 7
nodes = 3
concurrency = 6
rate = 30
time_limit_s = 20
op_timeout_ms = 3000

[system]
name = "kvstore"
mode = "MODE"
n = 3

[hosts]
lease_s = 60

[[faults]]
kind = "partition"
shape = "isolate"
start_s = 1
every_s = 6
for_s = 3

[[faults]]
kind = "kill"
start_s = 4.5
every_s = 20
for_s = 1.5

[[faults]]
kind = "pause"
start_s = 10.5
every_s = 20
for_s = 1.5
"""


@pytest.fixture(autouse=True, scope="module")
def asked_for() -> None:
    """Refused with a reason where it was not asked for, or cannot be."""
    if "QUORATE_KIND" not in os.environ:
        pytest.skip("hosts of other kinds are slow: `make kinds` runs this")
    missing = [tool for tool in TOOLS if shutil.which(tool, path=local.SYSTEM_PATH) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: scripts/system-packages {KIND}")


@pytest.fixture(scope="module")
def three(asked_for: None) -> Iterator[Inventory]:
    """Three hosts of the kind, made by the command line."""
    name = unique("kind")
    try:
        assert quorate("hosts", "up", "--kind", KIND, "-n", "3", "--name", name).returncode == 0
        yield load(find_inventory(name))
    finally:
        down(name)


def quorate(*words: str) -> subprocess.CompletedProcess[str]:
    """A command, to its end."""
    return subprocess.run([QUORATE, *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def traces(name: str) -> list[str]:
    """Whatever of a cluster can be found on this machine, by other means than `down` uses."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    found = [line for line in listed.splitlines() if f".{name}." in line]
    found += [link for link in os.listdir("/sys/class/net") if link == local.uplink(name)]
    found += [
        f"{root}/{name}" for root in ("/run/quorate", "/var/lib/quorate/hosts") if Path(root, name).exists()
    ]
    found += [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if folder.endswith(f"/quorate.{name}")]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            found += [
                f"{entry} {what}" for what in ("cmdline", "mountinfo") if f"/{name}/" in text(entry / what)
            ]
    return found


def text(path: Path) -> str:
    """What a file says; nothing if its process is gone."""
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def rules_here() -> str:
    """The machine's own packet filter, in both of its forms."""
    said = [
        subprocess.run([tool], capture_output=True, text=True, check=False).stdout
        for tool in ("iptables-save", "iptables-legacy-save")
    ]
    return "".join(line for line in "".join(said).splitlines(keepends=True) if not line.startswith("#"))


def test_hosts_answer_know_their_names_and_are_listed(three: Inventory) -> None:
    assert three.kind == KIND
    control = Control({host.name: host for host in three.hosts})
    try:
        assert control.each(lambda _, c: c.run("hostname").stdout.strip()) == {
            "n1": "n1",
            "n2": "n2",
            "n3": "n3",
        }
        assert control["n1"].run("getent", "hosts", "n3").stdout.split()[0] == three.hosts[2].address
        control["n1"].upload(b"mine", "/var/lib/quorate/probe")
        assert control["n2"].run("test", "-e", "/var/lib/quorate/probe", check=False).status == 1
        status = control["n1"].run("cat", "/proc/self/status").stdout
        bounding = int(next(line for line in status.splitlines() if line.startswith("CapBnd")).split()[1], 16)
        assert bool(bounding & 1 << 25) == three.hosts[0].owns_clock, "who may set a clock has one of his own"
    finally:
        control.close()
    (cluster,) = (each for each in list_clusters() if each.name == three.cluster)
    assert (cluster.nodes, cluster.ready, cluster.kind) == (("n1", "n2", "n3"), True, KIND)


def test_a_clock_of_ones_own_is_right_at_first_and_moves_no_other(three: Inventory) -> None:
    if not three.hosts[0].owns_clock:
        pytest.skip("these hosts have the machine's clock, and may not set it: see above")
    control = Control({host.name: host for host in three.hosts})

    def ahead_s() -> dict[str, float]:
        return control.each(lambda _, c: float(c.run("date", "+%s.%N").stdout) - time.time())

    try:
        assert all(abs(offset) < 600 for offset in ahead_s().values())
        control["n1"].run("date", "--utc", f"--set=@{time.time() + 3600:.3f}")
        offsets = ahead_s()
        assert offsets["n1"] > 3000
        assert abs(offsets["n2"]) < 600
    finally:
        control["n1"].run("date", "--utc", f"--set=@{time.time():.3f}")
        control.close()


@pytest.mark.parametrize(("mode", "verdict"), [("register", "valid"), ("eventual", "invalid")])
def test_one_plan_has_one_verdict_with_only_the_inventory_changed(
    three: Inventory, tmp_path: Path, mode: str, verdict: str
) -> None:
    (tmp_path / "plan.toml").write_text(PLAN.replace("MODE", mode))
    spaces = unique("same")
    try:
        netns.up(spaces, 3)
        seen = {name: run_on(find_inventory(name), tmp_path) for name in (spaces, three.cluster)}
    finally:
        netns.down(spaces)
    assert {name: results["outcome"] for name, (results, _) in seen.items()} == dict.fromkeys(
        seen, verdict
    ), seen
    for _, faults in seen.values():
        assert {fault["kind"] for fault in faults} == {"partition", "kill", "pause"}
        assert all(fault["bit"] and fault["healed"] for fault in faults), faults
        assert all(
            sum(fault["evidence"]["dropped"].values()) > 0 for fault in faults if fault["kind"] == "partition"
        )
    control = Control({host.name: host for host in three.hosts})
    try:
        left = "iptables -w -S | grep QUORATE; ls -d /opt/quorate-store /run/quorate-node; ps -C python3 -o args="
        assert control.each(lambda _, c: c.shell(left, check=False).stdout) == {"n1": "", "n2": "", "n3": ""}
    finally:
        control.close()


def run_on(inventory: Path, folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Results and faults of a run of the plan in this folder."""
    out = folder / inventory.parent.name
    done = quorate("run", str(folder / "plan.toml"), "--world", "hosts", "--inventory", str(inventory), "--json", "--out", str(out))  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    (found,) = out.glob("on-every-kind/[0-9]*")
    return json.loads(done.stdout), [
        json.loads(line) for line in (found / "faults.jsonl").read_text().splitlines()
    ]


def test_two_clusters_are_apart_and_the_machine_keeps_its_rules(three: Inventory) -> None:
    before, other = rules_here(), unique("other")
    try:
        inventory = up(KIND, other, 2)
        assert {host.address for host in inventory.hosts} & {host.address for host in three.hosts} == set()
        assert rules_here() == before
        with pytest.raises(PlanError, match=f"quorate hosts down --name {other}"):
            up(KIND, other, 2)
        assert traces(other) != []
    finally:
        down(other)
    assert traces(other) == []
    assert rules_here() == before
    control = Control({host.name: host for host in three.hosts})
    try:
        assert control["n3"].run("hostname").stdout == "n3\n", "the other cluster's end is not this one's"
    finally:
        control.close()
    down(other)


@pytest.mark.parametrize("moment", ["switch", "host", "ready"])
def test_down_needs_only_the_name_whenever_the_maker_was_killed(three: Inventory, moment: str) -> None:
    name = unique("killed")
    program = f"from harness.provision import up; up({KIND!r}, {name!r}, 2)"
    signs = {
        "switch": lambda: f"quorate.{name}.sw" in os.listdir("/run/netns"),
        "host": lambda: (STATE_ROOT / name / "n1.log").exists(),
        "ready": lambda: maker.poll() is not None,
    }
    try:
        with subprocess.Popen([sys.executable, "-c", program]) as maker:
            poll(lambda: signs[moment]() or maker.poll() is not None, wait_s=PATIENCE_S, pause_s=0.005)
            maker.send_signal(signal.SIGKILL)
        assert traces(name) != []
        shutil.rmtree(STATE_ROOT / name)  # nothing is known of it any more
        assert quorate("hosts", "down", "--name", name).returncode == 0
        assert traces(name) == []
    finally:
        down(name)
    assert three.cluster in {cluster.name for cluster in list_clusters() if cluster.ready}


def test_what_a_host_writes_stays_in_it(three: Inventory) -> None:
    """Files of the small Debian, which all hosts of the kind have in common."""
    control = Control({host.name: host for host in three.hosts})
    try:
        before = control["n2"].run("cat", "/etc/issue").stdout
        control["n1"].shell("cat /etc/issue; echo changed >>/etc/issue; rm /etc/debian_version")
        assert control["n1"].run("cat", "/etc/issue").stdout == before + "changed\n"
        assert control["n2"].run("cat", "/etc/issue").stdout == before != ""
        assert control["n2"].run("test", "-e", "/etc/debian_version", check=False).status == 0
    finally:
        control.close()


@pytest.mark.skipif(KIND != "qemu", reason="of machines")
def test_a_machine_whose_kernel_panics_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    name = unique("panics")
    monkeypatch.setattr(qemu_boot, "HOST_INIT", "echo there is no network card >/dev/console; exit 1\n")
    with pytest.raises(WorldError, match=r"n1 .* does not answer SSH; its init said: there is no network card / .*Kernel panic - not syncing: Attempted to kill init"):  # fmt: skip
        up(KIND, name, 1)
    assert traces(name) == []


def test_a_missing_tool_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOOLS, "no-such-tool", "no-such-package")
    name = unique("lacking")
    with pytest.raises(WorldError, match=rf"no-such-tool.*install no-such-package.*system-packages {KIND}"):
        up(KIND, name, 1)
    assert traces(name) == []
