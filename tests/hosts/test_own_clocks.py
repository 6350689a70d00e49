"""Hosts that have a clock of their own: it is set in earnest, on that machine alone, and set right again. A host with this machine's kernel is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.nemesis.client import KINDS
from harness.provision import find_inventory
from harness.provision.inventory import Inventory
from harness.worlds import WorldError
from harness.worlds.hosts import HostsWorld
from tests.hosts.tiny import in_world, on

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

QUORATE = str(Path(sys.executable).parent / "quorate")
HOUR_S = 3600.0


def ahead_s(five: Inventory, node: str) -> float:
    """How far the host's clock is ahead of this machine's, by `date`."""
    return float(on(five, node, "date +%s.%N")) - time.time()


def here_s() -> float:
    """How far this machine's clock is ahead of its time since it was booted."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def test_a_clock_is_set_there_and_nowhere_else(five: Inventory) -> None:
    if not five.hosts[0].owns_clock:
        pytest.skip("these hosts have the machine's clock; `make kinds` runs this on machines")
    here, before = here_s(), {node: ahead_s(five, node) for node in ("n1", "n2", "n3")}

    def moved_s() -> list[float]:
        return [ahead_s(five, node) - before[node] for node in ("n1", "n2", "n3")]

    async def story(world: HostsWorld) -> None:
        fault = KINDS["clock"](1, ("n1", "n2"), {"offsets_ms": {"n1": 1000 * HOUR_S, "n2": -1000 * HOUR_S}})
        await fault.start(world)
        assert fault.bit, (fault.note, fault.evidence)
        assert moved_s() == pytest.approx([HOUR_S, -HOUR_S, 0], abs=60)
        channel = await world.dial("n1")
        assert float(await channel.request([b"TIME"], timeout_s=20.0)) - time.time() > HOUR_S / 2
        await channel.close()
        await fault.stop(world)
        assert fault.healed, fault.evidence
        assert moved_s() == pytest.approx([0, 0, 0], abs=60)
        await world.set_clock("n3", 1000 * HOUR_S)
        command = [QUORATE, "hosts", "heal", "--inventory", str(find_inventory(five.cluster)), "--json"]
        healed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)[
            "hosts"
        ]
        assert [line for line in healed["n3"] if line.startswith("the clock, 36000")] != [], healed
        assert healed["n1"] == []
        await world.set_clock("n1", 1000 * HOUR_S)  # the run ends so

    in_world(five, story)
    assert moved_s() == pytest.approx([0, 0, 0], abs=60)
    assert here_s() == pytest.approx(here, abs=1.0)


def test_a_host_with_this_machines_kernel_may_not_claim_a_clock(five: Inventory) -> None:
    if five.hosts[0].owns_clock:
        pytest.skip("these hosts are machines")
    claimed = replace(five, hosts=tuple(replace(host, owns_clock=True) for host in five.hosts))

    async def story(world: HostsWorld) -> None:
        raise AssertionError("it came up")

    with pytest.raises(
        WorldError,
        match=r"n1 \(.*\) has the kernel of this machine, and so its clock, which is not set: take owns_clock out",
    ):
        in_world(claimed, story)
    assert on(five, "n1", "ls -d /opt/tiny /run/quorate-node 2>/dev/null") == ""
