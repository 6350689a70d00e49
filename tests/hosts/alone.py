"""Nearly a machine of one's own: namespaces in which no cluster, process, link, mount or rule of others is to be seen.

    this machine ── unshare: mounts, network, processes ──► sh, which waits     /run, /var/lib/quorate, /proc: its own
                                                            ◄── enter(): a command in there

So whatever is found in there at the end was left by what ran in there. Files are this machine's, but for those directories.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

SCRIPT = """
mkdir -p /var/lib/quorate
while umount --lazy /run/netns 2>/dev/null; do :; done # the networks of others, which come and go
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib/quorate
ip link set lo up
echo ready
read line
"""
APART = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private")


@contextmanager
def machine() -> Iterator[list[str]]:
    """How to begin a command that runs in there."""
    holder = subprocess.Popen([*APART, "sh", "-ec", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        of = f"/proc/{holder.pid}/ns"
        yield ["nsenter", f"--mount={of}/mnt", f"--net={of}/net", f"--pid={of}/pid_for_children", "--wd=/"]
    finally:
        holder.communicate("end\n", timeout=300)
