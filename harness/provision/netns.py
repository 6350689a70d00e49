"""Local hosts from network namespaces: each with its own sshd, key, address, hostname and files. Needs root.

    this machine                 switch namespace            node namespaces
    ┌───────────────┐  veth  ┌──────────────────────┐  veth  ┌──────────────────┐
    │ harness  .254 ├────────┤ bridge br0           ├────────┤ n1  .1  sshd :22 │
    └───────────────┘        │ (out of reach of the │        ├──────────────────┤
                             │ machine's firewall)  ├────────┤ n2  .2  sshd :22 │ …
                             └──────────────────────┘        └──────────────────┘

The bridge has a namespace of its own because a container engine on the machine may drop forwarded packets, bridged
ones included. Hosts outlive the program that made them; `down` finds them by the cluster's name alone.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.plan import PlanError
from harness.provision.inventory import Host, Inventory
from harness.provision.netns_init import DROPPED, SCRIPT
from harness.provision.processes import kill_nodes
from harness.provision.state import (
    DISK_ROOT,
    NETNS_ROOT,
    STATE_ROOT,
    check_name,
    claim,
    forget,
    lock,
    namespace_prefix,
    namespaces,
)
from harness.worlds import WorldError

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
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOSTS_MAX = 50
DOWN_TIMEOUT_S = 5.0


def up(
    name: str, count: int, *, timeout_s: float = 20.0, log: Callable[[str], None] = lambda text: None
) -> Inventory:  # fmt: skip
    """Make `count` hosts n1, n2, … and return once each answers SSH.

    Raises PlanError for a bad or taken name, WorldError when a tool or a right is missing or a host does not come up
    (what was made until then is removed).
    """
    check_name(name)
    if not 1 <= count <= HOSTS_MAX:
        raise PlanError(f"{count} hosts cannot be made: ask for 1 to {HOSTS_MAX}.")
    require()
    subnet = claim(name, count)
    hosts = _hosts(name, count, subnet)
    try:
        _write_files(name, hosts)
        log(f"linking {count} namespaces in {subnet}")
        _link(name, hosts, subnet)
        for host in hosts:
            _start(name, host.name)
        deadline = time.monotonic() + timeout_s
        for host in hosts:
            _wait_for_sshd(name, host, deadline)
            log(f"{host.label} answers")
        inventory = Inventory(cluster=name, kind="netns", hosts=hosts)
        inventory.dump(STATE_ROOT / name / "inventory.toml")
    except BaseException:
        down(name, log=log)
        raise
    return inventory


def down(name: str, *, log: Callable[[str], None] = lambda text: None) -> None:
    """End the cluster's processes, then remove its namespaces, links and files. Idempotent; needs only the name."""
    check_name(name)
    _require_root()
    script = STATE_ROOT / name / "init.sh"
    removed: set[str] = set()
    deadline = time.monotonic() + DOWN_TIMEOUT_S
    while found := namespaces(name):  # again, if the last `ip` of a maker just killed has added one
        kill_nodes((NETNS_ROOT / namespace for namespace in found), script)
        _ip([f"netns del {namespace}" for namespace in found], force=True)
        removed.update(found)
        if time.monotonic() > deadline:
            raise WorldError(
                f"cannot remove the network namespaces {', '.join(found)}: try `ip netns del {found[0]}`."
            )
    kill_nodes((), script)  # a node that was on its way into its namespace
    if (Path("/sys/class/net") / _uplink(name)).exists():
        _ip([f"link del {_uplink(name)}"], force=True)  # goes with its peer, a moment after the namespace
    with lock():
        forget(name)
    log(f"cluster {name}: {len(removed)} namespaces removed")


def require() -> None:
    """Raise WorldError, saying what to do, unless this process may and can make hosts."""
    _require_root()
    missing = [tool for tool in TOOLS if shutil.which(tool, path=SYSTEM_PATH) is None]
    if missing:
        raise WorldError(
            f"local hosts need {', '.join(missing)}, not found here: "
            f"install {', '.join(sorted({TOOLS[tool] for tool in missing}))} (`scripts/system-packages hosts` does)."
        )


def _require_root() -> None:
    if os.geteuid() != 0:
        raise WorldError("local hosts need root, because they are network namespaces: run it with sudo.")


def _hosts(name: str, count: int, subnet: ipaddress.IPv4Network) -> tuple[Host, ...]:
    state = STATE_ROOT / name
    return tuple(
        Host(
            name=f"n{number}",
            address=str(subnet[number]),
            key=str(state / "id_ed25519"),
            known_hosts=str(state / "known_hosts"),
        )
        for number in range(1, count + 1)
    )


