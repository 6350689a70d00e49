"""A libvirtd that nobody else uses and that touches nothing of the machine; with it, its networks and machines end.

    network namespace  ─► its bridges, rules and name servers are not the machine's
    process namespace  ─► all that it starts ends with its first process, and that with us
    /etc, /var         ─► seen through a layer of its own;   /run, /sys: new;   /dev: without kvm, which libvirt would ask at every step

Reference: libvirtd(8); /etc/libvirt/qemu.conf.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.polling import poll

APART: Final = ("setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")  # fmt: skip
SCRIPT: Final = r"""
set -eu
layers=$1
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
for top in etc var; do
  mkdir "$layers/$top" "$layers/$top.work"
  mount -t overlay overlay -o "lowerdir=/$top,upperdir=$layers/$top,workdir=$layers/$top.work" "/$top"
done
mkdir -p /run/dev/pts /run/dev/net /run/dev/shm
for device in null zero full random urandom tty net/tun; do
  touch "/run/dev/$device"
  mount --bind "/dev/$device" "/run/dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts /run/dev/pts
mount -t tmpfs tmpfs /run/dev/shm
ln -s pts/ptmx /run/dev/ptmx
ln -s /proc/self/fd /run/dev/fd
mount --rbind /run/dev /dev
rm -rf /etc/libvirt /var/lib/libvirt
mkdir -p /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt
cat >/etc/libvirt/qemu.conf <<END
user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
END
printf 'unix_sock_rw_perms = "0700"\nauth_unix_rw = "none"\n' >/etc/libvirt/libvirtd.conf
getent passwd libvirt-qemu >/dev/null || {
  echo 'libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin' >>/etc/passwd
  echo 'libvirt-qemu:x:64055:' >>/etc/group
}
ip link set lo up
libvirtd --config /etc/libvirt/libvirtd.conf &
wait $!
"""


@contextmanager
def private_libvirt(place: Path) -> Iterator[tuple[str, ...]]:
    """The words of `nsenter` to put before a command so that it meets this libvirtd. (Give it --wdns, a directory, and --.)"""
    (layers := place / "layers").mkdir(parents=True)
    log = place / "libvirtd.log"
    with log.open("wb") as said, subprocess.Popen(
        [*APART, "sh", "-c", SCRIPT, "sh", str(layers)], stdin=subprocess.DEVNULL, stdout=said, stderr=said
    ) as maker:  # fmt: skip
        try:
            poll(lambda: first_child(maker.pid), wait_s=60.0)
            child = first_child(maker.pid)
            there = ("nsenter", f"--target={child}", "--net", "--mount", "--pid")
            socket = Path("/proc", str(child), "root", "run/libvirt/libvirt-sock")
            poll(lambda: socket.exists() or maker.poll() is not None, wait_s=120.0, told=log.read_text)
            assert maker.poll() is None, log.read_text()
            yield there
        finally:
            maker.send_signal(signal.SIGKILL)
            maker.wait()
            shutil.rmtree(layers, ignore_errors=True)


def first_child(pid: int) -> int | None:
    """The process that became the first of a namespace."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(words[1]) == pid:
                return int(entry.name)
    return None
