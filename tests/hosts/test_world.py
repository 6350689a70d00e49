"""Faults on hosts bite, and what the world reports is what the kernel did. The system is a tiny one of our own."""

from __future__ import annotations

import asyncio
import shlex
import time
from pathlib import Path

import pytest

from harness.client import ChannelError
from harness.plan import PlanError
from harness.provision.inventory import Inventory
from harness.worlds import WorldError
from harness.worlds.hosts import HostsWorld, clock, packets
from harness.worlds.trouble import DROP, Touch, Trouble
from tests.hosts.tiny import NODES, PORT, TinySystem, in_world, on
from tests.polling import poll, until

DATA = "/var/lib/quorate/tiny"
pytestmark = [pytest.mark.hosts, pytest.mark.slow]


def address(five: Inventory, node: str) -> bytes:
    return next(host.address for host in five.hosts if host.name == node).encode()


async def reach(world: HostsWorld, five: Inventory, src: str, dst: str) -> str:
    """Can `src` open a connection to `dst`? Its own answer."""
    channel = await world.dial(src)
    try:
        return str(await channel.request([b"REACH", address(five, dst), str(PORT).encode()], timeout_s=60.0))
    finally:
        await channel.close()


async def reached(world: HostsWorld, five: Inventory, src: str, dst: str) -> None:
    """It can; on a busy machine a try may take longer than it has."""

    async def is_reached() -> bool:
        return await reach(world, five, src, dst) == "yes"

    await until(is_reached, wait_s=600.0)


def cut(number: int, dst: str, *sources: str) -> Trouble:
    """`dst` hears nothing of the sources."""
    return Trouble(number=number, kind=DROP, links={dst: frozenset(sources)})


