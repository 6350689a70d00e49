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
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from harness.provision.netns import SYSTEM_PATH, TOOLS
from harness.provision.state import DISK_ROOT, STATE_ROOT, list_clusters

MEND_TOOLS: Final = "scripts/system-packages hosts"
FAKETIME: Final = "/usr/lib/{0}/faketime/libfaketimeMT.so.1"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `detail` says what was found; `mend` is a command or "" ; `needed` for running at all."""

    name: str
    ok: bool
    detail: str
    mend: str = ""
    needed: bool = True


def diagnose() -> list[Finding]:
    """Look at everything. Changes nothing that lasts."""
    findings = [_python(), _core(), *_tools(), _faketime(), _redis()]
    root = _root()
    findings.append(root)
    if root.ok:
        findings += [*_kernel(), _writable()]
    return [*findings, *_leftovers()]


def _python() -> Finding:
    found = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("Python 3.11 or later", sys.version_info >= (3, 11), found, "apt-get install python3")


def _core() -> Finding:
    try:
        importlib.import_module("checkers._core")
    except ImportError as error:
        return Finding("compiled core of the checkers", False, str(error), "pip install --editable .")
    return Finding("compiled core of the checkers", True, "loads")


def _root() -> Finding:
    root = os.geteuid() == 0
    detail = "this process is root" if root else "this process is not root, so local hosts cannot be made"
    return Finding("root, for local hosts", root, detail, "sudo quorate doctor", needed=False)


def _tools() -> Iterator[Finding]:
    for tool, package in TOOLS.items():
        path = shutil.which(tool, path=SYSTEM_PATH)
        yield Finding(
            f"{tool}, for local hosts",
            path is not None,
            path or f"not found (package {package})",
            MEND_TOOLS,
            needed=False,
        )


def _faketime() -> Finding:
    machine = os.uname().machine
    found = [path for path in (FAKETIME.format(f"{machine}-linux-gnu"), "/usr/lib64/faketime/libfaketimeMT.so.1",
                               "/usr/local/lib/faketime/libfaketimeMT.so.1") if os.path.exists(path)]  # fmt: skip
    detail = found[0] if found else "not found: the clock fault cannot be used on local hosts"
    return Finding("libfaketime, for the clock fault on hosts", bool(found), detail, MEND_TOOLS, needed=False)


def _redis() -> Finding:
    path = shutil.which("redis-cli", path=SYSTEM_PATH)
    detail = path or "not found: tests and benchmarks with Redis's own clients are left out"
    return Finding(
        "redis-cli, for trying the store by hand", path is not None, detail, MEND_TOOLS, needed=False
    )


TRIALS: Final = {
    "network namespaces and veth": ("ip link add v0 type veth peer name v1 && ip link set v0 up", "modprobe veth"),
    "bridges": ("ip link add br0 type bridge && ip link set br0 up", "modprobe bridge"),
    "iptables, to drop packets": ("iptables -w -A INPUT -s 192.0.2.1 -j DROP && iptables -w -nvxL INPUT",
                                  "modprobe ip_tables iptable_filter"),
    "overlay file systems": ("mount -t tmpfs tmpfs /mnt && cd /mnt && mkdir u w r && "
                             "mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w r && test -d r/etc",
                             "modprobe overlay"),
    "namespaces of processes": ("mount -t proc proc /proc && test -d /proc/1", "sysctl user.max_pid_namespaces=1000"),
}  # fmt: skip
EXTRA_TRIALS: Final = {
    "iptables statistic, for loss in part": "iptables -w -A INPUT -m statistic --mode random --probability 0.5 -j DROP",
    "netem, for delays in the kernel": "ip link add v0 type veth peer name v1 && tc qdisc add dev v0 root netem delay 1ms",
}


def _kernel() -> Iterator[Finding]:
    """Each feature, tried in namespaces of its own; their links, rules and mounts go with the shell."""
    for name, (script, mend) in TRIALS.items():
        said = _try(script)
        yield Finding(f"kernel: {name}", said is None, said or "tried, works", mend, needed=False)
    for name, script in EXTRA_TRIALS.items():
        said = _try(script)
        detail = "tried, works" if said is None else f"absent ({said}); nothing uses it yet"
        yield Finding(f"kernel: {name}", True, detail, needed=False)


def _try(script: str) -> str | None:
    """Run a script in throw-away namespaces. None if it worked, otherwise what it said last."""
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    try:
        done = subprocess.run(
            [*command, "sh", "-ec", script], capture_output=True, text=True, timeout=10, check=False,
            env={"PATH": SYSTEM_PATH},
        )  # fmt: skip
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


def _leftovers() -> Iterator[Finding]:
    """Clusters of which something is left but which are not ready: an `up` or a `down` that was killed."""
    broken = [cluster.name for cluster in list_clusters() if not cluster.ready]
    if not broken:
        yield Finding("nothing left of dead clusters", True, "none")
    for name in broken:
        yield Finding(
            f"left of cluster {name}",
            False,
            "it is half up or half down",
            f"quorate hosts down --name {name}",
            needed=False,
        )
