"""The first process of a node made of namespaces: gives it a root of its own, then runs its sshd.

    /            overlay: this machine's files below, a private tmpfs above. Nothing a node writes reaches the machine.
    /var/lib/quorate   the real disk, so that fsync costs and keeps what it does in earnest
    /dev /proc /sys /run /tmp   its own; /proc/sys is read-only, because most of it is the whole machine's

All mounts live in the node's mount namespace and go with its last process: there is nothing to unmount outside.
The process is started without the rights to set the clock, to reboot and to load modules (there is one clock for all
namespaces: a node that could set its own would set the machine's).
"""

from __future__ import annotations

from typing import Final

DROPPED: Final = "-sys_time,-sys_boot,-sys_module"
DROPPED_BITS: Final = {"sys_module": 16, "sys_boot": 22, "sys_time": 25}

SCRIPT: Final = r"""#!/bin/sh
# usage: init.sh STATE_DIRECTORY DISK_DIRECTORY NODE
set -eu
state=$1 disk=$2 node=$3
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

mount -t tmpfs -o mode=755 tmpfs "$state/root"
cd "$state/root"
mkdir upper work root
mount -t overlay overlay -o "lowerdir=/,upperdir=$PWD/upper,workdir=$PWD/work" root
cd root
mkdir -p dev proc sys run tmp var/lib/quorate var/log etc/quorate .outside
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount --bind "$disk/$node" var/lib/quorate
mkdir -p run/sshd run/lock

cp "$state/hosts" etc/hosts
echo "$node" >etc/hostname
hostname "$node"
cp "$state/id_ed25519.pub" etc/quorate/authorized_keys
cp "$state/$node.hostkey" etc/quorate/hostkey
cp "$state/sshd_config" etc/quorate/sshd_config
chmod 755 etc/quorate
chmod 644 etc/quorate/authorized_keys
chmod 600 etc/quorate/hostkey
# Without PAM, sshd refuses an account whose password field begins with "!". This is the node's own copy.
sed -i 's/^root:[^:]*:/root:*:/' etc/shadow
# bash would read the .bashrc of this machine's root for every command that comes over SSH.
sed -i '/^root:/s|:[^:]*$|:/bin/sh|' etc/passwd
rm -f etc/nologin

pivot_root . .outside
cd /
umount -l /.outside
rmdir /.outside
mount --bind /proc/sys /proc/sys
mount -o remount,ro,bind /proc/sys
if [ -e /proc/sysrq-trigger ]; then mount --bind /dev/null /proc/sysrq-trigger; fi
/usr/sbin/sshd -f /etc/quorate/sshd_config -E /var/log/sshd.log
# As pid 1 of the node: wait, and so reap what is left to us.
while :; do
  sleep 86400 &
  wait $!
done
"""
