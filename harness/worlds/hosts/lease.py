"""Leases: a host heals itself when nobody renews its faults any more, so that a harness that died leaves no damage behind.

    harness ── every fifth of the lease ──► lease file: "until this uptime"
    watchdog on the host, a shell, every second: past it?  ─► our troubles on links end, the process goes on (also one that is
                                                              frozen: the watchdog is not in its group), its clock offset is none;
                                                              it says so in a file and ends
    `quorate hosts heal` does the same at once, and prints what it found

Uptime, not wall clock, so that no shifted clock matters. A lease that lapsed while the harness lived (it was stopped, the network was gone) is
noticed at the next renewal, at the latest when all is healed: the run cannot be VALID then, for its faults ended at a time that nobody chose.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from typing import Final

from harness.control import Connection
from harness.worlds import WorldError
from harness.worlds.hosts import disk, groups, links, own_clock
from harness.worlds.hosts.daemon import found
from harness.worlds.hosts.links import Each

LEASE_S: Final = 20.0
HEAL_TIMEOUT_S: Final = 60.0  # it waits for processes to end, and for a disk
LAPSED: Final = "lapsed"

HEAL: Final = r"""
{found}
if [ -n "$pid" ] && sed 's/.*) //' /proc/$pid/stat | grep -q '^[Tt]'; then kill -CONT $pid && echo "process $pid goes on"; fi
if [ -e {directory}/clock-offset ] && ! grep -qx '+0.000000' {directory}/clock-offset; then
  echo "the clock offset $(cat {directory}/clock-offset) s is taken back"
  printf '+0.000000\n' >{directory}/clock-offset.new && mv -f {directory}/clock-offset.new {directory}/clock-offset
fi
"""
WATCHDOG: Final = r"""
while read until <{directory}/lease; do
  read up rest </proc/uptime
  if [ "${{up%.*}}" -gt "$until" ]; then
    rm -f {directory}/lease
    ( {heal} ) >{directory}/healed 2>&1
    exit 0
  fi
  sleep 1
done 2>/dev/null
"""


class Leases:
    """Of all hosts of a run."""

    def __init__(self, each: Each, nodes: tuple[str, ...], directory: str, lease_s: float) -> None:
        self._each, self._nodes, self._directory, self._lease_s = each, nodes, directory, lease_s
        self._lapsed: set[str] = set()  # hosts that healed themselves, for nobody renewed their lease in time

    async def begin(self) -> None:
        """Every host's."""
        await self._each(
            lambda node, connection: begin(connection, self._directory, self._lease_s), self._nodes
        )

    async def keep(self) -> None:
        """Renew them all until the world goes down."""
        while True:
            await asyncio.sleep(self._lease_s / 5)
            await self._renew()

    async def _renew(self) -> None:
        """All at once. A host that does not answer is tried again: its lease runs on meanwhile, and delays no other."""

        def renewed(node: str, connection: Connection) -> None:
            with contextlib.suppress(WorldError):
                if not renew(connection, self._directory, self._lease_s):
                    self._lapsed.add(node)

        await self._each(renewed, self._nodes)

    async def refuse_lapsed(self) -> None:
        """Raises WorldError if one has lapsed, also one that nobody has heard of yet: after a standstill this may come before the renewal that was due."""
        await self._renew()
        if self._lapsed:
            raise WorldError(
                f"the lease of {', '.join(sorted(self._lapsed))} lapsed: nobody renewed it for {self._lease_s:g} s, so the faults there ended by "
                f"themselves; look why the harness stood still"
            )


def heal_script(directory: str) -> str:
    """The shell that removes every fault of ours on a host and prints what it found."""
    own = HEAL.format(directory=shlex.quote(directory), found=found(f"{shlex.quote(directory)}/pid"))
    return (
        groups.HEAL
        + own
        + own_clock.heal_script(directory)
        + links.heal_script(directory)
        + disk.heal_script(directory)
    )


def begin(connection: Connection, directory: str, lease_s: float) -> None:
    """Start the watchdog; the lease must be renewed within `lease_s` from now on."""
    _write(connection, directory, lease_s, "")
    script = WATCHDOG.format(directory=shlex.quote(directory), heal=heal_script(directory))
    path = f"{directory}/watchdog"
    connection.upload(script.encode(), path)
    connection.shell(f"setsid sh {shlex.quote(path)} >/dev/null 2>&1 </dev/null &")


def renew(connection: Connection, directory: str, lease_s: float) -> bool:
    """Push the end of the lease away; False if it had lapsed."""
    here = shlex.quote(directory)  # what is healed was lapsed, also where a renewal has come between
    guard = f"[ -e {here}/lease ] && [ ! -e {here}/healed ] || {{ echo {LAPSED}; exit 0; }}\n"
    return LAPSED not in _write(connection, directory, lease_s, guard)


def _write(connection: Connection, directory: str, lease_s: float, guard: str) -> str:
    place = f"{shlex.quote(directory)}/lease"
    seconds = max(1, round(lease_s))
    return connection.shell(
        f"{guard}read up rest </proc/uptime\necho $(( ${{up%.*}} + {seconds} )) >{place}.$$ && mv -f {place}.$$ {place}"
    ).stdout


def heal(connection: Connection, directory: str) -> list[str]:
    """Remove every fault of ours now; what was found, line by line. Empty: there was none."""
    return connection.shell(heal_script(directory), timeout_s=HEAL_TIMEOUT_S).stdout.splitlines()
