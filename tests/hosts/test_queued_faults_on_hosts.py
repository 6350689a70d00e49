"""Packets doubled, reordered and corrupted on hosts: what programs there get, and what their kernels count."""

from __future__ import annotations

import ast
import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from harness.control import Connection, ControlError
from harness.provision.inventory import Inventory
from harness.worlds.hosts import HostsWorld, queues
from harness.worlds.trouble import CORRUPT, DELAY, DUPLICATE, REORDER, Touch, Touches, Trouble
from tests.hosts.test_link_faults_on_hosts import DAEMON, PATIENCE_S, address, left
from tests.hosts.tiny import in_world, on
from tests.polling import until

pytestmark = [pytest.mark.hosts, pytest.mark.slow]
SENT = [b"%03d" % number for number in range(200)]
LOG = "/tmp/queued"
GENTLER = {CORRUPT: {"share": 0.1}, REORDER: {"delay_ms": 15.0}}
"""For a stream: with more that is lost, or late, TCP may wait for minutes."""
STREAM_TIMEOUT_S = 60.0
RECEIVE = (
    "import socket; s = socket.socket(2, 2); s.bind(('0.0.0.0', 9)); print('on', flush=True); got = [s.recv(9)]; s.settimeout(QUIET)\n"
    "while 1:\n try: got.append(s.recv(9))\n"
    " except TimeoutError:\n  if __import__('os').path.exists('/tmp/sent'): break\n"
    "print(got, flush=True)"
)
SEND = "import socket, time; s = socket.socket(2, 2)\nfor n in range(200): s.sendto(b'%03d' % n, ('PEER', 9)); time.sleep(0.002)"
COUNT = "grep -E '^Udp:' /proc/net/snmp"
STREAM = (
    "import hashlib, socket; s = socket.create_connection(('PEER', 9)); data = bytes(range(256)) * 4000; s.sendall(data); s.shutdown(1)\n"
    "print(s.recv(64).decode() == hashlib.sha256(data).hexdigest())"
)
TAKE = (
    "import hashlib, socket; l = socket.create_server(('0.0.0.0', 9)); print('on', flush=True); c, _ = l.accept(); h = hashlib.sha256()\n"
    "while data := c.recv(65536): h.update(data)\n"
    "c.sendall(h.hexdigest().encode()); c.close()"
)


def begun(five: Inventory, node: str, program: str) -> None:
    on(
        five,
        node,
        f'rm -f /tmp/sent; setsid python3 -c "{program}" >{LOG} 2>&1 </dev/null & until grep -q on {LOG}; do :; done',
    )


def datagrams(five: Inventory) -> list[bytes]:
    """What arrives at n2 of what n1 sends, in the order in which it does."""
    begun(five, "n2", RECEIVE.replace("QUIET", str(2 if five.hosts[1].slowness == 1 else 8)))
    on(five, "n1", f'python3 -c "{SEND.replace("PEER", address(five, "n2"))}"')
    told = on(five, "n2", f"touch /tmp/sent; until [ $(wc -l <{LOG}) = 2 ]; do sleep 0.1; done; tail -n 1 {LOG}; rm {LOG} /tmp/sent", timeout_s=60.0)  # fmt: skip
    return list(ast.literal_eval(told))


def stream_is_whole(five: Inventory) -> bool:
    """Whether a megabyte over TCP from n1 is at n2 what it was."""
    begun(five, "n2", TAKE)
    send = f'python3 -c "{STREAM.replace("PEER", address(five, "n2"))}"'
    return on(five, "n1", send, timeout_s=STREAM_TIMEOUT_S).strip() == "True"


def refused_by_checksum(five: Inventory) -> int:
    """How many datagrams the kernel of n2 has dropped for their checksum."""
    names, values = (line.split() for line in on(five, "n2", COUNT).splitlines())
    return int(values[names.index("InCsumErrors")])


def under(five: Inventory, kind: str, *, stream: bool = True, **asked: float) -> tuple[list[bytes], Touch]:
    """What arrives under a trouble of n1 -> n2, and what the trouble says of it. A stream is whole under it, and all is after it."""
    seen: list[tuple[list[bytes], Touches]] = []

    async def story(world: HostsWorld) -> None:
        trouble = Trouble(number=1, kind=kind, links={"n2": frozenset({"n1"})}, **asked)
        await world.disturb(trouble)
        got = await asyncio.to_thread(datagrams, five)
        seen.append((got, await world.relieve(1)))
        assert await asyncio.to_thread(datagrams, five) == SENT
        if stream:
            await world.disturb(replace(trouble, **GENTLER.get(kind, {})))
            assert await asyncio.to_thread(stream_is_whole, five)
            assert (await world.relieve(1))["n1->n2"].hit > 0
        await world.mend()
        assert left(five, "n2") == ""

    in_world(five, story)
    ((got, told),) = seen
    assert set(told) == {"n1->n2"}
    return got, told["n1->n2"]


