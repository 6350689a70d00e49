"""Local hosts from network namespaces: each with its own sshd, key, address, hostname and files. Needs root.

A namespace for each host, joined by a cable to the switch that every kind has (local.py), and in it one process tree that
sees an overlay of this machine's root (netns_init.py). It is in a control group of its own from birth, and sees no other: there faults freeze
the system alone. Up in half a second: the kind that tests use.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from harness.provision import local
from harness.provision.inventory import Host, Inventory
from harness.provision.local import down, ip
from harness.provision.netns_init import DROPPED, SCRIPT
from harness.provision.state import CGROUP_ROOT, DISK_ROOT, STATE_ROOT, name_of_cgroup, namespace_prefix

__all__ = ["TOOLS", "down", "up"]

CONTROLLERS = ("freezer", "cpu", "memory")
TOOLS = {
    "ip": "iproute2",
    "iptables": "iptables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "setsid": "util-linux",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
}  # tool: the Debian package that has it


def up(
    name: str, count: int, *, timeout_s: float = 120.0, log: Callable[[str], None] = lambda text: None
) -> Inventory:  # fmt: skip
    """Make `count` hosts n1, n2, … and return once each answers SSH. Raises PlanError, WorldError as `local.up` says."""
    local.require(TOOLS, "hosts")

    def start(hosts: Sequence[Host], subnet: ipaddress.IPv4Network) -> None:
        (STATE_ROOT / name / "root").mkdir()
        (STATE_ROOT / name / "init.sh").write_text(SCRIPT)
        log(f"linking {count} namespaces in {subnet}")
        _link(name, hosts, subnet)
        for host in hosts:
            _start(name, host.name)

    return local.up("netns", name, count, start, timeout_s=timeout_s, log=log)


def _link(name: str, hosts: Sequence[Host], subnet: ipaddress.IPv4Network) -> None:
    """The switch, a namespace for each host, cables and addresses, in one `ip -batch` for each namespace."""
    prefix, switch = namespace_prefix(name), local.link_switch(name, subnet)
    ip([f"netns add {prefix}{host.name}" for host in hosts])
    ports = [f"link add {host.name} type veth peer name eth0 netns {prefix}{host.name}" for host in hosts]
    ip([*ports, *(f"link set {host.name} master br0 up" for host in hosts)], namespace=switch)
    for host in hosts:
        lines = [f"addr add {host.address}/{subnet.prefixlen} dev eth0", "link set eth0 up", "link set lo up"]
        ip(lines, namespace=prefix + host.name)


def _start(name: str, node: str) -> None:
    """Start a node's init in new namespaces, without the rights that would harm the machine."""
    state = STATE_ROOT / name
    rights = ["setpriv", f"--bounding-set={DROPPED}", f"--inh-caps={DROPPED}"]
    apart = [
        "unshare",
        "--mount",
        "--pid",
        "--uts",
        "--ipc",
        "--cgroup",
        "--fork",
        "--kill-child",
        "--propagation",
        "private",
    ]
    init = ["sh", str(state / "init.sh"), str(state), str(DISK_ROOT / name), node]
    local.launch(
        namespace_prefix(name) + node,
        [*apart, *init],
        state / f"{node}.log",
        rights=rights,
        groups=_groups(name, node),
    )


def _groups(name: str, node: str) -> list[Path]:
    """Control groups for the node, and so for all below it; none of what the machine has not in version 1, or lets nobody add to."""
    groups = []
    for place in (CGROUP_ROOT / controller for controller in CONTROLLERS):
        group = place / name_of_cgroup(name) / node
        with suppress(OSError):
            group.mkdir(parents=(place / "cgroup.procs").exists())
            groups.append(group)
    return groups
