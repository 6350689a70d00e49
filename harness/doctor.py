"""Doctor: what this machine lacks for quorate, and the command that mends each thing.

Nothing is concluded from a version number: what the kernel must do is tried, in namespaces that are gone a moment
later. A finding that is not ok but not `needed` costs one feature, and says which.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.paper import browser
from harness.provision import docker, qemu, vagrant
from harness.provision.local import SYSTEM_PATH
from harness.provision.netns import TOOLS
from harness.provision.state import DISK_ROOT, STATE_ROOT, Cluster, list_clusters

MEND_CORE: Final = "pip install --editable ."
MEND_TOOLS: Final = "scripts/system-packages hosts"
OTHER_KINDS: Final = {"docker": docker.TOOLS, "qemu": qemu.TOOLS, "vagrant": vagrant.TOOLS}
AS_ROOT: Final = (
    f"sudo {Path(sys.executable).with_name('quorate')}"  # sudo does not know the environment's programs
)
FAKETIME: Final = "faketime/libfaketimeMT.so.1"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `detail` says what was found; `mend` is a command or "" ; `needed` for running at all."""

    name: str
    ok: bool
    detail: str
    mend: str = ""
    needed: bool = True


def diagnose(
    *,
    path: str = SYSTEM_PATH,
    files: Path = Path("/"),
    user: int | None = None,
    clusters: Sequence[Cluster] | None = None,
) -> list[Finding]:
    """Look at everything. Changes nothing that lasts."""
    findings = [
        _python(),
        _core(),
        *_tools(path),
        *_other_kinds(path),
        _faketime(files),
        _redis(path),
        _browser(path),
    ]
    root = _root(os.geteuid() if user is None else user)
    findings.append(root)
    if root.ok:
        findings += [*_kernel(path), _writable()]
    return [*findings, *_clusters(list_clusters() if clusters is None else clusters)]


def _python() -> Finding:
    found = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("Python 3.11 or later", sys.version_info >= (3, 11), found, "apt-get install python3")


def _core() -> Finding:
    try:
        importlib.import_module("checkers._core")
    except ImportError as error:
        return Finding("compiled core of the checkers", False, str(error), MEND_CORE)
    return Finding("compiled core of the checkers", True, "loads")


def _root(user: int) -> Finding:
    root = user == 0
    detail = "this process is root" if root else "this process is not root, so local hosts cannot be made"
    return Finding("root, for local hosts", root, detail, f"{AS_ROOT} doctor", needed=False)


def _tools(path: str) -> Iterator[Finding]:
    for tool, package in TOOLS.items():
        found = shutil.which(tool, path=path)
        detail = found or f"not found (package {package})"
        yield Finding(f"{tool}, for local hosts", found is not None, detail, MEND_TOOLS, needed=False)


def _other_kinds(path: str) -> Iterator[Finding]:
    """One line for each kind of hosts: what it needs beyond what namespaces need."""
    for kind, tools in OTHER_KINDS.items():
        own = {tool: package for tool, package in tools.items() if tool not in TOOLS}
        lacking = [f"{tool} (package {own[tool]})" for tool in own if shutil.which(tool, path=path) is None]
        detail = f"not found: {', '.join(lacking)}" if lacking else f"{', '.join(own)}: found"
        mend = f"scripts/system-packages {kind}"
        yield Finding(f"hosts of kind {kind}", not lacking, detail, mend, needed=False)


def _faketime(files: Path) -> Finding:
    libraries = (f"usr/lib/{os.uname().machine}-linux-gnu", "usr/lib64", "usr/local/lib")
    found = [str(place) for library in libraries if (place := files / library / FAKETIME).exists()]
    detail = found[0] if found else "not found: the clock fault cannot be used on local hosts"
    return Finding("libfaketime, for the clock fault on hosts", bool(found), detail, MEND_TOOLS, needed=False)


def _redis(path: str) -> Finding:
    found = shutil.which("redis-cli", path=path)
    detail = found or "not found: tests and benchmarks with Redis's own clients are left out"
    return Finding(
        "redis-cli, for trying the store by hand", found is not None, detail, MEND_TOOLS, needed=False
    )


