"""How each process of the system ended on its host, and how the host's clock lies to ours: looked at when a run begins and when it is over.

    the shell that waits for a process ──► pid.exits   "4711 137 9032.18"   pid, status, uptime            (harness/worlds/hosts/daemon.py)
    each KILL and TERM of ours         ──► pid.asked   "4711 KILL"

    here      before ───────────────► after
    there           wall, uptime                       offset = wall - (before + after)/2, wrong by no more than (after - before)/2

The answer was made somewhere between the two readings, so the bound holds however unequal the ways there and back are; the narrowest of some
counts. Uptimes become times of ours by the look at the beginning, so no clock that a fault moves matters. A host with our own boot id has our
kernel, and so our clock: there is nothing to measure. Reference: D. Mills, RFC 5905, section 8 (offset and delay of an exchange).
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.control import Connection, ControlError
from harness.worlds.hosts.daemon import Daemon

BOOT: Final = "/proc/sys/kernel/random/boot_id"
LOOK: Final = f"read up rest </proc/uptime; date +%s.%N; echo $up; cat {BOOT}"
LOOKS: Final = 5


@dataclass(frozen=True, slots=True)
class Sounding:
    """One look at a host's clock: its offset from ours and the bound of it, and which of our times its uptime 0 was."""

    offset_ms: float
    within_ms: float
    booted_s: float
    boot: str

    def as_json(self) -> dict[str, float]:
        """For environment.json."""
        return {"offset_ms": round(self.offset_ms, 3), "within_ms": round(self.within_ms, 3)}


def sounding(before_s: float, after_s: float, said: str) -> Sounding:
    """From our readings around `LOOK`, and what it said. Raises ControlError if that are no times, as of a `date` without nanoseconds."""
    middle = (before_s + after_s) / 2
    try:
        wall, up, boot = said.split()
        return Sounding(1000 * (float(wall) - middle), 500 * (after_s - before_s), middle - float(up), boot)
    except ValueError:
        raise ControlError(f"the host does not tell its clock: {said[:80]!r}") from None


def sound(connection: Connection) -> Sounding:
    """The narrowest of some looks. Raises ControlError."""
    found = []
    for _ in range(LOOKS):
        before_s = time.time()
        said = connection.shell(LOOK).stdout
        found.append(sounding(before_s, time.time(), said))
    return min(found, key=lambda each: each.within_ms)


class Endings:
    """Of all hosts of a run. What a host does not tell is left out, and no reason for the run to fail."""

    def __init__(self) -> None:
        self._first: dict[str, Sounding] = {}
        self._last: dict[str, Sounding] = {}
        self._ends: dict[str, list[dict[str, Any]]] = {}

    def begin(self, node: str, connection: Connection) -> None:
        """The look at the beginning."""
        with suppress(ControlError):
            self._first[node] = sound(connection)

    def finish(self, node: str, connection: Connection, daemon: Daemon) -> None:
        """The look at the end, before the host is cleared."""
        try:
            self._last[node] = sound(connection)
            said, running = daemon.ends(connection), daemon.look(connection)
        except ControlError:
            return
        if (first := self._first.get(node)) is not None:
            self._ends[node] = ends_of(node, said, first.booted_s)
            self._ends[node] += [end(node, running.pid, running=True)] if running else []

    def told(self) -> dict[str, Any]:
        """For environment.json: `ends`, None where it is not known, and the `clocks` of hosts that have one of their own."""
        ours = Path(BOOT).read_text().strip()
        clocks = {
            node: {"shared": first.boot == ours, "begin": first.as_json(), "end": last.as_json() if (last := self._last.get(node)) else None}
            for node, first in self._first.items()
        }  # fmt: skip
        return {"ends": [each for ends in self._ends.values() for each in ends], "ends_of": sorted(self._ends), "clocks": clocks}  # fmt: skip


def end(node: str, pid: int, *, at_s: float | None = None, status: int | None = None, asked: str = "", running: bool = False) -> dict[str, Any]:  # fmt: skip
    """One process. `asked`: the signal with which we ended it; `at_s` is in our time since the epoch."""
    return {"node": node, "pid": pid, "at_s": at_s, "status": status, "asked": asked, "running": running}


def ends_of(node: str, said: str, booted_s: float) -> list[dict[str, Any]]:
    """From the lines of exits and of what was asked (`Daemon.ends`). The last signal that a process was sent is what it was asked."""
    exits, asked = list[tuple[str, str, str]](), dict[str, str]()
    for line in said.splitlines():
        match line.split():
            case [pid, signal]:
                asked[pid] = signal
            case [pid, status, up]:
                exits.append((pid, status, up))
    return [
        end(node, int(pid), at_s=round(booted_s + float(up), 3), status=int(status), asked=asked.get(pid, ""))
        for pid, status, up in exits
    ]
