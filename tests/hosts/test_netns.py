"""Local hosts come up with rights they may have, and go without a trace, whatever happened to their maker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.control import Control
from harness.plan import PlanError
from harness.provision import local, netns, processes
from harness.provision.inventory import Inventory, load
from harness.provision.netns_init import DROPPED_BITS
from harness.provision.state import DISK_ROOT, NETNS_ROOT, STATE_ROOT, list_clusters, namespaces
from harness.worlds import WorldError
from tests.hosts.conftest import unique
from tests.polling import poll

pytestmark = [pytest.mark.hosts, pytest.mark.slow]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    name = unique("one")
    yield name
    netns.down(name)


def traces(name: str) -> list[str]:
    """Whatever of a cluster can be found on this machine, by other means than `down` uses."""
    found = namespaces(name)
    found += [str(root / name) for root in (STATE_ROOT, DISK_ROOT) if (root / name).exists()]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    found += [line for line in mounts if f"/{name}/" in line or f".{name}." in line]
    found += [link for link in os.listdir("/sys/class/net") if link == local.uplink(name)]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and processes.alive(int(entry.name)):
            command = b""
            with suppress(OSError):  # it has gone meanwhile
                command = (entry / "cmdline").read_bytes()
            found += [command.decode()] if f"{STATE_ROOT}/{name}/init.sh".encode() in command else []
    return found


def test_five_hosts_answer_and_know_their_names(five: Inventory) -> None:
    control = Control({host.name: host for host in five.hosts})
    try:
        names = control.each(lambda node, connection: connection.run("hostname").stdout.strip())
        assert names == {node: node for node in ("n1", "n2", "n3", "n4", "n5")}
        peers = control["n1"].run("getent", "hosts", "n5").stdout.split()
        assert peers == [five.hosts[4].address, "n5"]
    finally:
        control.close()


def test_a_host_has_lost_the_rights_that_would_harm_the_machine(five: Inventory) -> None:
    control = Control({host.name: host for host in five.hosts})
    try:
        for node, status in control.each(lambda _, c: c.run("cat", "/proc/self/status").stdout).items():
            for field in ("CapBnd", "CapPrm", "CapEff"):
                mask = int(
                    next(line for line in status.splitlines() if line.startswith(field)).split()[1], 16
                )
                assert mask & 1 << 12, "NET_ADMIN is there, so the mask is that of root"
                assert {right for right, bit in DROPPED_BITS.items() if mask & 1 << bit} == set(), (
                    node,
                    field,
                )
        assert control["n1"].run("sh", "-c", "echo 1 > /proc/sys/kernel/sysrq", check=False).status != 0
    finally:
        control.close()


def test_what_a_host_writes_stays_in_it_and_data_is_on_the_disk(five: Inventory) -> None:
    control = Control({host.name: host for host in five.hosts})
    try:
        control["n1"].upload(b"mine", "/etc/quorate/probe")
        assert not Path("/etc/quorate/probe").exists()
        assert control["n2"].run("test", "-e", "/etc/quorate/probe", check=False).status == 1
        control["n1"].upload(b"kept", "/var/lib/quorate/probe")
        assert (DISK_ROOT / five.cluster / "n1" / "probe").read_bytes() == b"kept"
        control["n1"].run("rm", "/etc/quorate/probe", "/var/lib/quorate/probe")
    finally:
        control.close()


def test_down_leaves_nothing_and_may_be_repeated(name: str) -> None:
    inventory = netns.up(name, 2)
    assert load(STATE_ROOT / name / "inventory.toml") == inventory
    assert traces(name) != []
    netns.down(name)
    assert traces(name) == []
    netns.down(name)


def test_hosts_outlive_a_killed_maker_and_down_needs_only_the_name(name: str) -> None:
    program = f"from harness.provision import netns; netns.up({name!r}, 2); print('up', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == b"up\n"
        maker.send_signal(signal.SIGKILL)
    assert processes.in_namespaces(NETNS_ROOT / entry for entry in namespaces(name)) != []
    netns.down(name)
    assert traces(name) == []


@pytest.mark.parametrize("moment", ["netns", "node"])
def test_down_cleans_up_after_a_maker_killed_half_way(name: str, moment: str) -> None:
    program = f"from harness.provision import netns; netns.up({name!r}, 5)"
    with subprocess.Popen([sys.executable, "-c", program]) as maker:

        def seen() -> bool:  # the first namespace, or the first node
            found = namespaces(name)
            running = found and processes.in_namespaces(NETNS_ROOT / entry for entry in found)
            return bool(found if moment == "netns" else running) or maker.poll() is not None

        poll(seen, wait_s=300.0, pause_s=0.0)
        maker.send_signal(signal.SIGKILL)
    netns.down(name)
    assert traces(name) == []


def test_two_clusters_have_subnets_of_their_own(name: str, five: Inventory) -> None:
    inventory = netns.up(name, 2)
    assert {host.address for host in inventory.hosts} & {host.address for host in five.hosts} == set()
    assert {name, five.cluster} <= {cluster.name for cluster in list_clusters() if cluster.ready}
    netns.down(name)
    assert traces(five.cluster) != []


def test_a_name_that_is_taken_is_refused(five: Inventory) -> None:
    with pytest.raises(PlanError, match=f"quorate hosts down --name {five.cluster}"):
        netns.up(five.cluster, 2)
    assert traces(five.cluster) != []


@pytest.mark.parametrize("bad", ["", "A", "x.y", "../x", "1", "a" * 32])
def test_a_bad_name_is_refused(bad: str) -> None:
    with pytest.raises(PlanError, match="cannot name a cluster"):
        netns.down(bad)


def test_a_missing_tool_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(netns.TOOLS, "no-such-tool", "no-such-package")
    with pytest.raises(WorldError, match=r"local hosts need no-such-tool.*install no-such-package"):
        netns.up(name, 1)
    assert traces(name) == []


def test_pid_1_and_ourselves_are_never_killed() -> None:
    for pid in (0, 1, os.getpid()):
        with pytest.raises(WorldError, match="refusing"):
            processes._kill(pid, (), Path("/nonexistent"))
    assert (
        processes.in_namespaces([Path("/proc/self/ns/net"), Path("/proc/1/ns/net"), Path("/nonexistent")])
        == []
    )


def test_a_machine_without_such_control_groups_has_hosts_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(netns, "CGROUP_ROOT", tmp_path)
    (tmp_path / "freezer").mkdir()
    (tmp_path / "freezer" / "cgroup.procs").touch()
    (tmp_path / "freezer" / "quorate.closed").touch()  # nothing can be added there
    assert netns._groups("closed", "n1") == []
    assert netns._groups("open", "n1") == [tmp_path / "freezer" / "quorate.open" / "n1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["freezer"], (
        "a controller that is not there is not made"
    )
