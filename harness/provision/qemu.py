"""Local hosts that are machines: each with a kernel, a disk and a clock of its own. QEMU emulates the processor. Needs root.

    switch namespace of the cluster (local.py)
    ┌──────────────────────────────────────────────────────┐
    │ br0 ── tap n1 ── qemu ── n1 .1   Debian's cloud kernel│   disk: the small Debian of debian.py as one ext4 image,
    │     └─ tap n2 ── qemu ── n2 .2   …                    │   under a copy-on-write layer for each machine (qcow2)
    └──────────────────────────────────────────────────────┘

Emulation (TCG) makes programs some ten to forty times slower than they are, and works everywhere. KVM is not used: that /dev/kvm can be
opened does not say that a stock kernel boots on it. A machine's disk is as durable as a disk: what its kernel has written there outlives
the machine's kernel. `cache=unsafe` spares the real disk, which no fault of ours cuts off. A kernel looks whether its timer ticks, and gives up on one
that is starved while it boots: so `no_timer_check`.
Reference: qemu-system-x86_64(1), "Direct Linux Boot".
"""

from __future__ import annotations

import gzip
import ipaddress
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from harness.provision import debian, local, qemu_boot
from harness.provision.inventory import Host, Inventory
from harness.provision.state import DISK_ROOT, STATE_ROOT
from harness.worlds import WorldError

TOOLS: Final = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mke2fs": "e2fsprogs",
    "dpkg-deb": "dpkg",
    **debian.TOOLS,
    "ip": "iproute2",
    "nsenter": "util-linux",
    "setsid": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}  # tool: the Debian package that has it
KERNEL: Final = "linux-image-cloud-amd64"
MEMORY_MB: Final = 256  # of a machine
PROCESS_MB: Final = 320  # and of its QEMU
DISK: Final = "1500M"
SLOWNESS: Final = 10.0
MACHINE: Final = (
    "-accel tcg,tb-size=64 -cpu max -machine q35 -smp 1 -nodefaults -no-user-config -display none -monitor none "
    "-device virtio-rng-pci -device virtio-blk-pci,drive=disk -device virtio-net-pci,netdev=net,romfile=,mac="
)


def up(
    name: str, count: int, *, timeout_s: float = 600.0, log: Callable[[str], None] = lambda text: None
) -> Inventory:  # fmt: skip
    """Make `count` hosts n1, n2, … and return once each answers SSH. Raises PlanError, WorldError as `local.up` says."""
    local.require(TOOLS, "qemu")
    require_room(count)

    def start(hosts: Sequence[Host], subnet: ipaddress.IPv4Network) -> None:
        image = image_of(debian.tree(log), {}, log)
        switch = local.link_switch(name, subnet)
        taps = [f"tuntap add dev {host.name} mode tap" for host in hosts]
        local.ip([*taps, *(f"link set {host.name} master br0 up" for host in hosts)], namespace=switch)
        log(f"booting {count} machines in {subnet}")
        for host in hosts:
            _boot(name, host, subnet, switch, image)

    return local.up(
        "qemu",
        name,
        count,
        start,
        timeout_s=timeout_s,
        owns_clock=True,
        slowness=SLOWNESS,
        ready=_set_clocks,
        lost="Kernel panic",
        log=log,
    )


def require_room(count: int) -> None:
    """Raise WorldError if the machines do not fit in memory, or are not of this processor's kind."""
    if os.uname().machine != "x86_64":
        raise WorldError(
            f"hosts of kind qemu are x86_64 machines, and the store packed here is for {os.uname().machine}: use `--kind netns`."
        )
    lines = Path("/proc/meminfo").read_text().splitlines()
    free_mb = next(int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:"))
    if count * PROCESS_MB > free_mb:
        raise WorldError(
            f"{count} machines need {count * PROCESS_MB} MB of memory, and {free_mb} MB are free here: ask for fewer with -n."
        )


def _boot(name: str, host: Host, subnet: ipaddress.IPv4Network, switch: str, image: Path) -> None:
    """Start QEMU for one host. What it says and the machine's console go to the host's log."""
    state, disk = STATE_ROOT / name, DISK_ROOT / name / host.name / "disk.qcow2"
    files = local.files_of(STATE_ROOT / name, host) | {
        "name": host.name.encode(),
        "address": f"{host.address}/{subnet.prefixlen}".encode(),
        "init": qemu_boot.HOST_INIT.encode(),
    }
    own = qemu_boot.archive({f"host/{file}": content for file, content in files.items()})
    initrd = state / f"{host.name}.initrd"
    initrd.write_bytes(qemu_boot.joined((image / "initrd").read_bytes(), own))
    initrd.chmod(0o600)
    debian.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image / "disk"), "-F", "raw", str(disk))
    number = ipaddress.IPv4Address(host.address).packed
    mac = f"52:54:00:{number[1]:02x}:{number[2]:02x}:{number[3]:02x}"
    command = ["qemu-system-x86_64", *f"{MACHINE}{mac}".split(), "-m", str(MEMORY_MB), "-chardev", f"file,id=console,path={state}/{host.name}.log,append=on", "-serial", "chardev:console",
               "-kernel", f"{image}/kernel", "-initrd", str(initrd), "-append", "console=ttyS0 quiet panic=-1 no_timer_check net.ifnames=0",
               "-drive", f"file={disk},if=none,id=disk,format=qcow2,cache=unsafe",
               "-netdev", f"tap,id=net,ifname={host.name},script=no,downscript=no"]  # fmt: skip
    local.launch(switch, command, state / f"{host.name}.log")


