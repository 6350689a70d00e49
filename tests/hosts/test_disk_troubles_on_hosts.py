"""Disks of real hosts that are full, read-only, broken or slow, as `dd` and `cat` on the host see them; and what heals them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.nemesis.disks import KINDS
from harness.provision import find_inventory
from harness.provision.inventory import Inventory
from harness.worlds.hosts import HostsWorld
from harness.worlds.hosts.world import RUN_DIRECTORY
from tests.hosts.tiny import in_world, on
from tests.polling import poll

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

QUORATE = str(Path(sys.executable).parent / "quorate")
DATA = "/var/lib/quorate/tiny"
KEEP = f"cd {DATA}; printf kept >synced; sync synced ."
WRITE = (
    f"cd {DATA}; LC_ALL=C dd if=/dev/zero of=theirs bs=64k count=1 conv=fsync 2>&1 | head -1; rm -f theirs"
)
TAKEN = "1+0 records in\n"
READ = f"LC_ALL=C cat {DATA}/synced 2>&1"
PLAN = """
name = "troubled"
workload = "register"
claims = ["linearizable"]
nodes = 3
concurrency = 6
rate = 100
time_limit_s = 6
[system]
name = "kvstore"
n = 3
"""
FAULT = """
[[faults]]
kind = "{kind}"
targets = "one"
start_s = {start_s}
every_s = 100
for_s = 0.8
"""
ALL = ("disk-full", "read-only", "io-error", "slow-disk")


@pytest.fixture(autouse=True)
def nothing_of_others(five: Inventory) -> None:
    """A store that ran on these hosts before has left its data, as it should."""
    for host in five.hosts:
        on(five, host.name, "rm -rf /var/lib/quorate/*")


@pytest.mark.parametrize(
    ("kind", "said", "read"),
    [
        ("disk-full", "dd: error writing 'theirs': No space left on device\n", "kept"),
        ("read-only", "dd: failed to open 'theirs': Read-only file system\n", "kept"),
        ("io-error", "dd: failed to open 'theirs': Input/output error\n", f"cat: {DATA}/synced: Input/output error\n"),
    ],
)  # fmt: skip
def test_a_disk_that_refuses(five: Inventory, kind: str, said: str, read: str) -> None:
    async def story(world: HostsWorld) -> None:
        on(five, "n1", KEEP)
        assert on(five, "n1", WRITE) == TAKEN
        fault = KINDS[kind](1, ("n1",), {})
        await fault.start(world)
        assert fault.bit, fault.note
        assert (on(five, "n1", WRITE), on(five, "n1", READ)) == (said, read)
        assert on(five, "n2", WRITE) == TAKEN, "nobody else's disk is touched"
        await fault.stop(world)
        assert fault.healed
        assert (on(five, "n1", WRITE), on(five, "n1", READ)) == (TAKEN, "kept")
        assert on(five, "n1", f"ls -A {DATA}") == "synced\n", "ballast and probes are gone"
        assert (await world.process("n1")).state == "running"

    in_world(five, story, faults=(kind,))


def write_took_s(five: Inventory) -> float:
    """How long a write and its fsync took on n1, as the host's own clock tells."""
    clock = "read up rest </proc/uptime; echo $up"
    began, *_, ended = on(five, "n1", f"{clock}; {WRITE} >/dev/null; {clock}").split()
    return float(ended) - float(began)


def test_a_slow_disk(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        fault = KINDS["slow-disk"](1, ("n1",), {"stall_ms": 600.0})
        await fault.start(world)
        assert fault.bit, fault.note
        poll(lambda: write_took_s(five) > 0.3, wait_s=300.0)
        await fault.stop(world)
        assert fault.healed
        assert on(five, "n1", f"pgrep -f 'disk_program[.]py slow' || fsfreeze -u {DATA} 2>&1").endswith("Invalid argument\n")  # fmt: skip
        assert on(five, "n1", WRITE) == TAKEN

    in_world(five, story, faults=("slow-disk",))


def test_a_disk_that_lies_keeps_nothing_that_was_synced_meanwhile(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        on(five, "n1", KEEP)
        fault = KINDS["lying-fsync"](1, ("n1",), {})
        await fault.start(world)
        assert (
            on(five, "n1", f"cd {DATA}; printf lost >promised; sync promised . && cat synced promised")
            == "keptlost"
        )
        await world.kill("n1")
        assert on(five, "n1", f"ls {DATA}").split() == ["promised", "synced"], "a kill takes nothing away"
        await fault.stop(world)
        assert (fault.bit, fault.healed) == (True, True), fault.note
        assert fault.evidence["n1"]["lost"] == {"promised": 1}
        assert on(five, "n1", f"cd {DATA}; ls -A; cat synced") == "synced\nkept"
        assert on(five, "n1", "ls /var/lib/quorate").split() == ["tiny", "tiny.quorate-disk"]

    in_world(five, story, faults=("lying-fsync",))
    assert on(five, "n1", "ls /var/lib/quorate") == ""


def test_heal_thaws_a_disk_whose_slow_program_was_killed(five: Inventory) -> None:
    """Frozen for good, with a process that waits for it: nothing can be killed or unmounted there until it is thawed."""
    inventory = str(find_inventory(five.cluster))

    async def story(world: HostsWorld) -> None:
        fault = KINDS["slow-disk"](1, ("n1",), {"stall_ms": 2000.0})
        await fault.start(world)
        on(five, "n1", f"kill -KILL $(cat {RUN_DIRECTORY}/disk-slow/pid); fsfreeze -f {DATA}; (touch {DATA}/waits >/dev/null 2>&1 &)")  # fmt: skip
        command = [QUORATE, "hosts", "heal", "--inventory", inventory, "--json"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
        assert f"the disk at {DATA} is taken away" in json.loads(done.stdout)["hosts"]["n1"]
        assert on(five, "n1", "grep /dev/loop /proc/mounts") == ""

    in_world(five, story, faults=("slow-disk",))


def test_the_next_run_clears_a_disk_that_was_left_frozen(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        await KINDS["slow-disk"](1, ("n1",), {"stall_ms": 2000.0}).start(world)
        on(five, "n1", f"kill -KILL $(cat {RUN_DIRECTORY}/disk-slow/pid); fsfreeze -f {DATA}; (touch {DATA}/waits >/dev/null 2>&1 &)")  # fmt: skip

    in_world(five, story, faults=("slow-disk",))  # its own end clears as the next beginning does
    assert on(five, "n1", "grep /dev/loop /proc/mounts; ls /var/lib/quorate") == ""


def test_the_store_keeps_its_promise_under_all_of_them(five: Inventory, tmp_path: Path) -> None:
    faults = "".join(FAULT.format(kind=kind, start_s=0.5 + 1.4 * place) for place, kind in enumerate(ALL))
    (tmp_path / "plan.toml").write_text(PLAN + faults)
    inventory = str(find_inventory(five.cluster))
    command = [QUORATE, "run", str(tmp_path / "plan.toml"), "--world", "hosts", "--inventory", inventory, "--out", str(tmp_path), "--json"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    results = json.loads(done.stdout)
    assert results["outcome"] == "valid", results["reason"]
    assert results["faults"]["by_kind"] == {kind: {"count": 1, "bit": 1} for kind in ALL}
