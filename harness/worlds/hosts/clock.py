"""Clock offsets on a host, by libfaketime: the process reads a shifted wall clock, the host's clock is never touched.

    LD_PRELOAD=libfaketime ──► time() ──► + what the offset file says, read anew at each call (about 6 us)
                                          monotonic time, and so every time-out, is left alone

The offset is measured, not repeated: `date` is run on the host with the preload settings found in the environment of
the living process, between two readings of the true clock. What is between them is the offset, to a few milliseconds.
A Go program loads the library and does not ask it: it reads the kernel's page (vDSO) by itself. So there is no offset to measure.
"""

from __future__ import annotations

import shlex
from typing import Final

from harness.control import Connection, ControlError

LIBRARY: Final = "libfaketimeMT.so.1"  # the one for programs with threads
READINGS_MAX: Final = 40  # on a busy host few are quick
NEAR_MS: Final = 30.0  # so it is sure to 15
SETTINGS: Final = "LD_PRELOAD|FAKETIME_TIMESTAMP_FILE|FAKETIME_NO_CACHE|FAKETIME_DONT_FAKE_MONOTONIC"
_FIND: Final = (
    f"for file in /usr/lib/*/faketime/{LIBRARY} /usr/lib*/faketime/{LIBRARY} /usr/local/lib/faketime/{LIBRARY}; do "
    'if [ -e "$file" ]; then echo "$file"; break; fi; done'
)


def find_library(connection: Connection) -> str | None:
    """Where libfaketime is on the host, None if it is not there."""
    return connection.shell(_FIND).stdout.strip() or None


def environment(library: str, offset_file: str) -> dict[str, str]:
    """The variables with which a process reads its clock through the offset file."""
    return {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": offset_file,
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def refusal(label: str, *, wanted: bool) -> str:
    """Why the clock of a host cannot be shifted whose process has no library preloaded."""
    if not wanted:
        return f"{label}: clocks were not to be shifted in this run, so libfaketime is not preloaded."
    return f"{label} has no libfaketime, so its clock cannot be shifted: `apt-get install faketime` there."


def set_offset(connection: Connection, offset_file: str, offset_ms: float) -> None:
    """Write the offset by renaming, so that a reader finds the old or the new, never half."""
    new, path = shlex.quote(f"{offset_file}.new"), shlex.quote(offset_file)
    connection.shell(f"printf '%s\\n' {offset_text(offset_ms)} >{new} && mv -f {new} {path}")


def offset_text(offset_ms: float) -> str:
    """As libfaketime reads it: seconds with a sign."""
    return f"{offset_ms / 1000:+.6f}"


def measure_ms(connection: Connection, pid: int | None) -> float:
    """The offset of the wall clock as process `pid` sees it, against its host's, in milliseconds: of a few readings on a busy host the one taken quickest."""
    if pid is None:
        raise ControlError(f"{connection.host.label}: there is no process whose clock could be measured.")
    readings: list[tuple[float, float, float]] = []
    while len(readings) < READINGS_MAX:
        readings.append(_read(connection, pid))
        if width_ms(readings[-1]) <= NEAR_MS:
            break
    return offset_between(*min(readings, key=width_ms))


def _read(connection: Connection, pid: int) -> tuple[float, float, float]:
    """The host's clock, what the process sees, and the host's again, in seconds."""
    answer = connection.shell(
        f"settings=$(tr '\\0' '\\n' </proc/{pid}/environ | grep -E '^({SETTINGS})=')\n"
        f"grep -c -e /libfaketime /proc/{pid}/maps\n"
        f"grep -c -a -m1 -F ' Go buildinf:' /proc/{pid}/exe\n"
        "date +%s.%N; env $settings date +%s.%N; date +%s.%N",
        check=False,
    )
    lines = answer.stdout.split()
    if answer.status != 0 or len(lines) != 5:
        raise ControlError(
            f"{connection.host.label}: cannot measure the clock of pid {pid}: {answer.stderr.strip() or lines}."
        )
    if int(lines[0]) == 0:
        raise ControlError(
            f"{connection.host.label}: pid {pid} runs without libfaketime, so its clock cannot be shifted."
        )
    if int(lines[1]) > 0:
        raise ControlError(
            f"{connection.host.label}: pid {pid} is a Go program, which reads the kernel's clock past libfaketime, so its clock cannot be shifted: "
            f"leave the fault clock out."
        )
    before_s, faked_s, after_s = (float(line) for line in lines[2:])
    return before_s, faked_s, after_s


def width_ms(reading: tuple[float, float, float]) -> float:
    """How long a reading took: what it says is sure to half of that."""
    return 1000.0 * (reading[2] - reading[0])


def offset_between(before_s: float, faked_s: float, after_s: float) -> float:
    """A reading taken between two true ones, against their middle, in milliseconds."""
    return 1000.0 * (faked_s - (before_s + after_s) / 2)
