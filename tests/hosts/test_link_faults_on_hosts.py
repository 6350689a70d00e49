"""Faults of links on hosts: what the kernel did, looked at past our own code; and that they end with the lease."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from harness.nemesis.flapping import Flapping
from harness.plan import parse_plan
from harness.provision import find_inventory
from harness.provision.inventory import Inventory
from harness.runner import run
from harness.worlds import WorldError
from harness.worlds.hosts import HostsWorld, packets
from harness.worlds.trouble import DELAY, DROP, RATE, RESET, Touch, Trouble
from tests.hosts.tiny import NODES, PORT, in_world, on
from tests.polling import until

PATIENCE_S = 600.0  # emulated machines are slow
DATAGRAMS = 200  # as many as a socket holds when its program is late
HELD_BYTES = 212_992  # the most that one gets; a driver may take more than a KiB for each
pytestmark = [pytest.mark.hosts, pytest.mark.slow]
PLAN = """
name = "links"
workload = "register"
claims = ["linearizable"]
seed = 7
nodes = 3
time_limit_s = 6
[system]
name = "kvstore"
mode = "register"
"""
FAULT = """
[[faults]]
kind = "KIND"
targets = "one"
start_s = 0.5
every_s = 20
for_s = 4
"""


def address(five: Inventory, node: str) -> str:
    return next(host.address for host in five.hosts if host.name == node)


def datagrams(five: Inventory, src: str, dst: str) -> int:
    """How many of DATAGRAMS datagrams from `src` arrive at `dst`: a program on each side counts."""
    receive = (
        f"import socket; s = socket.socket(2, 2); s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, {HELD_BYTES}); s.bind(('0.0.0.0', 9))\n"
        "print('on', flush=True); got = 0\n"
        "while s.recv(9) != b'end': got += 1\n"
        "print(got, flush=True)"
    )
    log = "/tmp/datagrams"
    on(
        five,
        dst,
        f'setsid python3 -c "{receive}" >{log} 2>&1 </dev/null & until grep -q on {log}; do :; done',
    )
    send = f"import socket; s = socket.socket(2, 2)\nfor n in range({DATAGRAMS}): s.sendto(b'x', ('{address(five, dst)}', 9))"
    on(five, src, f'python3 -c "{send}"')
    end = "import socket; s = socket.socket(2, 2); s.sendto(b'end', ('127.0.0.1', 9))"
    told = on(
        five, dst, f'python3 -c "{end}"; until [ $(wc -l <{log}) = 2 ]; do :; done; cat {log}; rm {log}'
    )
    return int(told.split()[1])


def test_a_loss_drops_about_its_share_one_way(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        await world.disturb(Trouble(number=1, kind=DROP, links={"n2": frozenset({"n1"})}, share=0.3))
        arrived = await asyncio.to_thread(datagrams, five, "n1", "n2")
        assert 0.5 * DATAGRAMS < arrived < 0.9 * DATAGRAMS
        assert await asyncio.to_thread(datagrams, five, "n2", "n1") == DATAGRAMS
        assert await asyncio.to_thread(datagrams, five, "n3", "n2") == DATAGRAMS
        did = await world.relieve(1)
        assert did == {"n1->n2": Touch(DATAGRAMS, DATAGRAMS - arrived)}, (
            "what it says is what the programs saw"
        )
        assert await asyncio.to_thread(datagrams, five, "n1", "n2") == DATAGRAMS

    in_world(five, story)


def both_ways(number: int, kind: str, **asked: float) -> Trouble:
    """A trouble of the link between n1 and n2."""
    links = {"n1": frozenset({"n2"}), "n2": frozenset({"n1"})}
    return Trouble(number=number, kind=kind, links=links, **asked)


TALK = f"import socket, time; s = socket.create_connection(('PEER', {PORT}), 10); f = s.makefile('rwb', 0)\n"


def test_a_reset_ends_connections_at_once_and_refuses_new_ones(five: Inventory) -> None:
    talk = TALK.replace("PEER", address(five, "n2")) + (
        "f.write(b'PING\\n'); f.readline(); print('on', flush=True)\n"
        "while not __import__('os').path.exists('/tmp/go'): pass\n"
        "try: f.write(b'PING\\n'); print(f.readline())\n"
        "except OSError as error: print(type(error).__name__)"
    )
    log = "/tmp/talk"

    async def story(world: HostsWorld) -> None:
        start = f'rm -f /tmp/go; setsid python3 -c "{talk}" >{log} 2>&1 </dev/null & until grep -q on {log}; do :; done'
        await asyncio.to_thread(on, five, "n1", start)
        await world.disturb(both_ways(1, RESET))
        ended = await asyncio.to_thread(on, five, "n1", f"touch /tmp/go; until [ $(wc -l <{log}) = 2 ]; do :; done; cat {log}; rm {log} /tmp/go")  # fmt: skip
        assert ended.split()[1] == "ConnectionResetError"
        channel = await world.dial("n1")
        there = address(five, "n2").encode(), str(PORT).encode()
        assert await channel.request([b"REACH", *there], timeout_s=60.0) == "ConnectionRefusedError"
        did = await world.relieve(1)
        assert did["n1->n2"].hit >= 2, "the old connection and the new one"
        assert await channel.request([b"REACH", *there], timeout_s=60.0) == "yes"

    in_world(five, story)


def test_a_slow_link_takes_its_time_and_others_do_not(five: Inventory) -> None:
    """60 kB at 200 kbit/s are 2.4 s, and 20 MB would be a quarter of an hour."""
    take = "import socket; l = socket.create_server(('0.0.0.0', 9)); print('on', flush=True)\nwhile 1:\n c, _ = l.accept()\n while c.recv(65536): pass\n c.close()"
    give = "import socket, time; s = socket.create_connection(('PEER', 9)); t = time.monotonic(); s.sendall(b'x' * SIZE); s.shutdown(1); s.recv(1); print(time.monotonic() - t)"
    log = "/tmp/take"

    def taking(node: str) -> int:
        start = (
            f'setsid python3 -c "{take}" >{log} 2>&1 </dev/null & echo $!; until grep -q on {log}; do :; done'
        )
        return int(on(five, node, start))

    def seconds(dst: str, size: int) -> float:
        script = give.replace("PEER", address(five, dst)).replace("SIZE", str(size))
        return float(on(five, "n1", f'python3 -c "{script}"'))

    async def story(world: HostsWorld) -> None:
        await world.disturb(both_ways(1, RATE, rate_kbit=200.0))
        assert await asyncio.to_thread(seconds, "n2", 60_000) > 2
        await asyncio.to_thread(seconds, "n3", 20_000_000)
        did = await world.relieve(1)
        assert set(did) == {"n1->n2", "n2->n1"}
        assert did["n1->n2"].seen >= did["n1->n2"].hit > 20
        assert "htb" not in await asyncio.to_thread(on, five, "n1", "tc qdisc show")
        await asyncio.to_thread(seconds, "n2", 20_000_000)

    takers = {node: taking(node) for node in ("n2", "n3")}
    try:
        in_world(five, story)
    finally:
        for node, pid in takers.items():
            on(five, node, f"grep -q create_server /proc/{pid}/cmdline && kill -9 {pid}; rm -f {log}")


def test_a_delay_is_at_least_what_was_asked_for_and_measured_as_such(five: Inventory) -> None:
    talk = TALK.replace("PEER", address(five, "n2")) + (
        "took = []\nfor n in range(5):\n t = time.monotonic(); f.write(b'PING\\n'); f.readline(); took.append(time.monotonic() - t)\n"
        "print(min(took))"
    )

    async def story(world: HostsWorld) -> None:
        delay = Trouble(number=1, kind=DELAY, links={"n2": frozenset({"n1"})}, delay_ms=60.0)
        await world.disturb(delay)
        assert float(await asyncio.to_thread(on, five, "n1", f'python3 -c "{talk}"')) > 0.06
        did = await world.relieve(1)
        assert set(did) == {"n1->n2"}
        assert did["n1->n2"].hit >= 5
        assert did["n1->n2"].held_ms >= 60
        assert await asyncio.to_thread(on, five, "n2", "pgrep -f [q]ueue-0") == ""

    in_world(five, story)


DAEMON = re.compile(r"^\d+ python3 .*queue_daemon", re.MULTILINE)
"""A line of `left` that is a daemon, and not the shell that waits for it."""


def left(five: Inventory, node: str) -> str:
    """What is still there of troubles."""
    look = "iptables -w -S; iptables -w -t mangle -S; tc qdisc show; pgrep -af [q]ueue-[0-9]"
    words = (packets.CHAIN, "htb", "tbf", "queue_daemon")
    return "".join(line for line in on(five, node, look).splitlines(True) if any(word in line for word in words))  # fmt: skip


def test_links_that_flap_are_down_and_up_and_down(five: Inventory) -> None:
    """A program on n1 tries to reach n2 all the while: each try takes half a second at most."""
    look = f"import socket; socket.create_connection(('{address(five, 'n2')}', {PORT}), 0.5)"
    detail = {"grudge": {"n2": ["n1"]}, "down_ms": 4000.0, "up_ms": 4000.0}

    async def is_reached() -> bool:
        return "Error" not in await asyncio.to_thread(on, five, "n1", f'python3 -c "{look}" 2>&1')

    async def story(world: HostsWorld) -> None:
        fault = Flapping(1, ("n2",), detail)
        await until(is_reached, wait_s=PATIENCE_S)  # a busy machine may take longer than a try has
        await fault.start(world)
        for expected in (False, True, False, True):
            while await is_reached() is not expected:
                pass
        await fault.stop(world)
        await until(is_reached, wait_s=PATIENCE_S)
        assert (fault.bit, fault.healed) == (True, True), fault

    in_world(five, story)


def test_troubles_end_with_the_lease(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        for number, kind in enumerate((DROP, RESET, RATE, DELAY), 7):
            await world.disturb(both_ways(number, kind, share=0.3, rate_kbit=1000.0, delay_ms=1.0))
        there = await asyncio.to_thread(left, five, "n1")
        assert all(
            word in there for word in (f"{packets.CHAIN}-7", "REJECT", "tbf", "NFQUEUE", "queue_daemon")
        )
        assert world._renewing is not None
        world._renewing.cancel()  # as when the harness is killed
        await until(lambda: not (left(five, "n1") or left(five, "n2")), wait_s=PATIENCE_S)
        said = on(five, "n1", "cat /run/quorate-node/healed")
        assert "2 rules are removed" in said, "of the table filter"
        assert "packets are delayed no more" in said

    in_world(five, story, lease_s=3.0)


def test_troubles_of_one_kind_at_the_same_time_end_one_by_one(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        for number, kind in enumerate((RATE, RATE, DELAY, DELAY), 1):
            await world.disturb(both_ways(number, kind, rate_kbit=1000.0, delay_ms=1.0))
        for number in (1, 3):
            assert set(await world.relieve(number)) == {"n1->n2", "n2->n1"}
        there = left(five, "n1")
        assert (there.count("tbf"), there.count("NFQUEUE"), len(DAEMON.findall(there))) == (1, 1, 1)
        for number in (2, 4):
            await world.relieve(number)
        assert "NFQUEUE" not in left(five, "n1")
        assert "tbf" not in left(five, "n1")

    in_world(five, story)


HIDE = "mv {0} {0}.away"
SHOW = "mv {0}.away {0}"
STATISTIC = "/usr/lib/x86_64-linux-gnu/xtables/libxt_statistic.so"


@pytest.mark.parametrize(
    ("kind", "hide", "show", "says"),
    [
        ("rate", HIDE.format("$(command -v tc)"), SHOW.format("/usr/sbin/tc"), r"it has no tc \(`apt-get install iproute2` there\)"),
        ("rate", "tc qdisc add dev eth0 root handle 1: tbf rate 1gbit burst 100kb latency 1s", "tc qdisc del dev eth0 root", "somebody has set up a queueing discipline there: qdisc tbf 1: root"),
        ("loss", HIDE.format(STATISTIC), SHOW.format(STATISTIC), "iptables there refuses the rule `.*statistic"),
    ],
)  # fmt: skip
def test_what_a_host_cannot_do_is_refused_before_anything_runs(
    kind: str, hide: str, show: str, says: str, five: Inventory
) -> None:
    async def story(world: HostsWorld) -> None:
        raise AssertionError("it came up")

    on(five, "n2", hide)
    try:
        with pytest.raises(WorldError, match=rf"n2 \(.*:22\) cannot do the fault {kind}: {says}"):
            in_world(five, story, faults=(kind,))
        assert left(five, "n1") == ""
    finally:
        on(five, "n2", show)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("loss", "share = 0.3"), ("flapping", "down_ms = 400\nup_ms = 400"), ("reset", "share = 0.1"), ("rate", "rate_kbit = 16"),
        ("delay", "delay_ms = 20\njitter_ms = 5"), ("duplicate", "share = 0.3"), ("reorder", "share = 0.3"), ("corrupt", "share = 0.1"),
        ("corrupt", 'share = 0.05\nchecksum = "right"'),
    ],
)  # fmt: skip
def test_the_same_plan_bites_in_both_worlds(kind: str, more: str, five: Inventory, tmp_path: Path) -> None:
    plan = parse_plan(PLAN + FAULT.replace("KIND", kind) + more)
    for world in ("sim", "hosts"):
        outcome = run(plan, world=world, out=tmp_path / world, inventory=find_inventory(five.cluster))
        assert outcome.results["outcome"] == "valid", outcome.results["reason"]
        (fault,) = map(json.loads, (outcome.folder / "faults.jsonl").read_text().splitlines())
        assert (fault["kind"], fault["bit"], fault["healed"]) == (kind, True, True), fault
    assert not any(left(five, node) for node in NODES)


def test_both_worlds_strike_the_same_node_when_a_fault_is_aimed_at_who_leads(
    five: Inventory, tmp_path: Path
) -> None:
    aimed = FAULT.replace("KIND", "loss").replace('"one"', '"primaries"') + "share = 0.5\n"
    plan = parse_plan(PLAN + aimed + "[options]\nkeys = 1\nops_per_key = 10000\n")
    struck = []
    for world in ("sim", "hosts"):
        outcome = run(plan, world=world, out=tmp_path / world, inventory=find_inventory(five.cluster))
        (fault,) = map(json.loads, (outcome.folder / "faults.jsonl").read_text().splitlines())
        assert (fault["bit"], fault["healed"]) == (True, True)
        struck.append(fault["nodes"])
    assert struck[0] == struck[1]
    assert len(struck[0]) == 1
