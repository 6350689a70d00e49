"""Faults of links on hosts: what the kernel did, looked at past our own code; and that they end with the lease."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from harness.control import Connection
from harness.plan import parse_plan
from harness.provision import find_inventory
from harness.provision.inventory import Inventory
from harness.runner import run
from harness.worlds.hosts import HostsWorld, packets
from harness.worlds.trouble import DROP, Trouble
from tests.hosts.tiny import TinySystem

NODES = ("n1", "n2", "n3")
PATIENCE_S = 60.0
DATAGRAMS = 200  # as many as a socket holds when its program is late
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


def on(five: Inventory, node: str, script: str) -> str:
    connection = Connection(next(host for host in five.hosts if host.name == node))
    try:
        return connection.shell(script, check=False).stdout
    finally:
        connection.close()


def address(five: Inventory, node: str) -> str:
    return next(host.address for host in five.hosts if host.name == node)


def datagrams(five: Inventory, src: str, dst: str) -> int:
    """How many of DATAGRAMS datagrams from `src` arrive at `dst`: a program on each side counts."""
    receive = (
        "import socket; s = socket.socket(2, 2); s.bind(('0.0.0.0', 9))\n"
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
    async def story() -> None:
        world = HostsWorld(TinySystem(NODES), five)
        try:
            await world.up()
            loss = Trouble(number=1, kind=DROP, links={"n2": frozenset({"n1"})}, share=0.3)
            await world.disturb(loss)
            arrived = await asyncio.to_thread(datagrams, five, "n1", "n2")
            assert 0.5 * DATAGRAMS < arrived < 0.9 * DATAGRAMS
            assert await asyncio.to_thread(datagrams, five, "n2", "n1") == DATAGRAMS
            assert await asyncio.to_thread(datagrams, five, "n3", "n2") == DATAGRAMS
            did = await world.relieve(1)
            assert did == {"n1->n2": (DATAGRAMS, DATAGRAMS - arrived)}, (
                "what it says is what the programs saw"
            )
            assert await asyncio.to_thread(datagrams, five, "n1", "n2") == DATAGRAMS
        finally:
            await world.down()

    asyncio.run(story())


def test_troubles_end_with_the_lease(five: Inventory) -> None:
    async def story() -> None:
        world = HostsWorld(TinySystem(NODES), five, lease_s=3.0)
        try:
            await world.up()
            assert world._renewing is not None
            world._renewing.cancel()  # as when the harness was killed
            await world.disturb(Trouble(number=7, kind=DROP, links={"n1": frozenset({"n2"})}, share=0.3))
            assert f"{packets.CHAIN}-7" in on(five, "n1", "iptables -w -S")
            give_up = time.monotonic() + PATIENCE_S
            while packets.CHAIN in on(five, "n1", "iptables -w -S"):
                assert time.monotonic() < give_up
                await asyncio.sleep(0.2)
            assert "1 rules are removed" in on(five, "n1", "cat /run/quorate-node/healed")
        finally:
            await world.down()

    asyncio.run(story())


@pytest.mark.parametrize(("kind", "more"), [("loss", "share = 0.3"), ("flapping", "down_ms = 400\nup_ms = 400")])  # fmt: skip
def test_the_same_plan_bites_in_both_worlds(kind: str, more: str, five: Inventory, tmp_path: Path) -> None:
    plan = parse_plan(PLAN + FAULT.replace("KIND", kind) + more)
    for world in ("sim", "hosts"):
        outcome = run(plan, world=world, out=tmp_path / world, inventory=find_inventory(five.cluster))
        assert outcome.results["outcome"] == "valid", outcome.results["reason"]
        (fault,) = map(json.loads, (outcome.folder / "faults.jsonl").read_text().splitlines())
        assert (fault["kind"], fault["bit"], fault["healed"]) == (kind, True, True)
        assert sum(fault["evidence"]["dropped"].values()) > 0
    for node in NODES:
        assert packets.CHAIN not in on(five, node, "iptables -w -S")