def counted(told: Touch, hit: int) -> bool:
    """Whether so many of the 200 datagrams are said to have been hit; a packet of a stream that has ended may be on the link too, and be hit or not."""
    return 0 <= told.hit - hit <= told.seen - 200


def test_datagrams_are_doubled_and_a_stream_is_not(five: Inventory) -> None:
    got, told = under(five, DUPLICATE, share=0.3)
    counts = Counter(got)
    assert set(counts) == set(SENT)
    assert set(counts.values()) == {1, 2}
    assert counted(told, len(got) - 200)
    assert 20 < told.hit < 120


def test_datagrams_are_overtaken_and_a_stream_is_in_order(five: Inventory) -> None:
    got, told = under(
        five, REORDER, share=0.2, delay_ms=200.0
    )  # also where a busy machine sends the next late
    assert sorted(got) == SENT, "none is lost"
    overtaken = [each for place, each in enumerate(got) if any(other > each for other in got[:place])]
    assert told.seen >= 200
    assert told.hit >= len(overtaken) > 10  # one that is held may also pass another that is


def test_with_a_wrong_checksum_the_kernel_drops_what_is_corrupt(five: Inventory) -> None:
    before = refused_by_checksum(five)
    got, told = under(five, CORRUPT, share=0.3)
    assert set(got) < set(SENT)
    assert counted(told, 200 - len(got))
    assert refused_by_checksum(five) - before == 200 - len(got)


def test_with_the_right_checksum_a_flipped_bit_reaches_the_program(five: Inventory) -> None:
    before = refused_by_checksum(five)
    got, told = under(five, CORRUPT, stream=False, share=0.3, mends_checksum=True)
    flipped = [
        (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()
        for one, other in zip(SENT, got, strict=True)
        if one != other
    ]
    assert set(flipped) == {1}
    assert counted(told, len(flipped))
    assert refused_by_checksum(five) == before


def test_a_program_that_cannot_have_its_queue_is_told_and_nothing_of_it_goes_on(five: Inventory) -> None:
    delay = Trouble(number=1, kind=DELAY, links={}, delay_ms=1.0)
    connection = Connection(five.hosts[1])
    try:
        queues.begin(connection, "/tmp/first", 0, delay)
        assert len(DAEMON.findall(left(five, "n2"))) == 1, "when it returns the program is there"
        with pytest.raises(
            ControlError, match=r"n2 \(.*\): packets cannot be delayed: (Permission|OS)Error: \[Errno"
        ):
            queues.begin(connection, "/tmp/second", 0, delay)
        assert len(DAEMON.findall(left(five, "n2"))) == 1, "the first"
        assert queues.end(connection, "/tmp/second", 0) == queues.end(connection, "/tmp/first", 0) == {}
        assert left(five, "n2") == ""
        on(five, "n2", "mv /usr/bin/python3 /usr/bin/python3.away")
        with pytest.raises(ControlError, match=r"packets cannot be delayed: .*python3: not found"):
            queues.begin(connection, "/tmp/second", 0, delay)
    finally:
        on(five, "n2", "mv /usr/bin/python3.away /usr/bin/python3; rm -rf /tmp/first /tmp/second")
        connection.close()


def test_they_end_with_the_lease(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        for number, kind in enumerate((DUPLICATE, REORDER, CORRUPT), 7):
            links = {"n2": frozenset({"n1"})}
            await world.disturb(Trouble(number=number, kind=kind, links=links, share=0.3, delay_ms=5.0))
        there = await asyncio.to_thread(left, five, "n2")
        assert there.count("NFQUEUE") == len(DAEMON.findall(there)) == 3
        assert world._renewing is not None
        world._renewing.cancel()  # as when the harness is killed
        await until(lambda: not left(five, "n2"), wait_s=PATIENCE_S)
        said = on(five, "n2", "cat /run/quorate-node/healed")
        assert all(f"packets are {what} no more" in said for what in ("doubled", "reordered", "corrupted"))
        assert await asyncio.to_thread(datagrams, five) == SENT

    in_world(five, story, lease_s=3.0)
