"""A disk of a node's own on a host, for the faults that need one: an image on the host's disk, mounted where the system keeps its data.

    data_directory  ◄── ext4 ── /dev/loopN ── data_directory.quorate-disk        only in runs whose plan has such a fault (`DISK_KINDS`)

    prepare   make the disk, and rehearse a power cut on it: a host that cannot is named before anything is started
    cut       the power of the disk goes and comes back       spoil, mend   a trouble of it begins, every trouble of it ends
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
from harness.worlds import PowerCut, WorldError
from harness.worlds.disk_trouble import FULL, REFUSALS, SLOW, DiskTrouble, Probe
from harness.worlds.hosts import disk_program
from harness.worlds.hosts.daemon import Daemon, found
from harness.worlds.hosts.packets import LEFT, REMEDY

TIMEOUT_S: Final = 60.0
SLOW_TRIES: Final = 20
HEAL: Final = r"""
if place=$(cat {directory}/disk 2>/dev/null); then
  if grep -qF " $place ext4 " /proc/mounts; then
    for file in {directory}/disk-slow/pid {directory}/pid; do
      {found}
      if [ -n "$pid" ]; then
        if [ $file = {directory}/pid ]; then kill -KILL $pid && echo "process $pid is killed, for the disk it writes on goes"
        else kill -TERM $pid && echo "the disk at $place is slow no more"; fi
        turns=0
        while kill -0 $pid 2>/dev/null && [ $turns -lt 100 ]; do sleep 0.05; turns=$(( turns + 1 )); done
      fi
      fsfreeze -u "$place" 2>/dev/null
    done
    turns=0
    until umount "$place" 2>/dev/null || [ $turns -gt 100 ]; do sleep 0.05; turns=$(( turns + 1 )); done
    if grep -qF " $place ext4 " /proc/mounts; then echo "the disk at $place is {left}"; else echo "the disk at $place is taken away"; fi
  fi
  if ! grep -qF " $place ext4 " /proc/mounts; then rm -f "$place.quorate-disk" "$place.quorate-disk.kept" {directory}/disk; fi
fi
"""


class RefusedError(Exception):
    """What the program on the host says it cannot do, and why."""


def image(place: str) -> str:
    """The file that holds the disk which is mounted at `place`."""
    return f"{place}.quorate-disk"


def kept(place: str) -> str:
    """What is in truth on a disk that lies: its image as it was when it began to."""
    return image(place) + disk_program.KEPT


def needed(kinds: Iterable[str]) -> list[str]:
    """The faults among these that need a disk of the node's own."""
    return [kind for kind in kinds if kind in DISK_KINDS]


def place_of(label: str, data: str, kinds: Iterable[str]) -> str:
    """Where a host's own disk is mounted, which is where its data is. Raises WorldError if no fault of the run gave it one."""
    if not needed(kinds):
        raise WorldError(f"{label} has no disk of its own, for no fault of this run needs one.")
    return data


def heal_script(directory: str) -> str:
    """Shell that takes the disk away, and prints what it found."""
    return HEAL.format(directory=shlex.quote(directory), found=found("$file"), left=LEFT)


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
    """The power of the disk goes and comes back, and every trouble of it ends. No process may have a file open on it."""
    _slow(directory, place).terminate(connection)
    told = _ask(connection, directory, "cut", place)
    return PowerCut(forgot=told["forgot"], lost=told["lost"], lied=told["lied"])


def spoil(connection: Connection, directory: str, place: str, trouble: DiskTrouble) -> Probe:
    """Begin a trouble, and look what a write gets."""
    _slow(directory, place).terminate(connection)
    if trouble.kind != SLOW:
        _ask(connection, directory, trouble.kind, place)
        return _probe(connection, directory, place)
    program = _slow(directory, place, trouble.stall_ms)
    connection.run("mkdir", "-p", program.directory)
    program.start(connection)
    seen = Probe("", 0.0)
    for _ in range(SLOW_TRIES):  # until the program has begun
        seen = _probe(connection, directory, place)
        if seen.error or seen.took_ms >= trouble.stall_ms / 2:
            break
    return seen


def mend(connection: Connection, directory: str, place: str, system: Daemon) -> Probe:
    """End every trouble. The system is killed where that takes a new mount."""
    _slow(directory, place).terminate(connection)
    if _probe(connection, directory, place).error not in ("", REFUSALS[FULL]):
        system.stop(connection)
    told = _ask(connection, directory, "whole", place)
    return Probe(told["error"], told["took_ms"])


def _probe(connection: Connection, directory: str, place: str) -> Probe:
    told = _ask(connection, directory, "probe", place)
    return Probe(told["error"], told["took_ms"])


def _slow(directory: str, place: str, stall_ms: float = 0.0) -> Daemon:
    """The program that makes a disk slow, and how it is found again."""
    own = f"{directory}/disk-slow"
    return Daemon(
        command=("python3", f"{directory}/disk_program.py", "slow", image(place), place, f"{stall_ms:g}"),
        environment={}, directory=own, pid_file=f"{own}/pid", log_file=f"{own}/log",
    )  # fmt: skip


def _ask(connection: Connection, directory: str, what: str, place: str) -> dict[str, Any]:
    """Have the program do it. Raises ControlError that names the host."""
    try:
        return _run(connection, directory, what, place)
    except RefusedError as error:
        raise ControlError(f"{connection.host.label}: {error}.") from None


def _run(connection: Connection, directory: str, what: str, place: str) -> dict[str, Any]:
    """Have the program do it. Raises RefusedError with its own words."""
    command = ["python3", f"{directory}/disk_program.py", what, image(place), place]
    done = connection.run(*command, timeout_s=TIMEOUT_S, check=False)
    if done.status != 0:
        words = done.stdout.strip() or done.stderr.strip() or "no reason given"
        raise RefusedError(words.splitlines()[-1])
    told: dict[str, Any] = json.loads(done.stdout)
    return told