def _set_clocks(hosts: Sequence[Host]) -> None:
    """The clock of a new machine lags by up to a second, for QEMU's counts whole seconds. Set each to ours, once."""
    script = "echo ready; read now; date --utc --set=@$now"
    for host in hosts:
        command = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={host.known_hosts}", "-i", host.key,
                   f"{host.user}@{host.address}", script]  # fmt: skip
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=local.PLAIN,
        ) as ssh:
            assert ssh.stdout is not None
            ready = ssh.stdout.readline()
            _, errors = ssh.communicate(f"{time.time():.6f}\n", timeout=60)
        if ready != "ready\n" or ssh.returncode != 0:
            raise WorldError(f"the clock of {host.label} cannot be set: {errors.strip()}")


def image_of(tree: Path, files: Mapping[str, str], log: Callable[[str], None]) -> Path:
    """A directory with a `kernel`, an `initrd` and a `disk` of this Debian with these files, all made of Debian's packages."""
    boot = (qemu_boot.INITRD_INIT, *qemu_boot.DISK_MODULES)
    own = [part for name in sorted(files) for part in (name, files[name])]
    return debian.kept(
        "qemu", (tree.name, KERNEL, DISK, *boot, *own), lambda place: _make(place, tree, files, log)
    )


def _make(place: Path, tree: Path, files: Mapping[str, str], log: Callable[[str], None]) -> None:
    log("making the disk of machines: once, some twenty seconds")
    kernel, disk = place / "package", place / "files"
    version = _unpack_kernel(kernel)
    debian.run(
        "cp", "-al", str(tree), str(disk)
    )  # by hard links: nothing below is written to, things are added
    for name, text in files.items():
        (disk / name).parent.mkdir(parents=True, exist_ok=True)
        (disk / name).unlink(missing_ok=True)
        (disk / name).write_text(text)
    shutil.copytree(kernel / "lib/modules", disk / "usr/lib/modules", symlinks=True)
    debian.run(*debian.APART, "chroot", str(disk), "depmod", version)
    modules = disk / "usr/lib/modules" / version
    (place / "initrd").write_bytes(gzip.compress(_initrd(tree, modules), mtime=0))
    (kernel / "boot" / f"vmlinuz-{version}").rename(place / "kernel")
    debian.run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", str(disk), str(place / "disk"), DISK)
    shutil.rmtree(disk)
    shutil.rmtree(kernel)


def _unpack_kernel(place: Path) -> str:
    """Get the kernel's package from apt's mirror, unpack it there, and return its version."""
    place.mkdir()
    listed = debian.run("apt-cache", "depends", KERNEL).splitlines()
    package = next(
        (line.split()[-1] for line in listed if line.strip().startswith("Depends: linux-image-")), None
    )
    if package is None:
        raise WorldError(f"apt knows no {KERNEL} here: try `apt-get update`.")
    debian.run("env", "--chdir", str(place), "apt-get", "-qq", "download", package)
    (archive,) = place.glob("*.deb")
    debian.run("dpkg-deb", "--extract", str(archive), str(place))
    return package.removeprefix("linux-image-")


def _initrd(tree: Path, modules: Path) -> bytes:
    """What a machine needs to find its disk."""
    order = qemu_boot.in_order(qemu_boot.DISK_MODULES, (modules / "modules.dep").read_text())
    names = [path.rsplit("/", 1)[-1] for path in order]
    files = {"init": qemu_boot.INITRD_INIT.encode(), "bin/busybox": (tree / "usr/bin/busybox").read_bytes()}
    files |= {
        f"modules/{name}": (modules / path).read_bytes() for name, path in zip(names, order, strict=True)
    }
    files["modules/order"] = "".join(f"{name}\n" for name in names).encode()
    return qemu_boot.archive(files, executable=("init", "bin/busybox"))
