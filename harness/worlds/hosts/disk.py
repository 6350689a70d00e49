"""A disk of a node's own on a host, for the faults that need one: an image on the host's disk, mounted where the system keeps its data.

    data_directory  ◄── ext4 ── /dev/loopN ── data_directory.quorate-disk        only in runs whose plan has such a fault (`DISK_KINDS`)

    prepare   make the disk, and rehearse a power cut on it: a host that cannot is named before anything is started
    drop      unmount it and remove the image; also what a harness that was killed has left (`lease`)

The work is done by a program on the host (`disk_program`), as root. Its place is written down in a file first, so that whoever clears
the host later finds it; a mount is of the host alone, so no other host's loop device is ever looked at.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from harness.control import Connection, ControlError
from harness.plan_options import DISK_KINDS
from harness.worlds import PowerCut
from harness.worlds.hosts import disk_program
from harness.worlds.hosts.daemon import MARK
from harness.worlds.hosts.packets import LEFT, REMEDY

TIMEOUT_S: Final = 60.0
HEAL: Final = r"""
if place=$(cat {directory}/disk 2>/dev/null); then
  if grep -qF " $place ext4 " /proc/mounts; then
    pid=$(cat {directory}/pid 2>/dev/null)
    case "$pid" in ""|*[!0-9]*) pid=;; esac
    if [ -n "$pid" ] && tr '\0' '\n' 2>/dev/null </proc/$pid/environ | grep -qxF -e {mark}={directory}/pid; then
      kill -KILL $pid && echo "process $pid is killed, for the disk it writes on goes"
    fi
    turns=0
    until umount "$place" 2>/dev/null || [ $turns -gt 100 ]; do sleep 0.05; turns=$(( turns + 1 )); done
    if grep -qF " $place ext4 " /proc/mounts; then echo "the disk at $place is {left}"; else echo "the disk at $place is taken away"; fi
  fi
  if ! grep -qF " $place ext4 " /proc/mounts; then rm -f "$place.quorate-disk" {directory}/disk; fi
fi
"""


class RefusedError(Exception):
    """What the program on the host says it cannot do, and why."""


def image(place: str) -> str:
    """The file that holds the disk which is mounted at `place`."""
    return f"{place}.quorate-disk"


def needed(kinds: Iterable[str]) -> list[str]:
    """The faults among these that need a disk of the node's own."""
    return [kind for kind in kinds if kind in DISK_KINDS]


def heal_script(directory: str) -> str:
    """Shell that takes the disk away, and prints what it found."""
    return HEAL.format(directory=shlex.quote(directory), mark=MARK, left=LEFT)


def drop(connection: Connection, directory: str) -> None:
    """Take the disk away, verified. Its system must be dead, or is killed."""
    told = connection.shell(heal_script(directory), timeout_s=TIMEOUT_S).stdout
    if LEFT in told:
        raise ControlError(f"{connection.host.label}: {told.splitlines()[-1]}; {REMEDY}.")


def prepare(connection: Connection, directory: str, place: str, kinds: Iterable[str]) -> None:
    """Mount an empty disk at `place` if one of these faults needs it. Raises ControlError when this host cannot: which fault, and why."""
    asked = needed(kinds)
    if not asked:
        return
    connection.upload(Path(disk_program.__file__).read_bytes(), f"{directory}/disk_program.py")
    connection.shell(f"echo {shlex.quote(place)} >{shlex.quote(directory)}/disk")
    try:
        _run(connection, directory, "make", place)
        if not _run(connection, directory, "cut", place)["forgot"]:
            raise RefusedError("what was not synced outlived a power cut there")
    except RefusedError as error:
        drop(connection, directory)
        raise ControlError(
            f"{connection.host.label} cannot do the fault {asked[0]}: {error}. Leave it out of the plan, or run it in the simulator."
        ) from None


def cut(connection: Connection, directory: str, place: str) -> PowerCut:
    """The power of the disk goes and comes back. No process may have a file open on it."""
    try:
        told = _run(connection, directory, "cut", place)
    except RefusedError as error:
        raise ControlError(f"{connection.host.label}: {error}.") from None
    return PowerCut(forgot=told["forgot"], lost=told["lost"])


def _run(connection: Connection, directory: str, what: str, place: str) -> dict[str, Any]:
    """Have the program do it. Raises RefusedError with its own words."""
    command = ["python3", f"{directory}/disk_program.py", what, image(place), place]
    done = connection.run(*command, timeout_s=TIMEOUT_S, check=False)
    if done.status != 0:
        words = done.stdout.strip() or done.stderr.strip() or "no reason given"
        raise RefusedError(words.splitlines()[-1])
    told: dict[str, Any] = json.loads(done.stdout)
    return told
