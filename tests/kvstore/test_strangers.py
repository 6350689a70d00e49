"""Whoever has not logged in cannot make a node hold a megabyte, nor keep others from logging in."""

from __future__ import annotations

import asyncio
import contextlib
import re
import select
import socket
import subprocess
import sys
import tracemalloc
from functools import partial
from pathlib import Path

import hiredis
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inside import in_thread, run_inside
from live import ask, live_cluster, read_answers
from mutation import sealed

from kvstore import resp, wire
from kvstore.config import node_config
from kvstore.server import Server
from kvstore.strangers import PLAIN_COST, ROOM, Strangers, source_of
from tests.polling import poll

MIB = 1 << 20
COUNT_MAX = ROOM // PLAIN_COST
COST = 20  # of a stranger, in bytes, where only sums are looked at
PASSWORD = "open sesame"
CONFIG = node_config("n1", {}, password=PASSWORD)
TINY = b"*1\r\n$4\r\nPING\r\n"
SHAPES = {
    "many tiny commands": TINY * 20_000,
    "typed lines": b"a\n" * 200_000,
    "words": b"a b c d e f g h i j\n" * 20_000,
    "one line of words": b"a " * 30_000 + b"\n",
    "a line without an end": b"x" * 65_000,
    "half an argument": b"*2\r\n$4\r\nAUTH\r\n$16384\r\n" + b"x" * 16_000,
    "an array of arguments": b"*10\r\n" + (b"$6000\r\n" + b"x" * 6000 + b"\r\n") * 9,
    "nested arrays": b"*1\r\n" * 60_000,
    "empty arrays": b"*0\r\n" * 60_000,
    "answers not taken": b"*2\r\n$4\r\nPING\r\n$16000\r\n" + b"x" * 16_000 + b"\r\n",
    "behind a login": hiredis.pack_command(("AUTH", PASSWORD[:-1])) + TINY * 6_000,
    "noise": bytes(range(256)) * 1000,
}


FRAMES = {
    "commands": TINY * 20_000,
    "frames": wire.encode(wire.Refusal("x")) * 20_000,
    "half a frame": b"\x00\x00\x03\xe8\x02\x02abcd" + b"x" * 900,
    "a huge frame": b"\x00\xff\xff\xff\x02\x02abcd" + b"x" * 70_000,
    "noise": bytes(range(256)) * 1000,
    "text that is not UTF-8": sealed(
        wire.Refusal("xy"), msgspec.msgpack.encode(("xy",)).replace(b"xy", b"\xff\xfe")
    ),
}
LOGIN = [b"AUTH", PASSWORD.encode()]


def flood(port: int, shape: bytes, connections: int, rounds: int, piece: int) -> None:
    """Send a shape on many connections again and again, as far as the node takes it."""
    with contextlib.ExitStack() as opened:
        sockets = []
        for _ in range(connections):
            client = opened.enter_context(socket.create_connection(("127.0.0.1", port), 60))
            client.setblocking(False)
            sockets.append(client)
        view = memoryview(shape)
        sent = dict.fromkeys(sockets, 0)
        for _ in range(rounds):
            for client in sockets:
                with contextlib.suppress(OSError):  # the node does not take it, or has closed
                    sent[client] += client.send(view[sent[client] % len(view) :][:piece])
            select.select([], [], [], 0.001)  # the node shares this process: let it have its turn


@pytest.mark.slow
@pytest.mark.parametrize("port_of", ["client", "peer"])
@pytest.mark.parametrize(
    ("connections", "rounds", "piece"), [(1, 80, 1 << 18), (20, 20, 1 << 16), (150, 4, 1 << 14), (3, 100, 7)]
)
def test_a_stranger_cannot_make_a_node_hold_a_mebibyte(
    tmp_path: Path, port_of: str, connections: int, rounds: int, piece: int
) -> None:
    worst: dict[str, int] = {}

    async def scenario(server: Server, client: int, peer: int) -> None:
        port = client if port_of == "client" else peer
        shapes = SHAPES if port_of == "client" else FRAMES
        if connections > 100:  # slow to open: those that hold most
            shapes = {name: shapes[name] for name in list(shapes)[:2] + list(shapes)[5:7]}
        await in_thread(lambda: ask(client, [b"PING"]))
        for name, shape in shapes.items():
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            await in_thread(partial(flood, port, shape, connections, rounds, piece))
            worst[name] = tracemalloc.get_traced_memory()[1] - before

    tracemalloc.start()
    try:
        run_inside(tmp_path, CONFIG, scenario)
    finally:
        tracemalloc.stop()
    assert {name: size for name, size in worst.items() if size > MIB} == {}


