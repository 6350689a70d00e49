"""A quota of processor time, as /proc counts what a busy program in the system's group gets; and what ends it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.nemesis.pressure import CpuPressure
from harness.plan_options import CPU
from harness.provision import find_inventory
from harness.provision.inventory import Inventory
from harness.worlds.hosts import HostsWorld, groups
from tests.hosts.tiny import in_world, on
from tests.polling import poll

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

QUORATE = str(Path(sys.executable).parent / "quorate")
GROUP = groups.place(CPU)
BUSY = (
    f"setsid sh -c 'echo $$ >{GROUP}/cgroup.procs; while :; do :; done' >/dev/null 2>&1 </dev/null & echo $!"
)
SHARE = 0.05


def times(five: Inventory, pid: int) -> tuple[float, float]:
    """The uptime, and the processor time that a process has had, in seconds."""
    told = on(
        five, "n1", f"cut -d' ' -f1 /proc/uptime; sed 's/.*) //' /proc/{pid}/stat | cut -d' ' -f12,13"
    ).split()
    return float(told[0]), (int(told[1]) + int(told[2])) / 100


def test_a_busy_group_gets_its_share_and_no_more(five: Inventory) -> None:
    busy: list[int] = []

    async def story(world: HostsWorld) -> None:
        busy.append(int(on(five, "n1", BUSY)))
        poll(lambda: str(busy[0]) in on(five, "n1", f"cat {GROUP}/cgroup.procs").split(), wait_s=300.0)
        fault = CpuPressure(1, ("n1",), {"share": SHARE})
        await fault.start(world)
        began, had = times(five, busy[0])
        poll(lambda: times(five, busy[0])[0] > began + 2, wait_s=300.0)
        now, has = times(five, busy[0])
        assert (has - had) / (now - began) < 2 * SHARE
        await fault.stop(world)
        assert (fault.bit, fault.healed) == (True, True), fault
        assert fault.evidence["n1"]["waited_ms"] > 500
        assert on(five, "n1", f"cat {GROUP}/{groups.QUOTA}") == "-1\n"
        idle = CpuPressure(2, ("n2",), {"share": 0.5})
        await idle.start(world)
        assert on(five, "n2", f"cat {GROUP}/{groups.QUOTA}") == "50000\n"
        await idle.stop(world)
        assert (idle.bit, idle.note) == (False, "it had all the processor time it wanted on n2")
        await CpuPressure(3, ("n3",), {}).start(world)
        command = [QUORATE, "hosts", "heal", "--inventory", str(find_inventory(five.cluster)), "--json"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["hosts"]["n3"] == ["the processor is whole again"]
        assert on(five, "n3", f"cat {GROUP}/{groups.QUOTA}") == "-1\n"

    try:
        in_world(five, story, grouped=(CPU,))
    finally:
        on(five, "n1", "".join(f"kill -9 {pid}; " for pid in busy if pid > 1))
    assert on(five, "n1", f"ls -d {groups.TOP} 2>/dev/null") == ""
    if five.kind != "qemu":
        assert list(Path("/sys/fs/cgroup/cpu").glob(f"quorate.{five.cluster}/*/quorate-*")) == []
