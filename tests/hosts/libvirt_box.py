"""A Vagrant box for libvirt, made of Debian's packages: a small Debian with systemd, booted without a boot loader.

    debian.py, qemu.py ──► kernel, initrd, disk ──► quorate.box = metadata.json, Vagrantfile, box.img, kernel, initrd
                                                                  └► what it takes where the processor is emulated, and how it boots

The Vagrantfile of a box lies under the one of the user, who sets the rest. As a box has to, it has a user `vagrant` with Vagrant's own public key and sudo.
Reference: "Creating a Base Box" of Vagrant's documentation; `vagrant-libvirt`, "Box Format".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from harness.provision import debian, qemu

NAME: Final = "quorate/bookworm"
PACKAGES: Final = ("dbus", "e2fsprogs", "sudo", "systemd-sysv", "udev")
KEYS: Final = Path("/usr/share/rubygems-integration/all/gems")
VAGRANTFILE: Final = """\
Vagrant.configure("2") do |config|
  config.vm.boot_timeout = 1800
  config.ssh.insert_key = false
  config.ssh.connect_timeout = 60
  config.vm.provider "libvirt" do |machine|
    machine.driver = "qemu"
    machine.cpu_mode = "maximum"
    machine.kernel = File.join(__dir__, "kernel")
    machine.initrd = File.join(__dir__, "initrd")
    idle = %w[apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer]
    masked = idle.map { |unit| "systemd.mask=#{unit}" }.join(" ")
    machine.cmd_line = "console=ttyS0 quiet panic=-1 no_timer_check net.ifnames=0 #{masked}"
    machine.graphics_type = "none"
    machine.video_type = "none"
    machine.qemu_use_session = false
  end
end
"""
SSH_KEY: Final = """\
[Unit]
ConditionPathExists=
[Service]
ExecStartPre=
ExecStartPre=/bin/sh -c 'test -e /etc/ssh/ssh_host_ed25519_key || ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key'
TimeoutStartSec=600
"""
PLACE: Final = "/home" + "/vagrant"  # of the box's user
FILES: Final = {
    "etc/quorate/init": "exec /sbin/init\n",
    "etc/machine-id": "",  # each has its own, and with it an address of its own
    "etc/resolv.conf": "",  # there is nobody to ask, and each question would be waited for
    "etc/hostname": "box\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 box\n",
    "etc/modules-load.d/virtio.conf": "virtio_net\nvirtio_rng\n",
    "etc/systemd/network/10-eth0.network": "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n[DHCPv4]\nClientIdentifier=mac\n",
    "etc/systemd/system.conf.d/slow.conf": "[Manager]\nDefaultTimeoutStartSec=1200\nDefaultDeviceTimeoutSec=1200\n",
    "etc/systemd/system/ssh.service.d/key.conf": SSH_KEY,
    "etc/systemd/system/multi-user.target.d/network.conf": "[Unit]\nWants=systemd-networkd.service ssh.service\n",
    "etc/sysusers.d/vagrant.conf": f"u vagrant 1000 - {PLACE} /bin/bash\n",
    "etc/tmpfiles.d/vagrant.conf": f"d {PLACE} 0755 vagrant vagrant\n",
    "etc/ssh/sshd_config.d/vagrant.conf": "UseDNS no\nAuthorizedKeysFile /etc/ssh/%u.pub\n",
    "etc/sudoers.d/vagrant": "vagrant ALL=(ALL) NOPASSWD:ALL\n",
}


def box(log: Callable[[str], None]) -> Path:
    """The file for `vagrant box add`; made if it is not there."""
    (public,) = KEYS.glob("vagrant-*/keys/vagrant.pub")
    files = {**FILES, "etc/ssh/vagrant.pub": public.read_text()}
    image = qemu.image_of(debian.tree(log, PACKAGES), files, log)
    return (
        debian.kept("vagrant", (image.name, VAGRANTFILE), lambda place: _pack(place, image)) / "quorate.box"
    )


def _pack(place: Path, image: Path) -> None:
    debian.run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(image / "disk"), str(place / "box.img"))
    told = {"provider": "libvirt", "format": "qcow2", "virtual_size": 2}
    (place / "metadata.json").write_text(json.dumps(told))
    (place / "Vagrantfile").write_text(VAGRANTFILE)
    for name in ("kernel", "initrd"):
        (place / name).write_bytes((image / name).read_bytes())
    inside = ("metadata.json", "Vagrantfile", "box.img", "kernel", "initrd")
    debian.run("tar", "-C", str(place), "-cf", str(place / "quorate.box"), *inside)
    for name in inside:
        (place / name).unlink()