@pytest.mark.slow
def test_nor_can_it_while_the_node_is_not_ready(tmp_path: Path) -> None:
    """Commands wait in the node then, whole: they are counted as well."""
    command = hiredis.pack_command((b"AUTH", *[b"x" * 6000] * 9))

    async def scenario(server: Server, client: int, peer: int) -> None:
        before = tracemalloc.get_traced_memory()[0]
        with contextlib.ExitStack() as opened:
            for _ in range(60):
                stranger = opened.enter_context(socket.create_connection(("127.0.0.1", client), 60))
                stranger.sendall(command)
            while server.metrics.commands < 40:
                await asyncio.sleep(0)
            assert tracemalloc.get_traced_memory()[0] - before < MIB
        assert "ready', 0" in str(server.info()["Replication"].items())

    tracemalloc.start()
    try:
        run_inside(tmp_path, node_config("n1", {"n2": "127.0.0.1:1"}, password=PASSWORD), scenario)
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_clients_log_in_while_strangers_hold_all_the_room_there_is(tmp_path: Path) -> None:
    def crowd(port: int) -> None:
        with contextlib.ExitStack() as opened:
            for _ in range(2 * COUNT_MAX):
                client = opened.enter_context(socket.create_connection(("127.0.0.1", port), 60))
                client.sendall(SHAPES["half an argument"])
            for _ in range(20):
                assert ask(port, LOGIN, [b"SET", b"k", b"v"]) == [b"OK", b"OK"]

    async def scenario(server: Server, client: int, peer: int) -> None:
        await in_thread(partial(crowd, client))
        assert server.strangers.evicted > COUNT_MAX

    run_inside(tmp_path, CONFIG, scenario)


@pytest.mark.slow
def test_what_follows_a_login_waits_for_its_answer(tmp_path: Path) -> None:
    big = [b"SET", b"k", b"x" * (resp.STRANGER.arg_bytes + 1)]

    def pipelines(port: int) -> None:
        assert ask(port, LOGIN, big, [b"STRLEN", b"k"]) == [b"OK", b"OK", len(big[2])]
        wrong, refused = ask(port, [b"AUTH", b"wrong"], big)
        assert str(wrong).startswith("WRONGPASS")
        assert "Protocol error" in str(refused)
        assert [str(each)[:6] for each in ask(port, LOGIN, [b"RESET"], [b"GET", b"k"], [b"INFO"])] == [
            "b'OK'", "b'RESE", "NOAUTH", "NOAUTH",
        ]  # fmt: skip

    async def scenario(server: Server, client: int, peer: int) -> None:
        await in_thread(partial(pipelines, client))
        assert len(server.strangers) == 0

    run_inside(tmp_path, CONFIG, scenario)


@pytest.mark.slow
def test_whoever_does_not_log_in_is_closed_however_it_drips(tmp_path: Path) -> None:
    def drip(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), 60) as client:
            client.sendall(b"PING\r\n" * 3 + b"*2\r\n$4\r\nAU")
            assert read_answers(client, 3) == [b"PONG"] * 3
            with contextlib.suppress(ConnectionError):  # closed while it drips
                while b"OVERLOADED no login in time" not in client.recv(100):
                    client.sendall(b"T")
        poll(lambda: logged_in(port), wait_s=300.0)  # on a busy machine a client may be too late as well

    async def scenario(server: Server, client: int, peer: int) -> None:
        await in_thread(partial(drip, client))

    run_inside(tmp_path, msgspec.structs.replace(CONFIG, login_timeout_ms=1000.0), scenario)


