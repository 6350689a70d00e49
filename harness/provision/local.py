"""What every kind of local host has in common: a name, a subnet, a switch out of the machine's way, keys, and an end.

    this machine                 switch namespace            hosts: namespaces, containers or machines
    ┌───────────────┐  veth  ┌──────────────────────┐        ┌──────────────────┐
    │ harness  .254 ├────────┤ bridge br0           ├────────┤ n1  .1  sshd :22 │
    └───────────────┘        │ (out of reach of the │        ├──────────────────┤
                             │ machine's firewall)  ├────────┤ n2  .2  sshd :22 │ …
                             └──────────────────────┘        └──────────────────┘

The bridge has a namespace of its own because a container engine on the machine may drop forwarded packets, bridged
ones included. Hosts outlive the program that made them. Whatever a kind starts, it starts in one of the cluster's
namespaces: so `down` finds all of it by the cluster's name alone, and is the same for every kind.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from harness.plan import PlanError
from harness.provision.inventory import Host, Inventory
from harness.provision.processes import kill_nodes
from harness.provision.state import (
    DISK_ROOT,
    NETNS_ROOT,
    STATE_ROOT,
    cgroups,
    check_name,
    claim,
    forget,
    lock,
    namespace_prefix,
    namespaces,
)
from harness.worlds import WorldError

SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PLAIN: Final = {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8"}  # the environment of what we start
HOSTS_MAX: Final = 50
DOWN_TIMEOUT_S: Final = 60.0  # on a busy machine; nobody waits longer than it takes
SSHD_CONFIG: Final = """\
Port 22
HostKey /etc/quorate/hostkey
AuthorizedKeysFile /etc/quorate/authorized_keys
AllowUsers root
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
MaxStartups 100
MaxSessions 200
Subsystem sftp internal-sftp
PidFile /run/sshd.pid
"""


def up(
    kind: str,
    name: str,
    count: int,
    start: Callable[[Sequence[Host], ipaddress.IPv4Network], None],
    *,
    timeout_s: float,
    owns_clock: bool = False,
    slowness: float = 1.0,
    ready: Callable[[Sequence[Host]], None] = lambda hosts: None,
    lost: str = "",
    log: Callable[[str], None],
) -> Inventory:
    """Claim name and subnet, write keys, let the kind `start` its hosts, and return once each answers SSH and is `ready`.

    `lost`: words in a host's log after which it will never answer. Raises PlanError for a bad or taken name, WorldError if a host does not come up (what was made until then is removed).
    """
    check_name(name)
    if not 1 <= count <= HOSTS_MAX:
        raise PlanError(f"{count} hosts cannot be made: ask for 1 to {HOSTS_MAX}.")
    subnet = claim(kind, name, count)
    hosts = hosts_of(STATE_ROOT / name, count, subnet, owns_clock=owns_clock, slowness=slowness)
    try:
        write_files(STATE_ROOT / name, name, hosts)
        for host in hosts:
            (DISK_ROOT / name / host.name).mkdir(parents=True)
        start(hosts, subnet)
        deadline = time.monotonic() + timeout_s
        for host in hosts:
            _wait_for_sshd(name, host, deadline, lost)
            log(f"{host.label} answers")
        ready(hosts)
        inventory = Inventory(cluster=name, kind=kind, hosts=hosts)
        inventory.dump(STATE_ROOT / name / "inventory.toml")
    except BaseException:
        down(name, log=log)
        raise
    return inventory


def down(name: str, *, log: Callable[[str], None] = lambda text: None) -> None:
    """End the cluster's processes, then remove its namespaces, links and files. Idempotent; needs only the name."""
    check_name(name)
    require_root()
    script = STATE_ROOT / name / "init.sh"
    removed: set[str] = set()
    deadline = time.monotonic() + DOWN_TIMEOUT_S
    _thaw(name)
    while found := namespaces(name):  # again, if the last `ip` of a maker just killed has added one
        kill_nodes((NETNS_ROOT / namespace for namespace in found), script)
        ip([f"netns del {namespace}" for namespace in found], force=True)
        removed.update(found)
        if time.monotonic() > deadline:
            raise WorldError(
                f"cannot remove the network namespaces {', '.join(found)}: try `ip netns del {found[0]}`."
            )
    kill_nodes((), script)  # a node that was on its way into its namespace
    if uplink(name) in (link for _, link in socket.if_nameindex()):
        ip([f"link del {uplink(name)}"], force=True)  # goes with its peer, a moment after the namespace
    _remove_cgroups(name, deadline)
    with lock():
        forget(name)
    log(f"cluster {name}: {len(removed)} namespaces removed")


def _thaw(name: str) -> None:
    """What a pause has frozen there dies only once it is thawed."""
    for top in cgroups(name):
        for state in top.rglob("freezer.state"):
            with contextlib.suppress(OSError):  # it has gone meanwhile
                state.write_text("THAWED")


