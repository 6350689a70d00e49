"""Too little memory on hosts: a limit for the control group of the system, a little above what it cannot give back.

    force_empty: what the kernel can take back, it takes ─► limit = usage + room ─► failcnt counts how often the limit is met
    reclaim   nobody is killed (oom_kill_disable): who wants more waits until pages are free, a system call may get ENOMEM
    kill      a hog in the group asks for more than the room; the system's processes are marked to be killed first, and one is

All counts are the kernel's: `failcnt` and `oom_control` of the group, pages that were dropped and read again from `memory.stat`. The group has
the memory of what was born in it: pages of a file that another group had read first are that group's. Reference: memory.rst in
Documentation/admin-guide/cgroup-v1 of Linux.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from harness.control import Connection, ControlError
from harness.plan_options import MEMORY
from harness.worlds.hosts.groups import LIMIT, OOM, SQUEEZED, place
from harness.worlds.hosts.links import Each
from harness.worlds.hosts.packets import LEFT, REMEDY
from harness.worlds.memory import Shortage

MIB: Final = 1 << 20
HOG_BYTES: Final = 4 * MIB  # more than the room
HOG_S: Final = 10

COUNTS: Final = f"""
echo $(cat memory.usage_in_bytes) $(cat {LIMIT}) $(cat memory.failcnt) $(sed -n 's/^oom_kill //p' {OOM}) \
  $(sed -n 's/^total_workingset_refault_file //p' memory.stat)
"""
SQUEEZE: Final = r"""
set -e
cd {group}
[ -e {squeezed} ] || cat {limit} >{squeezed}
echo 0 >memory.force_empty
echo {disable} >{oom}
turns=0
until echo $(( $(cat memory.usage_in_bytes) + {room} )) >{limit} 2>/dev/null; do
  turns=$(( turns + 1 ))
  [ $turns -lt 100 ]
done
{counts}
"""
HOG: Final = r"""
for pid in $(cat cgroup.procs); do echo 1000 >/proc/$pid/oom_score_adj || true; done
(sh -c 'echo $$ >cgroup.procs; exec timeout {seconds} dd if=/dev/zero of=/dev/null bs={size} count=1') >/dev/null 2>&1 || true
"""
RELEASE: Final = r"""
set -e
cd {group}
{counts}
echo -1 >{limit}
echo 0 >{oom}
for pid in $(cat cgroup.procs); do cat /proc/self/oom_score_adj >/proc/$pid/oom_score_adj || true; done
[ "$(cat {limit})" = "$(cat {squeezed})" ]
rm {squeezed}
"""


class Counts(NamedTuple):
    """What the kernel tells of the group, in the order of COUNTS: bytes, the limit, and counters."""

    usage: int
    limit: int
    met: int
    killed: int
    reread: int


class HostMemory:
    """`harness.worlds.memory.Memory` on hosts whose systems are in a control group of this controller."""

    def __init__(self, each: Each) -> None:
        self._each = each
        self._before: dict[str, Counts] = {}

    async def squeeze(self, nodes: Sequence[str], room_mib: float, kill: bool) -> None:
        """Set the limit; with `kill` there is soon no room."""
        room = round(room_mib * MIB)

        def begin(node: str, connection: Connection) -> None:
            hog = HOG.format(seconds=HOG_S, size=room + HOG_BYTES) if kill else ""
            script = _filled(SQUEEZE, room=room, disable=int(not kill)) + hog
            self._before[node] = _counts(connection, script, "cannot limit the memory of the system")

        await self._each(begin, tuple(nodes))

    async def release(self, nodes: Sequence[str]) -> Mapping[str, Shortage]:
        """Take it away."""

        def end(node: str, connection: Connection) -> Shortage:
            now = _counts(connection, _filled(RELEASE), f"the limit of memory is {LEFT}; {REMEDY}")
            before = self._before.pop(node)
            told = {
                "limit_mib": round(before.limit / MIB, 2),
                "used_mib": round(now.usage / MIB, 2),
                "dropped_and_read_again": now.reread - before.reread,
            }
            return Shortage(now.met - before.met, now.killed - before.killed, told)

        return await self._each(end, tuple(nodes))


def _filled(script: str, **values: int) -> str:
    return script.format(
        group=place(MEMORY), squeezed=SQUEEZED, limit=LIMIT, oom=OOM, counts=COUNTS, **values
    )


def _counts(connection: Connection, script: str, else_: str) -> Counts:
    """What a script that must succeed counts. Raises ControlError."""
    done = connection.shell(script, check=False, timeout_s=30.0)
    numbers = done.stdout.split()
    if done.status != 0 or len(numbers) != len(Counts._fields):
        said = " ".join(done.stderr.split()) or "it does not say why"
        raise ControlError(f"{connection.host.label}: {else_} ({said}).")
    return Counts(*map(int, numbers))