def _write_files(name: str, hosts: Sequence[Host]) -> None:
    """Keys, known_hosts, the hosts file and the script a node starts with."""
    state = STATE_ROOT / name
    keys = [state / "id_ed25519", *(state / f"{host.name}.hostkey" for host in hosts)]
    makers = [
        subprocess.Popen(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"quorate-{name}", "-f", str(key)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for key in keys
    ]
    for maker in makers:
        _, errors = maker.communicate(timeout=20)
        if maker.returncode != 0:
            raise WorldError(f"ssh-keygen failed in {state}: {errors.decode(errors='replace').strip()}.")
    known = ""
    for host in hosts:
        algorithm, public = (state / f"{host.name}.hostkey.pub").read_text().split()[:2]
        known += f"{host.address} {algorithm} {public}\n"
        (DISK_ROOT / name / host.name).mkdir(parents=True)
    (state / "known_hosts").write_text(known)
    (state / "hosts").write_text(
        "127.0.0.1 localhost\n" + "".join(f"{host.address} {host.name}\n" for host in hosts)
    )
    (state / "root").mkdir()
    (state / "init.sh").write_text(SCRIPT)


def _uplink(name: str) -> str:
    """The name of the machine's end of the cable: 15 characters at most, so a digest stands for the cluster's name."""
    return f"qr{hashlib.blake2s(name.encode(), digest_size=5).hexdigest()}h"


def _link(name: str, hosts: Sequence[Host], subnet: ipaddress.IPv4Network) -> None:
    """Namespaces, bridge, cables and addresses, in one `ip -batch` for each namespace."""
    prefix, bits = namespace_prefix(name), subnet.prefixlen
    switch, uplink = f"{prefix}sw", _uplink(name)
    _ip(
        [
            f"netns add {switch}",
            *(f"netns add {prefix}{host.name}" for host in hosts),
            f"link add {uplink} type veth peer name up0 netns {switch}",
            f"addr add {subnet[-2]}/{bits} dev {uplink}",
            f"link set {uplink} up",
        ]
    )
    ports = [f"link add {host.name} type veth peer name eth0 netns {prefix}{host.name}" for host in hosts]
    joins = [f"link set {host.name} master br0 up" for host in hosts]
    _ip(
        ["link add br0 type bridge", "link set br0 up", "link set up0 master br0 up", *ports, *joins],
        namespace=switch,
    )
    for host in hosts:
        lines = [f"addr add {host.address}/{bits} dev eth0", "link set eth0 up", "link set lo up"]
        _ip(lines, namespace=prefix + host.name)


def _ip(lines: Sequence[str], *, namespace: str | None = None, force: bool = False) -> None:
    """Run lines of `ip -batch`. It dies with us: a maker that is killed makes nothing more."""
    command = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "ip",
        *(["-n", namespace] if namespace else []),
        *(["-force"] if force else []),
        "-batch",
        "-",
    ]
    done = subprocess.run(
        command, input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=30, check=False
    )
    if done.returncode != 0 and not force:
        raise WorldError(
            f"`{' '.join(command)}` failed: {done.stderr.strip()}. `quorate doctor` says what this machine lacks."
        )


def _start(name: str, node: str) -> None:
    """Start a node's init in new namespaces, apart from our own process, so that it outlives us."""
    state = STATE_ROOT / name
    apart = ["setsid", "--fork", "setpriv", f"--bounding-set={DROPPED}", f"--inh-caps={DROPPED}"]
    inside = ["nsenter", f"--net={NETNS_ROOT / (namespace_prefix(name) + node)}"]
    inside += [
        "unshare",
        "--mount",
        "--pid",
        "--uts",
        "--ipc",
        "--fork",
        "--kill-child",
        "--propagation",
        "private",
    ]
    init = ["sh", str(state / "init.sh"), str(state), str(DISK_ROOT / name), node]
    with open(state / f"{node}.log", "wb") as log:
        subprocess.run(
            [*apart, *inside, *init], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", check=True, timeout=10,
            env={"PATH": SYSTEM_PATH, "LANG": "C.UTF-8"},
        )  # fmt: skip


def _wait_for_sshd(name: str, host: Host, deadline: float) -> None:
    """Return when the host's sshd says so itself. Raises WorldError with what its init said."""
    while True:
        try:
            with socket.create_connection((host.address, host.port), 1.0) as connection:
                connection.settimeout(1.0)
                if connection.recv(4) == b"SSH-":
                    return
        except OSError:
            pass
        if time.monotonic() > deadline:
            said = (STATE_ROOT / name / f"{host.name}.log").read_text(errors="replace").strip().splitlines()
            raise WorldError(
                f"{host.label} does not answer SSH; its init said: {said[-1] if said else 'nothing'}. Try `quorate doctor`."
            )
        time.sleep(0.01)