def _remove_cgroups(name: str, deadline: float) -> None:
    """They stay when their maker is killed. The kernel lets go of one a moment after its last process."""
    for top in cgroups(name):
        for folder in sorted((path for path in (top, *top.rglob("*/"))), key=lambda path: -len(path.parts)):
            while folder.exists():
                with contextlib.suppress(OSError):
                    folder.rmdir()
                    break
                if time.monotonic() > deadline:
                    raise WorldError(
                        f"cannot remove the cgroup {folder}: `cat {folder}/cgroup.procs` says who is in it."
                    )
                time.sleep(0.01)


def require(tools: Mapping[str, str], group: str) -> None:
    """Raise WorldError, saying what to do, unless we are root and have these tools (tool: Debian package)."""
    require_root()
    missing = [tool for tool in tools if shutil.which(tool, path=SYSTEM_PATH) is None]
    if missing:
        raise WorldError(
            f"local hosts need {', '.join(missing)}, not found here: "
            f"install {', '.join(sorted({tools[tool] for tool in missing}))} (`scripts/system-packages {group}` does)."
        )


def require_root() -> None:
    """Raise WorldError unless we are root."""
    if os.geteuid() != 0:
        raise WorldError("local hosts need root, because they are network namespaces: run it with sudo.")


def hosts_of(
    state: Path, count: int, subnet: ipaddress.IPv4Network, *, owns_clock: bool = False, slowness: float = 1.0
) -> tuple[Host, ...]:  # fmt: skip
    """The hosts n1, n2, … of a subnet, whose keys are in this directory."""
    return tuple(
        Host(
            name=f"n{number}",
            address=str(subnet[number]),
            key=str(state / "id_ed25519"),
            known_hosts=str(state / "known_hosts"),
            owns_clock=owns_clock,
            slowness=slowness,
        )
        for number in range(1, count + 1)
    )


def write_files(state: Path, name: str, hosts: Sequence[Host]) -> None:
    """Keys, known_hosts, the hosts file and how sshd is set up, in this directory."""
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
    (state / "known_hosts").write_text(known)
    (state / "hosts").write_text(
        "127.0.0.1 localhost\n" + "".join(f"{host.address} {host.name}\n" for host in hosts)
    )
    (state / "sshd_config").write_text(SSHD_CONFIG)


def uplink(name: str) -> str:
    """The name of the machine's end of the cable: 15 characters at most, so a digest stands for the cluster's name."""
    return f"qr{hashlib.blake2s(name.encode(), digest_size=5).hexdigest()}h"


def link_switch(name: str, subnet: ipaddress.IPv4Network) -> str:
    """Make the switch namespace with its bridge br0 and the cable to it; the namespace's name."""
    switch, cable = f"{namespace_prefix(name)}sw", uplink(name)
    ip(
        [
            f"netns add {switch}",
            f"link add {cable} type veth peer name up0 netns {switch}",
            f"addr add {subnet[-2]}/{subnet.prefixlen} dev {cable}",
            f"link set {cable} up",
        ]
    )
    ip(["link add br0 type bridge", "link set br0 up", "link set up0 master br0 up"], namespace=switch)
    return switch


def ip(lines: Sequence[str], *, namespace: str | None = None, force: bool = False) -> None:
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


def launch(
    namespace: str, command: Sequence[str], log: Path, *, rights: Sequence[str] = (), groups: Sequence[Path] = ()
) -> None:  # fmt: skip
    """Start a program in a namespace of the cluster, apart from our own process, so that it outlives us; in these control groups."""
    join = [
        word
        for group in groups
        for word in ("sh", "-c", 'echo 0 >"$0" && exec "$@"', f"{group}/cgroup.procs")
    ]
    words = ["setsid", "--fork", *join, *rights, "nsenter", f"--net={NETNS_ROOT / namespace}", *command]
    with open(log, "ab") as file:
        subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd="/", check=True, timeout=10, env=PLAIN
        )  # fmt: skip


def files_of(state: Path, host: Host) -> dict[str, bytes]:
    """What a host finds in /etc/quorate before its sshd starts; all of it readable by root only."""
    sources = {
        "authorized_keys": "id_ed25519.pub",
        "hostkey": f"{host.name}.hostkey",
        "hosts": "hosts",
        "sshd_config": "sshd_config",
    }
    return {target: (state / source).read_bytes() for target, source in sources.items()}


def _wait_for_sshd(name: str, host: Host, deadline: float, lost: str) -> None:
    """Return when the host's sshd says so itself. Raises WorldError with what its init said."""
    log = STATE_ROOT / name / f"{host.name}.log"
    while True:
        try:
            with socket.create_connection((host.address, host.port), 1.0) as connection:
                connection.settimeout(1.0)
                if connection.recv(4) == b"SSH-":
                    return
        except OSError:
            pass
        is_late = time.monotonic() > deadline
        if lost or is_late:
            said = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
            ends = [place for place, line in enumerate(said) if lost and lost in line]
            if ends or is_late:
                last = " / ".join(said[max(0, ends[0] - 1) : ends[0] + 1] if ends else said[-1:]) or "nothing"
                raise WorldError(
                    f"{host.label} does not answer SSH; its init said: {last}. Try `quorate doctor`."
                )
        time.sleep(0.01)
