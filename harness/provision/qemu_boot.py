"""How a machine of ours comes up: QEMU loads a kernel and an initial RAM disk, no boot loader and no systemd take part.

    initrd of all machines  + a few files of this one   cpio archives, one after the other (the kernel unpacks both)
      busybox, modules        keys, addresses
         └► /init: insmod, mount /dev/vda, copy the few files to /etc/quorate ─► switch_root ─► /etc/quorate/init: network, sshd

The archive format is cpio's "newc": a header of fields of eight hex digits, the name, the content, each padded to four bytes.
Reference: Documentation/driver-api/early-userspace/buffer-format.rst of Linux.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from typing import Final

DISK_MODULES: Final = ("virtio_pci", "virtio_blk")  # ext4 is in Debian's cloud kernel
DIRECTORIES: Final = ("bin", "dev", "proc", "newroot", "modules", "host")

INITRD_INIT: Final = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
while read module; do /bin/busybox insmod "/modules/$module"; done </modules/order
until [ -b /dev/vda ]; do /bin/busybox usleep 10000; done
/bin/busybox mount -t ext4 /dev/vda /newroot
/bin/busybox mkdir -p /newroot/etc/quorate
/bin/busybox cp -p /host/* /newroot/etc/quorate/
/bin/busybox umount /proc
/bin/busybox mount -o move /dev /newroot/dev
exec /bin/busybox switch_root /newroot /bin/sh /etc/quorate/init
"""
HOST_INIT: Final = """
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /sys/fs/cgroup
for controller in freezer cpu memory; do
  mkdir /sys/fs/cgroup/$controller
  mount -t cgroup -o $controller $controller /sys/fs/cgroup/$controller
done
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir -p /dev/pts /dev/shm /run/sshd /run/lock /var/lib/quorate
mount -t devpts -o ptmxmode=0666,mode=620 devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
modprobe -a virtio_net virtio_rng
echo 0 >/proc/sys/vm/dirty_writeback_centisecs # what nobody syncs is not written but for want of room: the flusher takes a disk that is hardly used for a full one
cp /etc/quorate/hosts /etc/hosts
chmod 644 /etc/hosts
hostname "$(cat /etc/quorate/name)"
ip link set lo up
ip address add "$(cat /etc/quorate/address)" dev eth0
ip link set eth0 up
/usr/sbin/sshd -f /etc/quorate/sshd_config -E /var/log/sshd.log
# As pid 1: wait, and so reap what is left to us.
while :; do
  sleep 86400 &
  wait $!
done
"""


def archive(files: Mapping[str, bytes], *, executable: tuple[str, ...] = ()) -> bytes:
    """The files as a cpio archive that the kernel unpacks, readable by root only; directories have to be among `DIRECTORIES`."""
    entries = [(name, stat.S_IFDIR | 0o755, b"") for name in DIRECTORIES]
    entries += [
        (name, stat.S_IFREG | (0o755 if name in executable else 0o600), files[name]) for name in files
    ]
    entries.append(("TRAILER!!!", 0, b""))
    return b"".join(
        _entry(number, name, mode, content) for number, (name, mode, content) in enumerate(entries)
    )


def joined(*archives: bytes) -> bytes:
    """One after the other, for the kernel: behind a compressed one it looks for an archive at a multiple of four bytes only, and skips zeros before it."""
    return b"".join(_padded(each) for each in archives)


def _entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    """One file: inode, mode, owner, group, links, time, size, four numbers of devices, length of the name, no checksum."""
    path = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(header + path) + _padded(content)


def _padded(text: bytes) -> bytes:
    return text + b"\0" * (-len(text) % 4)


def in_order(wanted: tuple[str, ...], dependencies: str) -> list[str]:
    """The files of these modules and of all that they need, each after what it needs. `dependencies` is depmod's modules.dep.

    A module that is not in it is built into the kernel.
    """
    needs = dict(line.split(":", 1) for line in dependencies.splitlines())
    paths = {path.rsplit("/", 1)[-1].split(".")[0].replace("-", "_"): path for path in needs}
    return list(
        dict.fromkeys(path for name in wanted if name in paths for path in _with_needs(paths[name], needs))
    )


def _with_needs(path: str, needs: Mapping[str, str]) -> Iterator[str]:
    yield from reversed(needs[path].split())  # depmod names first what must be there last
    yield path
