"""A small Debian for hosts that do not share this machine's files: made once by debootstrap, kept, and never changed.

    apt's mirror ──debootstrap──► tree-<digest>.new ──rename──► /var/lib/quorate/images/tree-<digest>
                                                                  └► image of containers (docker.py), disk of machines (qemu.py)

The digest is of suite and packages, so a new list of packages makes a new tree. The mirror and the suite are this machine's own:
a host gets the Python that this machine can pack the store for. Removing the directory `images` only costs time.
Reference: debootstrap(8).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from harness.provision.local import PLAIN
from harness.worlds import WorldError

IMAGES: Final = Path("/var/lib/quorate/images")
PACKAGES: Final = (
    "busybox-static",
    "faketime",
    "iproute2",
    "iptables",
    "kmod",
    "openssh-server",
    "procps",
    "python3",
)
TOOLS: Final = {"debootstrap": "debootstrap", "unshare": "util-linux", "setpriv": "util-linux"}
DEBOOTSTRAP_TIMEOUT_S: Final = 1200.0
APART: Final = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child")
"""In namespaces of its own, so that its mounts and processes end with it, and it ends with us."""


def tree(log: Callable[[str], None], more: Sequence[str] = ()) -> Path:
    """The files of a Debian with what hosts need, and `more` packages; made if it is not there. Raises WorldError."""
    suite, packages = _suite(), (*PACKAGES, *more)
    return kept(
        "tree", (suite, *packages), lambda place: _debootstrap(place, suite, _mirror(suite), packages, log)
    )


def kept(what: str, made_of: Sequence[str], make: Callable[[Path], None]) -> Path:
    """The directory of this name and digest in `images`; if it is not there, `make` fills it. One maker at a time."""
    digest = hashlib.blake2s("\0".join(made_of).encode(), digest_size=6).hexdigest()
    place = IMAGES / f"{what}-{digest}"
    if place.exists():
        return place
    IMAGES.mkdir(parents=True, exist_ok=True)
    with _lock(what):
        if not place.exists():
            unfinished = place.with_suffix(".new")
            shutil.rmtree(unfinished, ignore_errors=True)  # left by a maker that was killed
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(place)
    return place


@contextmanager
def _lock(what: str) -> Iterator[None]:
    with open(IMAGES / f"{what}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(*command: str, timeout_s: float = 120.0, env: Mapping[str, str] = PLAIN) -> str:
    """What a command prints. Raises WorldError with what it said last."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout_s, env=env, check=False
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise WorldError(f"`{' '.join(command)[:120]}` did not end within {timeout_s:g} s.") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise WorldError(f"`{' '.join(command)[:120]}` exited {done.returncode} and said: {said}")
    return done.stdout


def _debootstrap(
    place: Path, suite: str, mirror: str, packages: Sequence[str], log: Callable[[str], None]
) -> None:
    log(f"making a small Debian {suite} from {mirror}: once, some two minutes")
    include = f"--include={','.join(packages)}"
    run(
        *APART, "debootstrap", "--variant=minbase", include, suite, str(place), mirror,
        timeout_s=DEBOOTSTRAP_TIMEOUT_S,
    )  # fmt: skip
    for cache in (place / "var/cache/apt/archives").glob("*.deb"):
        cache.unlink()
    for key in (place / "etc/ssh").glob("ssh_host_*"):
        key.unlink()  # each host has its own
    os.sync()


def _suite() -> str:
    """This machine's own, by /etc/os-release."""
    lines = Path("/etc/os-release").read_text().splitlines()
    told = dict(line.split("=", 1) for line in lines if "=" in line)
    if told.get("ID", "").strip('"') != "debian" or "VERSION_CODENAME" not in told:
        raise WorldError(
            "hosts of this kind are made of Debian packages by the machine's own apt, and this machine is "
            f"{told.get('PRETTY_NAME', 'unknown')}: use `--kind netns`."
        )
    return told["VERSION_CODENAME"].strip('"')


def _mirror(suite: str) -> str:
    """Where apt gets Debian's own packages from: the first source with a component `main` of exactly our suite."""
    listing = run(
        "apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(SITE)", "Created-By: Packages"
    )
    for line in listing.splitlines():
        codename, component, site = line.split()
        if (codename, component) == (suite, "main"):
            return site
    raise WorldError(
        f"apt here has no source for {suite} main, from which to make hosts: see /etc/apt/sources.list."
    )
