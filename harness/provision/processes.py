"""Ending the processes of a network namespace, and no other process.

A process belongs to a namespace by the kernel's own word: the inode of `/proc/<pid>/ns/net`. Between looking and
killing, a pid can be given to somebody else; so we open a handle on the process first (pidfd), look through `/proc`
while we hold it, and signal the handle. Pid 1, ourselves and the machine's own namespace are refused whatever it says.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from harness.worlds import WorldError

PROC = Path("/proc")
STARTERS = (b"setsid", b"setpriv", b"nsenter", b"unshare", b"sh")  # the chain of programs that becomes a node


def network_of(path: Path) -> tuple[int, int] | None:
    """Identity of the namespace a file stands for, None if it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def alive(pid: int) -> bool:
    """True if the process exists and is not just waiting to be reaped."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def in_namespaces(files: Iterable[Path]) -> list[int]:
    """Pids of the live processes in any of these namespaces (files in /run/netns)."""
    wanted = {identity for file in files if (identity := network_of(file)) is not None}
    wanted -= {
        identity for pid in ("1", "self") if (identity := network_of(PROC / pid / "ns/net")) is not None
    }
    if not wanted:
        return []
    pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if network_of(PROC / str(pid) / "ns/net") in wanted and alive(pid)]


def starting(script: Path) -> list[int]:
    """Pids of live processes that run this init script, or are on their way to it."""
    pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if _runs(pid, script) and alive(pid)]


def kill_nodes(files: Iterable[Path], script: Path, *, timeout_s: float = 60.0) -> None:
    """SIGKILL every process in these namespaces or running this init script, and wait until none is left.

    The script matters for a node that was being started when its maker died: it may not be in its namespace yet.
    Raises WorldError if a process stays; one that writes on a busy disk ends when that is done.
    """
    files = tuple(files)
    deadline = time.monotonic() + timeout_s
    while pids := sorted({*in_namespaces(files), *starting(script)}):
        for pid in pids:
            _kill(pid, files, script)
        if time.monotonic() > deadline:
            raise WorldError(
                f"processes {pids} of {script.parent.name} do not end: see `ps -o pid,stat,wchan,args`."
            )
        time.sleep(0.005)


def _kill(pid: int, files: tuple[Path, ...], script: Path) -> None:
    if pid <= 1 or pid == os.getpid():
        raise WorldError(f"refusing to kill pid {pid}: it is not a node's process.")
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if _is_inside(pid, files) or _runs(pid, script):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def _is_inside(pid: int, files: tuple[Path, ...]) -> bool:
    identity = network_of(PROC / str(pid) / "ns/net")
    return identity is not None and identity in {network_of(file) for file in files}


def _runs(pid: int, script: Path) -> bool:
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[0] in STARTERS and os.fsencode(script) in words
