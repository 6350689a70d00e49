"""Faults of the links between clients and hosts: what arrives there and what comes back, looked at from another host and from the host itself."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from checkers import History
from checkers.op import Op, Type
from harness.client import ChannelError
from harness.generator import NEMESIS
from harness.nemesis.grudges import ANSWERS, BOTH, CLIENTS, REQUESTS, to_clients
from harness.plan import parse_plan
from harness.provision import find_inventory
from harness.provision.inventory import Inventory
from harness.runner import run
from harness.worlds.hosts import HostsWorld, packets
from harness.worlds.trouble import DELAY, DROP, RESET, Touch, Trouble
from tests.hosts.tiny import NODES, PORT, in_world, on
from tests.polling import until

PATIENCE_S = 600.0  # emulated machines are slow
pytestmark = [pytest.mark.hosts, pytest.mark.slow]
ASK = (
    f"import socket; s = socket.create_connection(('127.0.0.1', {PORT}), 10); f = s.makefile('rwb', 0);"
    " f.write(b'NOTED\\n'); print(f.readline().decode().strip())"
)


def trouble(way: str, kind: str = DROP, *, number: int = 1, **asked: float) -> Trouble:
    return Trouble(number=number, kind=kind, links=to_clients(["n1"], way), **asked)


async def noted(five: Inventory) -> str:
    """What has arrived at n1, as it tells who asks on that host."""
    return (await asyncio.to_thread(on, five, "n1", f'python3 -c "{ASK}"')).strip()


async def until_noted(five: Inventory, words: str) -> None:
    async def is_noted() -> bool:
        return await noted(five) == words

    await until(is_noted, wait_s=PATIENCE_S)


async def note(world: HostsWorld, word: bytes, node: str = "n1") -> str:
    """Over a new connection, made before the trouble."""
    channel = await world.dial(node)
    try:
        return str(await channel.request([b"NOTE", word], timeout_s=60.0))
    finally:
        await channel.close()


def test_without_answers_requests_arrive_and_peers_hear_the_host(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        channel = await world.dial("n1")
        await world.disturb(trouble(ANSWERS))
        with pytest.raises(ChannelError) as caught:
            await channel.request([b"NOTE", b"a"], timeout_s=1.0)
        assert not caught.value.definite
        await until_noted(five, "a")  # the host itself is answered, and the request has arrived
        with pytest.raises(ChannelError):
            await world.dial("n1")
        peer = await world.dial("n2")
        there = next(host.address for host in five.hosts if host.name == "n1").encode(), str(PORT).encode()
        assert await peer.request([b"REACH", *there], timeout_s=60.0) == "yes", "a peer is no client"
        told = await world.relieve(1)
        assert set(told) == {f"n1->{CLIENTS}"}
        assert told[f"n1->{CLIENTS}"].hit >= 2, "the answer, and one to who dialled"
        assert await note(world, b"b") == "noted"

    in_world(five, story)


def test_without_requests_nothing_arrives_until_the_heal(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        channel = await world.dial("n1")
        await world.disturb(trouble(REQUESTS))
        with pytest.raises(ChannelError) as caught:
            await channel.request([b"NOTE", b"a"], timeout_s=1.0)
        assert not caught.value.definite
        await channel.close()
        assert await noted(five) == ""
        told = await world.relieve(1)
        assert set(told) == {f"{CLIENTS}->n1"}
        assert told[f"{CLIENTS}->n1"].hit >= 2, "sent, and sent again"
        await until_noted(five, "a")  # the client had given it up: it took effect all the same

    in_world(five, story)


def test_loss_is_late_a_reset_is_heard_at_once_and_a_delay_is_both_ways(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        channel = await world.dial("n1")
        await world.disturb(trouble(BOTH, share=0.3))
        for _ in range(20):
            assert await channel.request([b"PING"], timeout_s=PATIENCE_S) == "PONG", "TCP sends it again"
        told = await world.relieve(1)
        assert all(touch.hit < touch.seen for touch in told.values())
        assert sum(touch.hit for touch in told.values()) > 0
        await world.disturb(trouble(BOTH, RESET))
        with pytest.raises((ChannelError, OSError)):
            await channel.request([b"PING"], timeout_s=60.0)
        with pytest.raises(ChannelError, match="Connect call failed"):
            await world.dial("n1")
        assert (await world.relieve(1))[f"{CLIENTS}->n1"].hit >= 2
        again = await world.dial("n1")
        await world.disturb(trouble(BOTH, DELAY, delay_ms=50.0))
        begun_s = time.monotonic()
        assert await again.request([b"PING"], timeout_s=60.0) == "PONG"
        assert time.monotonic() - begun_s >= 0.1, "50 ms each way"
        told = await world.relieve(1)
        assert all(touch.held_ms >= 50 for touch in told.values())

    in_world(five, story)


def left(five: Inventory) -> str:
    look = "iptables -w -S; iptables -w -t mangle -S; pgrep -af [q]ueue-[0-9]"
    words = (packets.CHAIN, "queue_daemon")
    return "".join(line for line in on(five, "n1", look).splitlines(True) if any(word in line for word in words))  # fmt: skip


def test_they_end_with_the_lease_and_leave_other_rules_alone(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        for number, kind in enumerate((DROP, DELAY), 7):
            await world.disturb(trouble(BOTH, kind, number=number, share=0.3, delay_ms=1.0))
        there = await asyncio.to_thread(left, five)
        assert f"-A INPUT -j {packets.CHAIN}-7-{REQUESTS}" in there
        assert f"-A OUTPUT -j {packets.CHAIN}-8-{ANSWERS}" in there
        assert world._renewing is not None
        world._renewing.cancel()  # as when the harness is killed
        await until(lambda: not left(five), wait_s=PATIENCE_S)
        assert "2 rules are removed" in on(five, "n1", "cat /run/quorate-node/healed")
        assert "-A OUTPUT -d 192.0.2.9/32 -j DROP" in on(five, "n1", "iptables -w -S")
        assert await world.relieve(7) == {f"{CLIENTS}->n1": Touch(0, 0), f"n1->{CLIENTS}": Touch(0, 0)}

    on(five, "n1", "iptables -w -A OUTPUT -d 192.0.2.9 -j DROP")
    try:
        in_world(five, story, lease_s=3.0)
    finally:
        on(five, "n1", "iptables -w -D OUTPUT -d 192.0.2.9 -j DROP")


PLAN = """
name = "clients"
workload = "register"
claims = ["linearizable"]
seed = 7
nodes = 3
concurrency = 60
time_limit_s = 6
[system]
name = "kvstore"
mode = "register"
[[faults]]
kind = "KIND"
clients = "answers"
targets = "minority"
start_s = 0.5
every_s = 20
for_s = 4
"""


def failed_when_sent(ops: list[Op]) -> list[Op]:
    """Operations that are said to have failed although they were sent."""
    failed = [op for op in ops if op.type is Type.FAIL and op.process != NEMESIS]
    return [op for op in failed if not str(op.error).startswith("no client")]


@pytest.mark.parametrize("kind", ["partition", "flapping", "reset", "delay"])
def test_the_same_plan_bites_in_both_worlds(kind: str, five: Inventory, tmp_path: Path) -> None:
    long = PLAN.replace("time_limit_s = 6", "time_limit_s = 16").replace("for_s = 4", "for_s = 14")
    plan = parse_plan((long if kind == "partition" else PLAN).replace("KIND", kind))  # some have to be read
    for world in ("sim", "hosts"):
        outcome = run(plan, world=world, out=tmp_path / world, inventory=find_inventory(five.cluster))
        assert outcome.results["outcome"] == "valid", outcome.results["reason"]
        (fault,) = map(json.loads, (outcome.folder / "faults.jsonl").read_text().splitlines())
        assert (fault["kind"], fault["bit"], fault["healed"]) == (kind, True, True), fault
        ops = list(History.load(outcome.folder / "history.jsonl"))
        assert failed_when_sent(ops) == []
        if kind == "partition":
            doubtful = {op.value for op in ops if op.type is Type.INFO and op.f == "write"}
            read = {op.value for op in ops if op.type is Type.OK and op.f == "read"}
            assert doubtful & read, "writes that nobody heard of had taken effect"
    assert not any(packets.CHAIN in on(five, node, "iptables -w -S") for node in NODES)
