"""Pausing by the freezer, as /proc and /sys show it; and that a frozen group holds up nothing: not a kill, not the end of a run, not `hosts down`."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.nemesis.faults import KINDS
from harness.plan_options import FREEZER
from harness.provision import down, list_clusters, up
from harness.provision.inventory import Inventory
from harness.worlds import WorldError
from harness.worlds.hosts import HostsWorld, groups
from tests.hosts.conftest import unique
from tests.hosts.tiny import in_world, on
from tests.polling import poll

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

QUORATE = str(Path(sys.executable).parent / "quorate")
GROUP = groups.place(groups.FREEZER)
BUSY = (
    f"setsid sh -c 'echo $$ >{GROUP}/cgroup.procs; while :; do :; done' >/dev/null 2>&1 </dev/null & echo $!"
)
TICKS = f"for pid in $(cat {GROUP}/cgroup.procs); do sed 's/.*) //' /proc/$pid/stat | cut -d' ' -f12,13; done"


def ran(five: Inventory) -> int:
    """The ticks of processor time that all in the group on n1 have had."""
    return sum(int(word) for word in on(five, "n1", TICKS).split())


def groups_of(five: Inventory) -> dict[str, str]:
    """The groups of the system that this machine's kernel has for the cluster, and their states. Those of emulated machines are not here."""
    found = Path("/sys/fs/cgroup/freezer").glob(f"quorate.{five.cluster}/*/quorate-*/freezer.state")
    return {str(state.parent): state.read_text().strip() for state in found}


def test_a_frozen_group_stands_still_children_and_all(five: Inventory) -> None:
    busy: list[int] = []

    async def story(world: HostsWorld) -> None:
        busy.append(int(on(five, "n1", BUSY)))
        poll(lambda: str(busy[0]) in on(five, "n1", f"cat {GROUP}/cgroup.procs").split(), wait_s=300.0)
        before = ran(five)
        poll(lambda: ran(five) > before, wait_s=300.0)
        fault = KINDS["pause"](1, ("n1",), {"how": FREEZER})
        await fault.start(world)
        assert fault.bit, fault.note
        assert on(five, "n1", f"cat {GROUP}/freezer.state") == "FROZEN\n"
        if five.kind != "qemu":
            assert sorted(groups_of(five).values()) == ["FROZEN", "THAWED", "THAWED"], (
                "as this machine's kernel tells"
            )
        before = ran(five)
        on(five, "n1", "i=0; while [ $i -lt 100000 ]; do i=$(( i + 1 )); done")  # the host itself goes on
        assert ran(five) == before
        await fault.stop(world)
        assert (fault.bit, fault.healed) == (True, True), fault
        assert fault.evidence["n1"]["ran_ms"] == 0
        assert on(five, "n1", f"cat {GROUP}/freezer.state") == "THAWED\n"
        poll(lambda: ran(five) > before, wait_s=300.0)
        await world.pause("n1", FREEZER)
        await world.kill("n1")
        assert (await world.process("n1")).state == "gone"
        await world.start("n1")
        assert (await world.process("n1")).state == "running"
        await world.pause("n1", FREEZER)
        await world.pause("n2", FREEZER)  # the run ends so

    try:
        in_world(five, story, grouped=(FREEZER,))
    finally:
        on(five, "n1", f"kill -9 {busy[0]} 2>/dev/null; true" if busy else "true")
    assert groups_of(five) == {}
    assert (
        on(five, "n1", f"ls -d {groups.TOP}; grep -F {groups.TOP} /proc/mounts; pgrep -f server[.]py") == ""
    )


@contextmanager
def in_place_of_mount(five: Inventory, node: str, said: str) -> Iterator[None]:
    script = f"#!/bin/sh\necho {shlex.quote(said)} >&2; exit 1\n"
    try:
        on(
            five,
            node,
            f"printf %s {shlex.quote(script)} >/usr/local/bin/mount; chmod 755 /usr/local/bin/mount",
        )
        yield
    finally:
        on(five, node, "rm /usr/local/bin/mount")


def test_a_host_that_cannot_is_named_before_anything_is_started(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        raise AssertionError("it came up")

    why = re.escape('cannot do the fault pause with how = "freezer": mount: permission denied. Leave it out')
    with (
        in_place_of_mount(five, "n2", "mount: permission denied"),
        pytest.raises(WorldError, match=rf"n2 \(.*\) {why}"),
    ):
        in_world(five, story, grouped=(FREEZER,))
    assert groups_of(five) == {}
    assert on(five, "n2", f"ls -d {groups.TOP} /opt/tiny 2>/dev/null") == ""
    nobody_has = groups.PREPARE.format(controller="hugetlb", top=groups.TOP)
    assert on(five, "n1", nobody_has) == "no control groups (version 1) of the hugetlb are in use there\n"


def sleepers(group: Path) -> list[str]:
    """The processes of the group that are `sleep 1000` by now, each by its number out here."""
    lines = dict[str, bytes]()
    for each in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one that has ended meanwhile
            lines[each] = Path(f"/proc/{each}/cmdline").read_bytes()
    return [each for each, line in lines.items() if line == b"sleep\x001000\x00"]


@pytest.mark.skipif(os.environ.get("QUORATE_KIND", "netns") != "netns", reason="makes namespaces of its own")
def test_hosts_go_with_a_frozen_group_on_them() -> None:
    name = unique("frozen")
    try:
        inventory = up("netns", name, 1)
        group = Path(f"/sys/fs/cgroup/freezer/quorate.{name}/n1/left")
        group.mkdir()
        pid = int(on(inventory, "n1", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"))
        assert pid > 1
        poll(lambda: sleepers(group.parent), wait_s=300.0)  # it is a shell, until it has become one
        [sleeper] = sleepers(group.parent)
        (group / "cgroup.procs").write_text(sleeper)
        (group / "freezer.state").write_text("FROZEN")
        poll(lambda: (group / "freezer.state").read_text() == "FROZEN\n", wait_s=300.0)
        done = subprocess.run(
            [QUORATE, "hosts", "down", "--name", name], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert not group.parent.parent.exists()
        assert not Path(f"/proc/{sleeper}").exists()
    finally:
        down(name)
    assert name not in {cluster.name for cluster in list_clusters()}
