"""Runs on a host, as root, on the standard library alone: a disk of a node's own, and what happens to it.

    IMAGE ── /dev/loopN ── ext4 ── PLACE          a file of the host's disk, so that an fsync costs and keeps what it does in earnest

    make     an empty disk is mounted at PLACE
    cut      the power goes: ext4's shutdown ioctl forgets the journal's open transaction and every dirty page, at once; then the disk is
             mounted anew, which replays the journal, and what is there is compared, page by page, with what a process could read before

The loop device lets itself go with the last mount, and mounts go with a host of namespaces: nothing is left of one that is gone.

    full         a ballast file takes all the room          read-only   ext4 is told to abort, as when it meets an error
    broken       the shutdown ioctl, and it stays so        slow        frozen for STALL_MS, thawed for a moment, frozen, … until SIGTERM
    lying        a copy of the image is kept, made while it is frozen: with the next cut the disk is that copy again, and all that was
                 written since is lost, synced or not
    probe        a write and its fsync: what they get, and how long they take
    whole        all of these end; after read-only and broken that takes a new mount, for which no process may have a file open there

    python3 disk_program.py make|cut|full|read-only|broken|lying|probe|whole IMAGE PLACE       slow IMAGE PLACE STALL_MS

It prints one line of JSON; what cannot be done is told in one sentence, exit status 1. Reference: linux/fs/ext4/ioctl.c
(EXT4_IOC_SHUTDOWN); the generic tests of xfstests, which crash file systems in the same way.
"""

import contextlib
import errno
import fcntl
import json
import os
import signal
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
FREEZE, THAW = 0xC004_5877, 0xC004_5878
MARKER, BALLAST, PROBE = ".quorate-unsynced", ".quorate-ballast", ".quorate-probe"
PROMISED, KEPT = ".quorate-synced", ".kept"
PROBE_BYTES, PROBES, PROBE_S, THAWED_S = 1 << 16, 5, 2.0, 0.01
PACKAGES = {
    "mke2fs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "mount": "mount",
    "umount": "mount",
    "cp": "coreutils",
}
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
    remove_lost_and_found(place)
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


def broken(image: str, place: str) -> dict[str, object]:
    """Every access fails from now on, and what is not synced is lost."""
    handle = os.open(place, os.O_RDONLY)
    try:
        fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
    except OSError as error:
        raise Refused(f"its ext4 cannot be shut down: {error.strerror}") from None
    finally:
        os.close(handle)
    return {}


def cut(image: str, place: str) -> dict[str, object]:
    """Lose what is not synced. Nobody may have a file open there."""
    if not os.path.ismount(place):
        raise Refused(f"no disk of its own is mounted at {place}")
    marker = os.path.join(place, MARKER)
    with open(marker, "w") as file:
        file.write("written, and not synced")
    before = dict(pages(place))
    broken(image, place)
    again(lambda: run("umount", place), f"{place} cannot be unmounted")
    if os.path.exists(image + KEPT):
        os.replace(image + KEPT, image)
    mount(image, place)
    after = dict(pages(place))
    before.pop(MARKER)
    lied = before.pop(PROMISED, None) is not None and PROMISED not in after
    kept = os.path.exists(marker) and os.path.getsize(marker) > 0
    if os.path.exists(marker):
        os.unlink(marker)
    tidy(place)
    return {"forgot": not kept, "lost": lost(before, after), "lied": lied}


def full(image: str, place: str) -> dict[str, object]:
    """Take all the room there is, in ever smaller pieces."""
    with open(os.path.join(place, BALLAST), "ab") as file:
        size = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
        while size >= 1024:
            try:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2
        os.fsync(file.fileno())
    return {}


def read_only(image: str, place: str) -> dict[str, object]:
    """Let ext4 do what it does when it meets an error."""
    if said := run("mount", "-o", "remount,abort", place):
        raise Refused(f"its ext4 cannot be made read-only: {said}")
    return {}


def lying(image: str, place: str) -> dict[str, object]:
    """Keep what is there now. What is promised from now on is not kept."""
    handle = os.open(place, os.O_RDONLY)
    try:
        fcntl.ioctl(handle, FREEZE, 0)
        try:
            said = run("cp", "--sparse=always", image, image + KEPT)
        finally:
            fcntl.ioctl(handle, THAW, 0)
        if said:
            raise Refused(f"its disk cannot be copied: {said}")
        with open(os.path.join(place, PROMISED), "w") as file:
            file.write("written, and synced")
            file.flush()
            os.fsync(file.fileno())
        os.fsync(handle)
    finally:
        os.close(handle)
    return {}


def slow(image: str, place: str, stall_ms: str) -> None:
    """Freeze it again and again, until SIGTERM. A frozen file system takes no write; reads go on.

    The handle is held all the time: it keeps the disk mounted, so that no other file system is ever frozen in its place.
    """
    over: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: over.append(number))
    handle = os.open(place, os.O_RDONLY)
    if not os.path.ismount(place):
        raise Refused(f"no disk of its own is mounted at {place}")
    while not over:
        fcntl.ioctl(handle, FREEZE, 0)
        time.sleep(float(stall_ms) / 1000)
        fcntl.ioctl(handle, THAW, 0)
        time.sleep(THAWED_S)


def probe(image: str, place: str) -> dict[str, object]:
    """Write a little and sync it, a few times or for a while; the longest that it took. The time counts from before the file is opened."""
    path, took_s, enough = os.path.join(place, PROBE), 0.0, time.monotonic() + PROBE_S
    try:
        for _ in range(PROBES):
            began = time.monotonic()
            try:
                with open(path, "wb") as file:
                    file.write(b"p" * PROBE_BYTES)
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                took_s = max(took_s, time.monotonic() - began)
            if time.monotonic() > enough:
                break
        os.unlink(path)
    except OSError as error:
        return {"error": errno.errorcode.get(error.errno or 0, str(error)), "took_ms": 1000 * took_s}
    return {"error": "", "took_ms": 1000 * took_s}


def whole(image: str, place: str) -> dict[str, object]:
    """End every trouble; mount anew what takes no write even so."""
    if not os.path.ismount(place):
        mount(image, place)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(image + KEPT)
    tidy(place)
    if probe(image, place)["error"]:
        again(lambda: run("umount", place), f"{place} cannot be unmounted")
        run("e2fsck", "-p", image)
        mount(image, place)
        tidy(place)
    return probe(image, place)


def remove_lost_and_found(place: str) -> None:
    """A system may take it for its own. If something was found, it stays."""
    with contextlib.suppress(OSError):
        os.rmdir(os.path.join(place, "lost+found"))


def tidy(place: str) -> None:
    """Remove what troubles and probes have put there, if the disk takes it."""
    for name in (BALLAST, PROBE, PROMISED):
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(place, name))
    remove_lost_and_found(place)


if __name__ == "__main__":
    commands: dict[str, Callable[..., dict[str, object] | None]] = {
        "make": make, "cut": cut, "full": full, "read-only": read_only, "broken": broken, "lying": lying, "slow": slow, "probe": probe, "whole": whole,
    }  # fmt: skip
    try:
        print(json.dumps(commands[sys.argv[1]](*sys.argv[2:])))
    except (Refused, OSError) as error:
        print(error)
        sys.exit(1)
