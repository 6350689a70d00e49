"""Power goes on real hosts: what was not synced is gone and what was synced is there, seen with other means than the fault's own.

And nothing stays: no mount, no loop device, no image, after the run, after `hosts heal`, after `hosts down`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.nemesis.faults import PowerLoss
from harness.provision import find_inventory, netns
from harness.provision.inventory import Inventory
from harness.provision.state import DISK_ROOT
from harness.worlds import WorldError
from harness.worlds.hosts import HostsWorld
from tests.hosts.conftest import unique
from tests.hosts.tiny import NODES, TinySystem, in_world, on
from tests.polling import poll

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

QUORATE = str(Path(sys.executable).parent / "quorate")
EXAMPLES = Path(__file__).parents[2] / "examples"
DATA = "/var/lib/quorate/tiny"
FAULTS = ("power-loss",)
PATIENCE_S = 900.0  # emulated machines are slow
WRITE = f"cd {DATA}; printf kept >synced; sync synced .; printf lost >unsynced; cat synced unsynced"
READ = f"cd {DATA}; cat synced; echo; cat unsynced 2>/dev/null; echo; ls -A"
PLAN = """
name = "power"
workload = "register"
claims = ["linearizable"]
nodes = 3
concurrency = 6
rate = 100
time_limit_s = 9
[system]
name = "kvstore"
n = 3
[[faults]]
kind = "power-loss"
targets = "all"
start_s = 1.5
every_s = 4
for_s = 0.3
"""

LONG_LEASE = "[hosts]\nlease_s = 900.0\n"  # so that it is not the lease that ends it


@contextmanager
def images(cluster: str) -> Iterator[Callable[[], int]]:
    """How many loop devices of this machine hold a disk of the cluster. The images stay open meanwhile, so that no other file has their inode."""
    with ExitStack() as opened:
        files = [opened.enter_context(path.open()) for path in (DISK_ROOT / cluster).glob("*/*.quorate-disk")]
        inodes = {os.fstat(file.fileno()).st_ino for file in files}

        def attached() -> int:
            told = subprocess.run(["losetup", "-l", "-n", "-O", "BACK-INO"], capture_output=True, text=True, check=True)  # fmt: skip
            return sum(int(inode) in inodes for inode in told.stdout.split())

        yield attached


def mounts(five: Inventory, node: str) -> str:
    return on(five, node, "grep /dev/loop /proc/mounts; ls /var/lib/quorate")


def run(plan: Path, five: Inventory, folder: Path, *more: str) -> dict[str, Any]:
    """`quorate run` on these hosts; its results, and the evidence of every fault."""
    inventory = str(find_inventory(five.cluster))
    command = [QUORATE, "run", str(plan), "--world", "hosts", "--inventory", inventory, "--out", str(folder), "--json", *more]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.stdout, done.stderr
    results: dict[str, Any] = json.loads(done.stdout)
    return results


def test_what_is_not_synced_is_gone_and_nothing_else(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        for node in world.nodes:
            assert on(five, node, WRITE) == "keptlost"
        fault = PowerLoss(1, ("n1", "n2"), {})
        await fault.start(world)
        assert fault.bit, fault.note
        for node in ("n1", "n2"):
            assert (await world.process(node)).state == "gone"
            kept, *rest = on(five, node, READ).split("\n")
            assert kept == "kept"
            assert "lost" not in rest
            assert fault.evidence[node]["lost"].get("unsynced") == 1
            assert "synced" not in fault.evidence[node]["lost"]
        assert on(five, "n3", READ).split() == ["kept", "lost", "synced", "unsynced"]
        await fault.stop(world)
        assert fault.healed
        for node in world.nodes:
            assert (await world.process(node)).state == "running"
        attached.append(opened.enter_context(images(five.cluster)))
        assert attached[0]() == (0 if five.kind == "qemu" else 3), (
            "each node has a disk of its own; a machine has it inside"
        )

    attached: list[Callable[[], int]] = []
    with ExitStack() as opened:
        in_world(five, story, faults=FAULTS)
        poll(
            lambda: attached[0]() == 0, wait_s=300.0
        )  # the kernel lets go of one a moment after its last user
    assert [mounts(five, node) for node in NODES] == ["", "", ""]


def test_only_a_plan_with_such_a_fault_gets_disks(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        assert mounts(five, "n1") == "tiny\n"
        with pytest.raises(WorldError, match=r"^n1 .* has no disk of its own, for no fault of this run needs one"):  # fmt: skip
            await world.cut_power(("n1",))

    in_world(five, story, faults=("kill", "partition"))


def test_a_host_that_cannot_is_named_before_anything_starts(five: Inventory) -> None:
    hidden = "mv /usr/sbin/mke2fs /usr/sbin/mke2fs.hidden"
    on(five, "n2", hidden)
    try:
        with pytest.raises(WorldError) as refusal:
            in_world(five, never, faults=FAULTS)
    finally:
        on(five, "n2", "mv /usr/sbin/mke2fs.hidden /usr/sbin/mke2fs")
    assert str(refusal.value) == (
        f"{five.hosts[1].label} cannot do the fault power-loss: no ext4 can be made: there is no mke2fs (`apt-get install e2fsprogs` there). "
        "Leave it out of the plan, or run it in the simulator."
    )
    assert [mounts(five, node) for node in NODES] == ["", "", ""]


async def never(world: HostsWorld) -> None:
    raise AssertionError("a world that cannot do what is asked came up")


@pytest.mark.parametrize(("durability", "verdict"), [("interval:1", "invalid"), ("always", "valid")])
def test_the_example_is_judged_as_in_the_simulator(five: Inventory, tmp_path: Path, durability: str, verdict: str) -> None:  # fmt: skip
    plan = EXAMPLES / "power_cut.toml"
    results = run(plan, five, tmp_path, "--time-limit", "15", "--set", f"system.durability={durability}")
    assert results["outcome"] == verdict, results["reason"]
    cuts = results["faults"]["by_kind"]["power-loss"]
    assert cuts["bit"] == cuts["count"] >= 4, "of one alone an fsync may have come a moment before"


def test_a_register_outlives_power_losses_of_all_its_nodes(five: Inventory, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    results = run(tmp_path / "plan.toml", five, tmp_path)
    assert results["outcome"] == "valid", results["reason"]
    assert results["faults"]["by_kind"] == {"power-loss": {"count": 2, "bit": 2}}


def test_heal_takes_the_disks_of_a_killed_harness_away(five: Inventory, tmp_path: Path) -> None:
    inventory = str(find_inventory(five.cluster))
    (tmp_path / "plan.toml").write_text(PLAN.replace("time_limit_s = 9", "time_limit_s = 300") + LONG_LEASE)
    command = [QUORATE, "run", str(tmp_path / "plan.toml"), "--world", "hosts", "--inventory", inventory, "--out", str(tmp_path)]  # fmt: skip
    harness = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        poll(
            lambda: any(path.stat().st_size for path in tmp_path.glob("power/*/faults.jsonl")),
            wait_s=PATIENCE_S,
        )
    finally:
        harness.send_signal(signal.SIGKILL)
        harness.wait()
    with images(five.cluster) as attached:
        assert attached() == 3
        healed = subprocess.run([QUORATE, "hosts", "heal", "--inventory", inventory, "--json"], capture_output=True, text=True, check=True)  # fmt: skip
        poll(lambda: attached() == 0, wait_s=300.0)
    told = json.loads(healed.stdout)["hosts"]
    for node in NODES:
        assert "the disk at /var/lib/quorate/store is taken away" in told[node]
        assert mounts(five, node) == "store\n"


def test_down_takes_the_disks_away_with_the_hosts() -> None:
    name = unique("cut")
    inventory = netns.up(name, 3)
    try:
        asyncio.run(HostsWorld(TinySystem(NODES), inventory, faults=FAULTS).up())
        with images(name) as attached:
            assert attached() == 3
            netns.down(name)
            poll(lambda: attached() == 0, wait_s=300.0)
    finally:
        netns.down(name)
