"""How processes end on hosts is seen: by a signal of ours, by one of a stranger's, by themselves. And nothing that waits for them is left."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from harness.provision.inventory import Inventory
from harness.worlds.hosts import HostsWorld
from tests.hosts.tiny import NODES, in_world, on

pytestmark = [pytest.mark.hosts, pytest.mark.slow]
UPTIME_S = 0.02  # its hundredths, at both ends
LATE = "waits=$(sed 's/.*) //' /proc/{pid}/stat | cut -d' ' -f2); kill -STOP $waits; kill -SEGV {pid}; (sleep 1; kill -CONT $waits) >/dev/null 2>&1 &"
"""A stranger ends a process, and who waits for it has no time to note that at once."""


def test_each_end_is_told_with_its_status_and_by_whose_will(five: Inventory) -> None:
    told, times = dict[str, Any](), list[float]()

    async def story(world: HostsWorld) -> None:
        first = {node: (await world.process(node)).pid for node in NODES}
        times.append(time.time())
        await world.kill("n1")
        await world.start("n1")
        await world.stop("n3")
        on(five, "n2", LATE.format(pid=first["n2"]))
        second = (await world.process("n1")).pid
        await world.logs()
        times.append(time.time())
        told.update(world.environment(), first=first, second=second)

    in_world(five, story)
    first = told["first"]
    ends = {(each["node"], each["pid"]): each for each in told["ends"]}
    assert ends.keys() == {
        ("n1", first["n1"]),
        ("n1", told["second"]),
        ("n2", first["n2"]),
        ("n3", first["n3"]),
    }
    assert ends["n1", told["second"]]["running"]
    assert [ends[node, first[node]]["asked"] for node in NODES] == ["KILL", "", "TERM"]
    statuses = [ends[node, first[node]]["status"] for node in NODES]
    assert statuses[:2] == [128 + signal.SIGKILL, 128 + signal.SIGSEGV]
    for node in NODES:
        near_s = UPTIME_S + told["clocks"][node]["begin"]["within_ms"] / 1000
        assert times[0] - near_s <= ends[node, first[node]]["at_s"] <= times[1] + near_s
    assert told["ends_of"] == list(NODES)
    for node in NODES:
        assert on(five, node, "ps -ef | grep '[p]id.exits' || true") == ""


def test_hosts_with_our_kernel_share_our_clock(five: Inventory) -> None:
    told = dict[str, Any]()

    async def story(world: HostsWorld) -> None:
        await world.logs()
        told.update(world.environment()["clocks"])

    in_world(five, story)
    assert set(told) == set(NODES)
    for clock in told.values():
        if clock["shared"]:  # so the truth is known: they are not apart
            assert all(abs(clock[when]["offset_ms"]) <= clock[when]["within_ms"] for when in ("begin", "end"))
