"""What a node shows to browsers and to Prometheus: pages of a picture, and the port of a running node."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import tracemalloc
import urllib.error
import urllib.request
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from kvstore.__main__ import load
from kvstore.config import ConfigError
from kvstore.http_port import HttpPort
from kvstore.strangers import PLAIN_COST, ROOM, Strangers
from kvstore.web import COUNTERS, Peer, Picture, health, metrics, page, ring
from tests.kvstore.live import free_ports, live_cluster

PICTURE = Picture(
    node="n1", epoch=7, ready=True, draining=False, stranger=False, up_s=12.5, clients=3, requests=2,
    counters={name: float(place) for place, name in enumerate(COUNTERS)}, commit_s=0.25, upkeep={"hints_kept": 4.0},
    members=("n1", "n2", "n3"), peers=(Peer("n2", True, "up", 0.2, 0), Peer("n3", False, "connecting", 9.5, 1)),
    owners=("n1", "n2", "n3", "n1"), steps=("", "write both, read old", "", ""), change="join of n3",
)  # fmt: skip


class Page(HTMLParser):
    """Tags, and what asks for something outside."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.polygons: list[str] = []
        self.outside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.outside += [str(given[name]) for name in ("src", "href") if name in given]
        if tag == "polygon":
            self.polygons.append(str(given["fill"]))
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({}, 200, ""),
        ({"draining": True}, 503, "it stops, and answers only what is in progress"),
        ({"stranger": True}, 503, "it is no member of the cluster"),
        ({"ready": False}, 503, "it has not come up yet"),
        ({"peers": (replace(PICTURE.peers[0], reachable=False), PICTURE.peers[1])}, 503, "it reaches 1 of 3 members, and 2 are a majority"),
    ],
)  # fmt: skip
def test_health_says_why_not(change: dict[str, object], status: int, reason: str) -> None:
    got, body = health(replace(PICTURE, **change))  # type: ignore[arg-type]
    told = json.loads(body)
    assert (got, told["ready"], told["reason"]) == (status, status == 200, reason)


def test_metrics_can_be_read_by_prometheus() -> None:
    families = {family.name: family for family in text_string_to_metric_families(metrics(PICTURE).decode())}
    assert families["quorate_commands"].samples[0].value == list(COUNTERS).index("commands")
    assert families["quorate_commands"].type == "counter"
    owned = {sample.labels["member"]: sample.value for sample in families["quorate_partitions"].samples}
    assert owned == {"n1": 2, "n2": 1, "n3": 1}
    up = {sample.labels["peer"]: sample.value for sample in families["quorate_peer_reachable"].samples}
    assert up == {"n2": 1.0, "n3": 0.0}
    assert families["quorate_partitions_moving"].samples[0].value == 1
    assert families["quorate_ready"].samples[0].value == 1


def test_the_ring_is_drawn_and_asks_for_nothing() -> None:
    text = ring(PICTURE).decode()
    drawn = Page(text)
    assert drawn.open == []
    assert drawn.outside == []
    assert len(drawn.polygons) == 4
    assert drawn.polygons[0] == drawn.polygons[3] != drawn.polygons[1]
    assert "partition 1: n2, write both, read old" in text
    assert "suspected, phi 9.5" in text
    assert "In progress: join of n3" in text


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_name_becomes_markup(name: str, state: str) -> None:
    odd = f"<b>{name}"
    peers = (Peer(odd, False, f"<i>{state}", 1.0, 0),)
    drawn = Page(
        ring(
            replace(PICTURE, node=odd, members=("n1", odd), peers=peers, owners=(odd, "n1"), steps=("", ""))
        ).decode()
    )
    assert drawn.open == []
    assert not {"b", "i"} & set(drawn.open)


def test_other_paths_are_told_which_there_are() -> None:
    status, _, body = page("/keys?all", PICTURE)
    assert (status, body) == (404, b"There is /health, /metrics, /ring.\n")
    assert page("/health?x=1", PICTURE)[0] == 200


COUNT_MAX = ROOM // PLAIN_COST


def get(port: int, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def raw(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(data)
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


@pytest.mark.slow
def test_a_running_node_shows_itself(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with live_cluster(
        tmp_path, 1, bucket='mode = "register"\nn = 1', more=f'http = "127.0.0.1:{port}"'
    ) as cluster:
        assert json.loads(get(port, "/health")[1])["ready"] is True
        families = {
            family.name for family in text_string_to_metric_families(get(port, "/metrics")[1].decode())
        }
        assert {"quorate_commits", "quorate_peer_phi", "quorate_up_seconds"} <= families
        assert len(Page(get(port, "/ring")[1].decode()).polygons) == 256
        assert get(port, "/")[0] == 404
        refused = raw(port, b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert b" 405 " in refused
        assert b"\r\nAllow: GET, HEAD\r\n" in refused
        assert b" 400 " in raw(port, b"\x00\xff nonsense\r\n\r\n")
        assert b" 431 " in raw(port, b"GET / HTTP/1.1\r\nHost: " + b"x" * 20_000)
        assert b"ready" not in raw(port, b"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n")
        waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(COUNT_MAX + 1)]
        assert waiting[0].recv(1) == b""  # one too many
        assert get(port, "/health")[0] == 200  # whoever waits keeps nobody out
        for each in waiting:
            each.close()
        assert cluster.stop("n1") == 0


HALF = b"GET /ring HTTP/1.1\r\nHost: x\r\n"
SHAPES = {
    "half a request": HALF + b"X: " + b"y" * 8_000,
    "a head without an end": HALF + b"X: " + b"y" * 100_000,
    "many lines": HALF + b"X: y\r\n" * 1_300,
    "answers not taken": HALF + b"\r\n",
    "noise": bytes(range(256)) * 1_000,
}


@pytest.mark.slow
def test_nobody_makes_it_hold_much_by_http() -> None:
    async def scenario() -> None:
        port, loop = HttpPort(lambda: PICTURE, Strangers(ROOM)), asyncio.get_running_loop()
        server = await loop.create_server(port.connection, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        for shape in SHAPES.values():
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            with contextlib.ExitStack() as opened:
                for _ in range(3 * COUNT_MAX):
                    one = opened.enter_context(socket.socket())
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                    one.connect(address)
                    one.setblocking(False)
                    with contextlib.suppress(OSError):  # evicted, or it takes no more
                        one.send(shape)
                    await asyncio.sleep(0)
                    assert len(port.strangers) <= COUNT_MAX
                _, peak = tracemalloc.get_traced_memory()
                worst.append(peak - before)
            while len(port.strangers):
                await asyncio.sleep(0)
        server.close()

    worst: list[int] = []
    tracemalloc.start()
    try:
        uvloop.run(scenario())
    finally:
        tracemalloc.stop()
    assert {name: size for name, size in zip(SHAPES, worst, strict=True) if size > 1 << 20} == {}
    assert max(worst) > 64 << 10, "it holds nothing: is it asked?"


def test_an_open_port_without_a_login_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "n1.toml"
    path.write_text('name = "n1"\nhttp = "0.0.0.0:7070"\n')
    with pytest.raises(ConfigError, match="asks nobody for a password"):
        load(path)
    path.write_text('name = "n1"\nhttp = "0.0.0.0:7070"\nprotected_mode = false\n')
    assert load(path).http == "0.0.0.0:7070"
    path.write_text('name = "n1"\nhttp = "here"\n')
    with pytest.raises(ConfigError, match='"here" is not host:port'):
        load(path)