def _browser(path: str) -> Finding:
    found = browser(path)
    detail = (
        found
        or "not found: `quorate report --format pdf` cannot print; any browser prints report.html by hand"
    )
    return Finding("Chromium, to print reports to PDF", found is not None, detail, "scripts/system-packages browser", needed=False)  # fmt: skip


TRIALS: Final = {
    "network namespaces and veth": ("ip link add v0 type veth peer name v1 && ip link set v0 up", "modprobe veth"),
    "bridges": ("ip link add br0 type bridge && ip link set br0 up", "modprobe bridge"),
    "iptables, to drop packets": ("iptables -w -A INPUT -s 192.0.2.1 -j DROP && iptables -w -nvxL INPUT",
                                  "modprobe -a ip_tables iptable_filter"),
    "overlay file systems": ("mount -t tmpfs tmpfs /mnt && cd /mnt && mkdir u w r && "
                             "mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w r && test -d r/etc",
                             "modprobe overlay"),
    "namespaces of processes": ("mount -t proc proc /proc && test -d /proc/1", "sysctl user.max_pid_namespaces=1000"),
    "iptables statistic, for loss": ("iptables -w -A INPUT -m statistic --mode random --probability 0.5 -j DROP",
                                     "modprobe xt_statistic"),
    "iptables REJECT, for reset": ("iptables -w -A INPUT -p tcp -j REJECT --reject-with tcp-reset", "modprobe ipt_REJECT"),
    "iptables NFQUEUE, for delay": ("iptables -w -t mangle -A INPUT -j NFQUEUE --queue-num 1 --queue-bypass",
                                    "modprobe -a xt_NFQUEUE nfnetlink_queue"),
    "tc htb and tbf, for rate": ("tc qdisc add dev lo root handle 1: htb && "
                                 "tc class add dev lo parent 1: classid 1:1 htb rate 1gbit && "
                                 "tc qdisc add dev lo parent 1:1 tbf rate 1mbit burst 10000 latency 1s", "modprobe -a sch_htb sch_tbf"),
}  # fmt: skip


def _kernel(path: str) -> Iterator[Finding]:
    """Each feature, tried in namespaces of its own; their links, rules and mounts go with the shell."""
    for name, (script, mend) in TRIALS.items():
        said = _try(script, path)
        yield Finding(f"kernel: {name}", said is None, said or "tried, works", mend, needed=False)


def _try(script: str, path: str) -> str | None:
    """Run a script in throw-away namespaces. None if it worked, otherwise what it said last."""
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    try:
        done = subprocess.run(
            [*command, "sh", "-ec", script], capture_output=True, text=True, timeout=10, check=False,
            env={"PATH": path},
        )  # fmt: skip
    except FileNotFoundError:
        return f"cannot be tried without {command[0]}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return said[-1] if said else f"exit status {done.returncode}"


def _writable() -> Finding:
    """The directories of cluster state, or the nearest parent that exists."""
    for wanted in (STATE_ROOT, DISK_ROOT):
        place = next(path for path in (wanted, *wanted.parents) if path.exists())
        if not os.access(place, os.W_OK):
            return Finding(
                "writable state directories", False, f"{place} is not writable", f"mkdir -p {wanted}"
            )
    return Finding("writable state directories", True, f"{STATE_ROOT} and {DISK_ROOT}")


def _clusters(clusters: Sequence[Cluster]) -> Iterator[Finding]:
    """Those that are up; and those of which something is left: an `up` or a `down` that was killed."""
    if not clusters:
        yield Finding("clusters of local hosts", True, "none is up, nothing is left of one", needed=False)
    for cluster in clusters:
        remove = f"quorate hosts down --name {cluster.name}"
        if not cluster.readable:
            yield Finding(f"cluster {cluster.name}", True, f"another account's; `{AS_ROOT} hosts list` tells more", needed=False)  # fmt: skip
            continue
        if cluster.ready:
            detail = f"up, {len(cluster.nodes)} hosts in {cluster.subnet}; `{remove}` removes them"
        else:
            detail = "it is half up or half down"
        yield Finding(f"cluster {cluster.name}", cluster.ready, detail, remove, needed=False)
