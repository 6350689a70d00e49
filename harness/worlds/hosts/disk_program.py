"""Runs on a host, as root, on the standard library alone: a disk of a node's own, and what happens to it.

    IMAGE ── /dev/loopN ── ext4 ── PLACE          a file of the host's disk, so that an fsync costs and keeps what it does in earnest

    make     an empty disk is mounted at PLACE
    cut      the power goes: ext4's shutdown ioctl forgets the journal's open transaction and every dirty page, at once; then the disk is
             mounted anew, which replays the journal, and what is there is compared, page by page, with what a process could read before

The loop device lets itself go with the last mount, and mounts go with a host of namespaces: nothing is left of one that is gone.

    python3 disk_program.py make|cut IMAGE PLACE

It prints one line of JSON; what cannot be done is told in one sentence, exit status 1. Reference: linux/fs/ext4/ioctl.c
(EXT4_IOC_SHUTDOWN); the generic tests of xfstests, which crash file systems in the same way.
"""

import fcntl
import json
import os
import stat
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator

SHUTDOWN, WITHOUT_LOG_FLUSH = 0x8004_587D, 2
LOOP_MAJOR, CONTROL = 7, (10, 237)
SIZE_BYTES, PAGE = 1 << 30, 4096
MARKER = ".quorate-unsynced"
PACKAGES = {"mke2fs": "e2fsprogs", "mount": "mount", "umount": "mount"}
TRIES, PAUSE_S = 40, 0.05


class Refused(Exception):
    """What this host cannot do, and why."""


def run(*words: str) -> str:
    """Run a program; what it said, nothing if all went well."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return f"there is no {words[0]} (`apt-get install {PACKAGES[words[0]]}` there)"
    return "" if done.returncode == 0 else " ".join((done.stderr or done.stdout).split()) or "no reason given"


def again(step: Callable[[], str], what: str) -> None:
    """Try for a while: another host of this machine may take the loop device first, a process may still be on its way out."""
    for _ in range(TRIES):
        said = step()
        if not said:
            return
        time.sleep(PAUSE_S)
    raise Refused(f"{what}: {said}")


def loop_device() -> str:
    """A loop device that is free now, with its node in /dev. Raises Refused."""
    if not os.path.exists("/dev/loop-control"):
        os.mknod("/dev/loop-control", 0o600 | stat.S_IFCHR, os.makedev(*CONTROL))
    try:
        found = subprocess.run(["losetup", "-f"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Refused("there is no losetup (`apt-get install mount` there)") from None
    device = found.stdout.strip()
    if found.returncode != 0 or not device:
        raise Refused(f"there is no loop device: {' '.join(found.stderr.split())}")
    if not os.path.exists(device):
        minor = int(device.removeprefix("/dev/loop"))
        os.mknod(device, 0o600 | stat.S_IFBLK, os.makedev(LOOP_MAJOR, minor))
    return device


def mount(image: str, place: str) -> None:
    """Mount the image through a loop device that goes with the mount."""
    again(lambda: run("mount", "-t", "ext4", "-o", f"loop={loop_device()}", image, place), "no disk can be mounted")  # fmt: skip


def make(image: str, place: str) -> dict[str, object]:
    """An empty disk. It is sparse: what is not written costs nothing."""
    os.makedirs(place, exist_ok=True)
    with open(image, "wb") as file:
        file.truncate(SIZE_BYTES)
    if said := run("mke2fs", "-q", "-t", "ext4", "-F", "-m", "0", image):
        raise Refused(f"no ext4 can be made: {said}")
    mount(image, place)
    os.rmdir(os.path.join(place, "lost+found"))
    handle = os.open(place, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
    return {}


def pages(place: str) -> Iterator[tuple[str, list[int]]]:
    """Every file there, and a checksum of each of its pages, as a process would read them now."""
    for folder, _, names in os.walk(place):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    yield os.path.relpath(path, place), [zlib.crc32(page) for page in iter(lambda: file.read(PAGE), b"")]  # fmt: skip


def lost(before: dict[str, list[int]], after: dict[str, list[int]]) -> dict[str, int]:
    """How many pages of each file are not what they were."""
    found = {}
    for name, was in before.items():
        now = after.get(name, [])
        same = sum(old == new for old, new in zip(was, now, strict=False))
        if count := len(was) - same:
            found[name] = count
    return found


def cut(image: str, place: str) -> dict[str, object]:
    """Lose what is not synced. Nobody may have a file open there."""
    if not os.path.ismount(place):
        raise Refused(f"no disk of its own is mounted at {place}")
    marker = os.path.join(place, MARKER)
    with open(marker, "w") as file:
        file.write("written, and not synced")
    before = dict(pages(place))
    handle = os.open(place, os.O_RDONLY)
    try:
        fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
    except OSError as error:
        raise Refused(f"its ext4 cannot be shut down: {error.strerror}") from None
    finally:
        os.close(handle)
    again(lambda: run("umount", place), f"{place} cannot be unmounted")
    mount(image, place)
    after = dict(pages(place))
    before.pop(MARKER)
    kept = os.path.exists(marker) and os.path.getsize(marker) > 0
    if os.path.exists(marker):
        os.unlink(marker)
    return {"forgot": not kept, "lost": lost(before, after)}


if __name__ == "__main__":
    commands: dict[str, Callable[[str, str], dict[str, object]]] = {"make": make, "cut": cut}
    try:
        print(json.dumps(commands[sys.argv[1]](sys.argv[2], sys.argv[3])))
    except (Refused, OSError) as error:
        print(error)
        sys.exit(1)
