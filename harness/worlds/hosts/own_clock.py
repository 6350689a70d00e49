"""The wall clock of a host that has one of its own (`owns_clock` of the inventory): a machine, whose kernel is not ours.

    kernel of the host is the harness's?   yes: refused, for it would be this machine's clock, whatever the inventory says
                                           no:  clock_settime there (`clock_program`), and everything on that machine sees it

Namespaces and containers share the kernel and the clock of the machine they are on; there the system's process alone is shown another time
(`clock`). What a dead harness leaves is an offset, which the lease takes back.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

from harness.control import Connection, ControlError
from harness.worlds.hosts import clock_program

BOOT: Final = "/proc/sys/kernel/random/boot_id"


def _files(directory: str) -> tuple[str, str]:
    """The program on the host, and the file in which it notes what is true."""
    return f"{directory}/clock_program.py", f"{directory}/clock-true"


def begin(connection: Connection, directory: str) -> None:
    """Note what the clock shows now, which is true. Raises ControlError if the host's clock is the harness's own."""
    if connection.run("cat", BOOT).stdout.strip() == Path(BOOT).read_text().strip():
        raise ControlError(
            f"{connection.host.label} has the kernel of this machine, and so its clock, which is not set: take owns_clock out of the inventory."
        )
    program, true = _files(directory)
    connection.upload(Path(clock_program.__file__).read_bytes(), program)
    connection.run("python3", program, "begin", true)


def set_offset(connection: Connection, directory: str, offset_ms: float) -> None:
    """Set the host's clock this far off."""
    program, true = _files(directory)
    connection.run("python3", program, "set", true, f"{offset_ms:.3f}")


def measure_ms(connection: Connection, directory: str) -> float:
    """How far it is off."""
    program, true = _files(directory)
    return float(connection.run("python3", program, "tell", true).stdout)


def heal_script(directory: str) -> str:
    """Shell that sets the clock right where one was set, and prints what it found."""
    program, true = map(shlex.quote, _files(directory))
    return f"\nif [ -e {true} ]; then python3 {program} heal {true}; fi\n"


def heal(connection: Connection, directory: str) -> None:
    """Set the clock right if it was set."""
    connection.shell(heal_script(directory))
