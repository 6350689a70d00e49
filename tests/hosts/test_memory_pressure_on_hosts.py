"""Too little memory, as /proc shows what a hungry program in the system's group gets; who is killed for it; and what ends it."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.nemesis.pressure import MemoryPressure
from harness.plan_options import MEMORY
from harness.provision import find_inventory
from harness.provision.inventory import Inventory
from harness.worlds import WorldError
from harness.worlds.hosts import HostsWorld, groups
from tests.hosts.tiny import in_world, on
from tests.polling import poll

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

QUORATE = str(Path(sys.executable).parent / "quorate")
GROUP = groups.place(MEMORY)
HUNGRY = """
import time
held = []
while len(held) < 4096:
    held.append(bytearray(b"x" * 65536))
    time.sleep(0.002)
"""
BEGIN = f"""printf %s '{HUNGRY}' >/tmp/hungry.py
setsid sh -c 'echo $$ >{GROUP}/cgroup.procs; exec python3 /tmp/hungry.py' >/dev/null 2>&1 </dev/null & echo $!"""
UNLIMITED = 1 << 60


def held_mib(five: Inventory, pid: int) -> float:
    """The memory that a process has of its own, 0 if it is gone."""
    told = on(five, "n1", f"sed -n 's/^RssAnon:\\s*//p' /proc/{pid}/status 2>/dev/null").split()
    return int(told[0]) / 1024 if told else 0.0


def limit(five: Inventory, node: str) -> int:
    """The limit that the kernel tells."""
    return int(on(five, node, f"cat {GROUP}/memory.limit_in_bytes"))


def test_who_wants_more_than_the_room_waits_and_goes_on_afterwards(five: Inventory) -> None:
    hungry: list[int] = []

    async def story(world: HostsWorld) -> None:
        fault = MemoryPressure(1, ("n1",), {"room_mib": 8.0})
        await fault.start(world)
        hungry.append(int(on(five, "n1", BEGIN)))
        poll(lambda: "under_oom 1" in on(five, "n1", f"cat {GROUP}/memory.oom_control"), wait_s=300.0)
        had = held_mib(five, hungry[0])
        assert 0 < had < 9, "of 256 MiB that it asks for"
        assert held_mib(five, hungry[0]) == had, "and there it stands"
        assert (await world.process("n1")).state == "running", "and nobody is killed"
        await fault.stop(world)
        assert (fault.bit, fault.healed) == (True, True), fault
        assert fault.evidence["n1"]["limit_met"] > 0
        assert fault.evidence["n1"]["killed"] == 0
        assert limit(five, "n1") > UNLIMITED
        poll(lambda: held_mib(five, hungry[0]) > 2 * had, wait_s=300.0)

    try:
        in_world(five, story, grouped=(MEMORY,))
    finally:
        on(five, "n1", "".join(f"kill -9 {pid}; " for pid in hungry if pid > 1) + "rm -f /tmp/hungry.py")
    assert on(five, "n1", f"ls -d {groups.TOP} 2>/dev/null") == ""
    if five.kind != "qemu":
        assert list(Path("/sys/fs/cgroup/memory").glob(f"quorate.{five.cluster}/*/quorate-*")) == []


def test_the_kernel_kills_the_system_and_not_the_hog(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        pid = (await world.process("n1")).pid
        fault = MemoryPressure(1, ("n1",), {"how": "kill", "room_mib": 64.0})
        await fault.start(world)
        assert on(five, "n1", f"cat /proc/{pid}/cmdline 2>/dev/null; cat {GROUP}/cgroup.procs") == ""
        assert "oom_kill 1" in on(five, "n1", f"cat {GROUP}/memory.oom_control")
        await fault.stop(world)
        assert (fault.bit, fault.healed) == (True, True), fault
        assert fault.evidence["n1"]["killed"] == 1
        now = (await world.process("n1")).pid
        assert now not in (None, pid)
        assert limit(five, "n1") > UNLIMITED
        assert on(five, "n1", f"cat /proc/{now}/oom_score_adj") == on(
            five, "n1", "cat /proc/self/oom_score_adj"
        )

    in_world(five, story, grouped=(MEMORY,))


def test_a_limit_that_is_not_met_has_not_bitten_and_heal_takes_one_away(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        idle = MemoryPressure(1, ("n2",), {"room_mib": 512.0})
        await idle.start(world)
        assert 512 << 20 < limit(five, "n2") < 1024 << 20
        await idle.stop(world)
        assert (idle.bit, idle.note) == (False, "it had all the memory it wanted on n2")
        await MemoryPressure(2, ("n3",), {"room_mib": 512.0}).start(world)
        command = [QUORATE, "hosts", "heal", "--inventory", str(find_inventory(five.cluster)), "--json"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["hosts"]["n3"] == ["the limit of memory is taken away"]
        assert limit(five, "n3") > UNLIMITED
        assert "oom_kill_disable 0" in on(five, "n3", f"cat {GROUP}/memory.oom_control")

    in_world(five, story, grouped=(MEMORY,))


def test_a_host_without_the_controller_is_named_before_anything_is_started(five: Inventory) -> None:
    """Its /proc/self/cgroup has no line of it, as on a host with version 2 alone."""

    async def story(world: HostsWorld) -> None:
        raise AssertionError("it came up")

    script = '#!/bin/sh\n/usr/bin/grep "$@" | /usr/bin/grep -v :memory:\n'
    why = re.escape(
        "cannot do the fault memory-pressure: no control groups (version 1) of the memory are in use there. Leave it out"
    )
    try:
        on(five, "n2", f"printf %s '{script}' >/usr/local/bin/grep; chmod 755 /usr/local/bin/grep")
        with pytest.raises(WorldError, match=rf"n2 \(.*\) {why}"):
            in_world(five, story, grouped=(MEMORY,))
    finally:
        on(five, "n2", "rm /usr/local/bin/grep")
    assert on(five, "n2", f"ls -d {groups.TOP} /opt/tiny 2>/dev/null") == ""
