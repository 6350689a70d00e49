"""Control groups of the system's process on a host, for the faults that act on a group: the freezer, processor time, and memory.

    hierarchy of the machine         what the host sees of it at /run/quorate-group/freezer
    freezer: /                       (nothing)
      └ the host's own group         (nothing)     sshd, the watchdog of the lease, every shell of ours: never frozen
          └ quorate-4026532288       cgroup.procs  freezer.state     the system alone, born there with all its children

A signal is sent to one process, who may have it from anybody; a group is stopped by the kernel as a whole, children and all, and nothing in it can
tell. Version 1 it is: its freezer is left alone by systemd, and can be seen from within a container. A process that is frozen does not even
die: SIGKILL comes first, and then the group is thawed, so that nothing of it runs in between.

The hierarchy is mounted at the place, and over it the group alone; nobody can reach another's group by accident. Whatever the host's own group
is, the new one is below it, and goes with it when the hosts are taken down. Reference: cgroups(7); Documentation/admin-guide/cgroup-v1 of Linux.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from harness.control import Connection, ControlError
from harness.plan_options import CPU, FREEZER, MEMORY
from harness.worlds.hosts.packets import LEFT, REMEDY

TOP: Final = "/run/quorate-group"
CONTROLLERS: Final = (FREEZER, CPU, MEMORY)
STATE: Final = "freezer.state"
QUOTA: Final = "cpu.cfs_quota_us"
PERIOD_US: Final = 100_000
QUOTA_US_MIN: Final = 1_000  # of the kernel
SQUEEZED: Final = f"{TOP}/squeezed"  # the limit of memory as it was before ours
LIMIT: Final = "memory.limit_in_bytes"
OOM: Final = "memory.oom_control"

PREPARE: Final = r"""
line=$(grep -E '^[0-9]+:([^:]*,)?{controller}(,[^:]*)?:' /proc/self/cgroup) || {{ echo "no control groups (version 1) of the {controller} are in use there"; exit 1; }}
place={top}/{controller} path=$(echo "$line" | cut -d: -f3-)
group="$path/quorate-$(readlink /proc/self/ns/net | tr -dc 0-9)"
mkdir -p $place
mount -t cgroup -o "$(echo "$line" | cut -d: -f2)" quorate $place 2>&1 || exit 1
mkdir -p "$place$group" 2>&1 && mount --bind "$place$group" $place 2>&1 || {{ umount $place; exit 1; }}
"""
DROP: Final = r"""
for place in {places}; do
  root=$(sed -n "s|^[0-9]* [0-9]* [^ ]* \([^ ]*\) $place .*|\1|p" /proc/self/mountinfo | tail -n 1)
  case "$root" in */quorate-*)
    umount $place
    turns=0
    until rmdir "$place$root" 2>/dev/null || [ $turns -gt 100 ]; do
      for pid in $(cat "$place$root/cgroup.procs"); do echo $pid >"$place$root/../cgroup.procs"; done
      sleep 0.05
      turns=$(( turns + 1 ))
    done
    [ ! -e "$place$root" ] || echo "the control group $root is {left}"
  esac
  [ -z "$root" ] || umount $place
done
rm -f {top}/waited {top}/squeezed
if [ -d {top} ]; then rmdir {places} {top} 2>/dev/null; fi
true
"""
HEAL: Final = f"""
if [ -e {TOP}/{FREEZER}/{STATE} ] && ! grep -qx THAWED {TOP}/{FREEZER}/{STATE}; then
  echo THAWED >{TOP}/{FREEZER}/{STATE} && echo "what was frozen goes on"
fi
if [ -e {TOP}/{CPU}/{QUOTA} ] && ! grep -qx -e -1 {TOP}/{CPU}/{QUOTA}; then
  echo -1 >{TOP}/{CPU}/{QUOTA} && echo "the processor is whole again"
fi
if [ -e {SQUEEZED} ]; then
  echo -1 >{TOP}/{MEMORY}/{LIMIT} && echo 0 >{TOP}/{MEMORY}/{OOM} && rm {SQUEEZED} && echo "the limit of memory is taken away"
fi
"""
"""Shell that ends what is done to the groups, and prints what it found."""


def place(controller: str) -> str:
    """Where the group of this controller is seen on the host."""
    return f"{TOP}/{controller}"


def drop(connection: Connection) -> None:
    """End what is done to the groups, and take them away, verified. Who is left in one goes on in the host's own."""
    script = DROP.format(places=" ".join(map(place, CONTROLLERS)), top=TOP, left=LEFT)
    told = connection.shell(HEAL + script, timeout_s=30.0).stdout
    if LEFT in told:
        raise ControlError(f"{connection.host.label}: {told.splitlines()[-1]}; {REMEDY}.")


def heal(connection: Connection) -> None:
    """End what is done to the groups."""
    connection.shell(HEAL)


def prepare(connection: Connection, controllers: Iterable[str]) -> None:
    """Make an empty group of each controller. Raises ControlError when this host cannot: what it lacks."""
    for controller in controllers:
        made = connection.shell(PREPARE.format(controller=controller, top=TOP), check=False)
        if made.status != 0:
            said = " ".join((made.stdout or made.stderr).split()) or "no reason given"
            drop(connection)
            raise ControlError(
                f"{connection.host.label} cannot do the fault {ASKED[controller]}: {said}. Leave it out of the plan, or run it in the simulator."
            )


def throttle(connection: Connection, share: float) -> None:
    """Who is in the group gets this share of a processor, in each tenth of a second. What it has waited so far is noted."""
    quota_us, group = max(QUOTA_US_MIN, round(share * PERIOD_US)), place(CPU)
    connection.shell(
        f"set -e\nsed -n 's/^throttled_time //p' {group}/cpu.stat >{TOP}/waited\n"
        f"echo {PERIOD_US} >{group}/cpu.cfs_period_us\necho {quota_us} >{group}/{QUOTA}"
    )


def unthrottle(connection: Connection) -> float:
    """It gets what it asks for, verified; for how long it had to wait since `throttle`, in milliseconds."""
    group = place(CPU)
    told = connection.shell(
        f"echo -1 >{group}/{QUOTA}; cat {group}/{QUOTA} {TOP}/waited; sed -n 's/^throttled_time //p' {group}/cpu.stat"
    ).stdout.split()
    if len(told) != 3 or told[0] != "-1":
        raise ControlError(f"{connection.host.label}: the quota of processor time is {LEFT}; {REMEDY}.")
    return (int(told[2]) - int(told[1])) / 1e6


ASKED: Final = {FREEZER: 'pause with how = "freezer"', CPU: "cpu-pressure", MEMORY: "memory-pressure"}
"""What a plan says to get a fault by this controller."""