def test_a_partition_drops_packets_one_way_and_mends(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        await reached(world, five, "n1", "n2")
        await world.disturb(cut(1, "n2", "n1"))
        assert await reach(world, five, "n1", "n2") == "TimeoutError"
        await reached(world, five, "n1", "n3")
        await world.disturb(cut(2, "n1", "n3"))
        assert await reach(world, five, "n3", "n1") == "TimeoutError"
        did = await world.relieve(1)
        assert set(did) == {"n1->n2"}
        assert did["n1->n2"].seen == did["n1->n2"].hit > 0
        await reached(world, five, "n1", "n2")
        assert await reach(world, five, "n3", "n1") == "TimeoutError", "the other one goes on"
        await world.mend()
        await reached(world, five, "n3", "n1")
        assert await world.relieve(2) == {}, "there is none any more"
        await world.disturb(cut(1, "n2", "n1"))
        assert await world.relieve(1) == {"n1->n2": Touch(0, 0)}, "a fresh cut begins at nothing"

    in_world(five, story)
    assert all(packets.CHAIN not in on(five, node, "iptables -w -S") for node in NODES)


def test_rules_of_others_survive(five: Inventory) -> None:
    foreign = (
        "iptables -w -A INPUT -p tcp --dport 9 -j REJECT; iptables -w -N MINE; iptables -w -A MINE -j RETURN"
    )
    on(five, "n1", foreign)
    before = on(five, "n1", "iptables -w -S")

    async def story(world: HostsWorld) -> None:
        await world.disturb(cut(1, "n1", "n2", "n3"))
        assert packets.CHAIN in on(five, "n1", "iptables -w -S")
        await world.mend()
        assert on(five, "n1", "iptables -w -S") == before

    try:
        in_world(five, story)
        assert "--dport 9 -j REJECT" in before
        assert on(five, "n1", "iptables -w -S") == before
    finally:
        on(five, "n1", "iptables -w -F; iptables -w -X MINE")


def test_a_chain_whose_name_begins_like_ours_is_not_ours(five: Inventory) -> None:
    other = f"{packets.CHAIN}-OTHERS"
    on(
        five,
        "n2",
        f"iptables -w -N {other}; iptables -w -A INPUT -j {other}; iptables -w -A {other} -s 192.0.2.9 -j DROP",
    )
    before = on(five, "n2", "iptables -w -S")
    assert before.count(other) == 3

    async def story(world: HostsWorld) -> None:
        await world.disturb(cut(1, "n2", "n1"))
        await world.mend()  # raises if rules of ours are left

    try:
        in_world(five, story)
        assert on(five, "n2", "iptables -w -S") == before
    finally:
        on(five, "n2", f"iptables -w -D INPUT -j {other}; iptables -w -F {other}; iptables -w -X {other}")


def test_kill_and_start_change_the_pid(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        first = await world.process("n1")
        assert first.state == "running"
        await world.start("n1")
        assert await world.process("n1") == first, "start does nothing while it runs"
        await world.kill("n1")
        assert (await world.process("n1")).state == "gone"
        with pytest.raises(ChannelError):
            await world.dial("n1")
        await world.kill("n1")
        await world.start("n1")
        second = await world.process("n1")
        assert second.state == "running"
        assert second.pid != first.pid
        assert (await world.logs())["n1"].count("serving n1") >= 1

    in_world(five, story)


def test_wipe_empties_the_disk_of_a_dead_process_only(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        on(five, "n1", f"mkdir -p {DATA}/deep && touch {DATA}/a {DATA}/deep/b")
        on(five, "n2", f"touch {DATA}/a")
        assert await world.wipe("n1") == 0, "a process that runs keeps its disk"
        await world.kill("n1")
        assert await world.wipe("n1") == 2
        assert on(five, "n1", f"find {DATA} -mindepth 1") == ""
        assert on(five, "n2", f"find {DATA} -mindepth 1").split() == [f"{DATA}/a"], "another host's disk"
        await world.start("n1")
        assert (await world.process("n1")).state == "running"

    in_world(five, story)


def test_pause_stops_the_process_and_resume_lets_it_answer(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        channel = await world.dial("n1")
        await world.pause("n1")
        assert (await world.process("n1")).state == "stopped"
        with pytest.raises(ChannelError):
            await channel.request([b"PING"], timeout_s=0.3)
        await world.resume("n1")
        assert (await world.process("n1")).state == "running"
        fresh = await world.dial("n1")
        assert await fresh.request([b"PING"], timeout_s=60.0) == "PONG"
        await world.kill("n1")
        with pytest.raises(WorldError, match="there is no process to be paused"):
            await world.pause("n1")

    in_world(five, story)


@pytest.mark.skipif(
    not list(Path("/usr").glob("lib*/*/faketime/" + clock.LIBRARY)), reason="needs the package faketime"
)
def test_a_clock_offset_is_what_the_process_sees(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        channel = await world.dial("n1")
        for offset_ms in (0.0, 5000.0, -1500.0, 0.0):
            await world.set_clock("n1", offset_ms)
            seen_ms = 1000 * (float(await channel.request([b"TIME"], timeout_s=60.0)) - time.time())
            assert seen_ms == pytest.approx(offset_ms, abs=400), "what the process itself says"
            assert await world.clock_offset_ms("n1") == pytest.approx(offset_ms, abs=400), "what we measure"
            assert await world.clock_offset_ms("n2") == pytest.approx(0, abs=400), "the others are left alone"

    in_world(five, story)


def test_a_clock_that_cannot_be_shifted_is_refused(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        with pytest.raises(WorldError, match="libfaketime is not preloaded"):
            await world.set_clock("n1", 1.0)
        with pytest.raises(WorldError, match="runs without libfaketime"):
            await world.clock_offset_ms("n1")

    in_world(five, story, shift_clocks=False)


def test_a_port_in_use_is_named_and_nothing_is_left(five: Inventory) -> None:
    squatter = f"setsid python3 -m http.server {PORT} >/dev/null 2>&1 </dev/null & echo $!"
    pid = int(on(five, "n2", squatter))
    assert pid > 1
    try:
        poll(lambda: f":{PORT:04X} " in on(five, "n2", "cat /proc/net/tcp"), wait_s=300.0)

        async def story(world: HostsWorld) -> None:
            raise AssertionError("it came up on a port in use")

        with pytest.raises(WorldError, match=rf"n2 \(.*\): port {PORT} is in use by another program"):
            in_world(five, story)
        assert on(five, "n1", "ls -d /opt/tiny /run/quorate-node /var/lib/quorate/tiny 2>/dev/null") == ""
    finally:
        on(five, "n2", f"grep -q http.server /proc/{pid}/cmdline && kill -9 {pid}")


def test_what_a_crashed_run_left_is_cleared(five: Inventory) -> None:
    async def abandoned() -> int:
        world = HostsWorld(TinySystem(NODES), five)
        await world.up()
        await world.disturb(cut(1, "n1", "n2"))
        await world.pause("n3")
        pid = (await world.process("n3")).pid
        assert pid is not None
        return pid

    left = asyncio.run(abandoned())

    async def story(world: HostsWorld) -> None:
        await reached(world, five, "n2", "n1")
        now = await world.process("n3")
        assert now.state == "running"
        assert now.pid != left

    in_world(five, story)


SLOW_MKDIR = """#!/bin/sh
if [ "$*" = "-p /var/log" ]; then touch /tmp/starting; until [ -e /tmp/go ]; do sleep 0.02; done; fi
exec /bin/mkdir "$@"
"""
TELLING_RM = """#!/bin/sh
case "$*" in *" /opt/tiny "*) [ ! -e /tmp/starting ] || touch /tmp/cleared ;; esac
exec /bin/rm "$@"
"""


def test_a_host_is_not_cleared_while_a_cancelled_start_still_runs(five: Inventory) -> None:
    """n3 takes long over its start. Were it cleared meanwhile, the store would begin behind our back."""

    async def cancelled() -> None:
        world = HostsWorld(TinySystem(NODES), five)
        coming_up = asyncio.create_task(world.up())
        while not await asyncio.to_thread(on, five, "n3", "ls /tmp/starting 2>/dev/null"):
            assert not coming_up.done()
        coming_up.cancel()
        going_down = asyncio.create_task(world.down())
        for _ in range(10):
            assert await asyncio.to_thread(on, five, "n3", "ls /tmp/cleared 2>/dev/null") == ""
        going_down.cancel()  # a second Ctrl-C: heard when all is clear
        await asyncio.to_thread(on, five, "n3", "touch /tmp/go")
        with pytest.raises(asyncio.CancelledError):
            await going_down
        with pytest.raises(asyncio.CancelledError):
            await coming_up

    tools = {"mkdir": SLOW_MKDIR, "rm": TELLING_RM}
    for tool, script in tools.items():
        on(five, "n3", f"echo {shlex.quote(script)} >/usr/local/bin/{tool}; chmod 755 /usr/local/bin/{tool}")
    try:
        asyncio.run(cancelled())
        assert on(five, "n3", "ls /tmp/cleared") == "/tmp/cleared\n"
        assert all("server.py" not in on(five, node, "ps -ef") for node in NODES)
    finally:
        on(five, "n3", "touch /tmp/go; /bin/rm -f /usr/local/bin/mkdir /usr/local/bin/rm")
        on(five, "n3", "rm -f /tmp/go /tmp/starting /tmp/cleared")


def test_down_leaves_no_process_and_no_file(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        assert "server.py" in on(five, "n1", "ps -ef")
        await world.down()
        await world.down()

    in_world(five, story)
    assert "server.py" not in on(five, "n1", "ps -ef")
    assert on(five, "n1", "ls -d /opt/tiny /run/quorate-node /var/lib/quorate/tiny 2>/dev/null") == ""


def test_more_nodes_than_hosts_is_bad_input(five: Inventory) -> None:
    with pytest.raises(PlanError, match=r"the plan wants 6 nodes and cluster .* has 5 hosts"):
        HostsWorld(TinySystem([f"n{number}" for number in range(1, 7)]), five)


def test_what_a_host_lacks_is_said_with_the_host(five: Inventory) -> None:
    async def whole() -> None:
        world = HostsWorld(TinySystem(NODES, lacking="compiler"), five)
        try:
            await world.up()
        finally:
            await world.down()

    with pytest.raises(WorldError, match=r"n1 \(.*:22\): there is no compiler; install it"):
        asyncio.run(whole())