def logged_in(port: int) -> bool:
    with contextlib.suppress(ConnectionError):
        return ask(port, LOGIN, [b"PING"]) == [b"OK", b"PONG"]
    return False


class Somebody:
    """A stranger that only knows whether it was evicted."""

    gone = False

    def evict(self) -> None:
        self.gone = True


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-1, 50))))
def test_strangers_fit_and_the_oldest_goes_first(steps: list[tuple[int, int]]) -> None:
    strangers, people = Strangers(100), dict[int, Somebody]()
    held: dict[int, int] = {}
    for who, size in steps:
        if size < 0:
            strangers.remove(people.pop(who, Somebody()))
            held.pop(who, None)
            continue
        if who not in held:
            people[who] = Somebody()
            strangers.add(people[who], "here", COST)
            held[who] = COST
            while sum(held.values()) > 100:
                del held[next(iter(held))]
        strangers.hold(people[who], size)
        held[who] = COST + size
        while sum(held.values()) > 100:
            del held[next(iter(held))]
        assert strangers.fits(100 - sum(held.values()))
        assert not strangers.fits(101 - sum(held.values()))
        assert strangers.all() == [people[each] for each in held]
        assert {each for each, person in people.items() if person.gone} == set(people) - set(held)


@given(st.lists(st.integers(0, 3), max_size=60))
def test_whoever_opens_most_connections_loses_them(sources: list[int]) -> None:
    """No address is evicted from while another has more; so whoever has at most its equal share is never evicted."""
    strangers = Strangers(8 * COST)
    people: dict[Somebody, str] = {}
    for number in sources:
        came = Somebody()
        people[came] = f"10.0.0.{number}"
        strangers.add(came, people[came], COST)
        there = [people[each] for each in strangers.all()]  # type: ignore[index]
        assert len(there) == min(8, len(people))
        lost = {people[each] for each in people if each.gone}
        counts = {source: there.count(source) for source in set(people.values())}
        assert all(counts[source] >= 2 for source in lost)


def test_an_address_is_what_a_host_cannot_choose() -> None:
    assert source_of(("10.0.0.7", 1234)) == "10.0.0.7"
    assert source_of(("2001:db8:1:2:3:4:5:6", 9, 0, 0)) == source_of(("2001:db8:1:2:ffff::1", 9, 0, 0))
    assert source_of(("::ffff:10.0.0.7", 9, 0, 0)) != source_of(("::ffff:10.0.0.8", 9, 0, 0))
    assert source_of(None) == ""


FLOOD = """
import socket, sys
held = []
print("flooding", flush=True)
while True:
    try:
        one = socket.socket()
        one.bind(("127.0.0.2", 0))
        one.settimeout(1.0)
        one.connect(("127.0.0.1", int(sys.argv[1])))
        held.append(one)
    except OSError:
        pass
    if len(held) > 400:
        held.pop(0).close()
"""


@pytest.mark.slow
def test_clients_log_in_during_a_flood_of_connections(tmp_path: Path) -> None:
    """Another host opens connections as fast as it can: a client comes in though hundreds came after it before it says a word."""
    with live_cluster(tmp_path, 1, bucket='mode = "cas"\nn = 1', password=PASSWORD, more="login_timeout_ms = 600_000") as made:  # fmt: skip
        port = made.ports["n1"]
        command = [sys.executable, "-c", FLOOD, str(port)]
        with contextlib.ExitStack() as opened:
            flooding = opened.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            opened.callback(flooding.kill)
            for _ in range(5):
                client = opened.enter_context(socket.create_connection(("127.0.0.1", port), 60))
                until = evicted(port) + 2 * COUNT_MAX
                while evicted(port) < until:
                    pass
                client.sendall(b"".join(resp.encode(each, 2) for each in (LOGIN, [b"SET", b"k", b"v"])))
                assert read_answers(client, 2) == [b"OK", b"OK"]


def evicted(port: int) -> int:
    """How many strangers a node has evicted, by a client that comes in, too."""
    _, info = ask(port, LOGIN, [b"INFO"])
    assert isinstance(info, bytes)
    found = re.search(rb"\nstrangers_evicted:(\d+)", info)
    assert found is not None
    return int(found[1])
