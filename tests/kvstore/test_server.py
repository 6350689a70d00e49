"""Three real nodes: unmodified Redis clients, order, passwords, kills, and refusals in one sentence."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hiredis
import pytest
import redis
from live import LiveCluster, ask, live_cluster, read_answers

from kvstore import __main__ as program
from kvstore import resp, wire
from kvstore.client import ChannelLost, SocketChannel, StoreClient, StoreError
from tests.polling import poll

pytestmark = pytest.mark.slow
needs_redis_tools = pytest.mark.skipif(
    not (shutil.which("redis-cli") and shutil.which("redis-benchmark")),
    reason="redis-cli and redis-benchmark are not installed (Debian package redis-tools)",
)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    with live_cluster(tmp_path_factory.mktemp("nodes")) as cluster:
        yield cluster


@needs_redis_tools
@pytest.mark.parametrize("protocol", [[], ["-3"]])
def test_redis_cli_writes_on_one_node_and_reads_on_another(nodes: LiveCluster, protocol: list[str]) -> None:
    def cli(node: str, *words: str) -> str:
        command = ["redis-cli", "-p", str(nodes.ports[node]), *protocol, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.strip()

    assert cli("n1", "SET", "cli", "a value") == "OK"
    assert cli("n2", "GET", "cli") == "a value"
    assert cli("n3", "DEL", "cli") == "1"
    assert cli("n1", "GET", "cli") == ""
    assert "ERR" in cli("n1", "NO.SUCH.COMMAND")
    assert "n2" in cli("n1", "KV.CLUSTER", "STATUS")


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_works_unmodified(nodes: LiveCluster, protocol: int) -> None:
    with redis.Redis(port=nodes.ports["n1"], protocol=protocol, socket_timeout=60) as client:
        assert client.ping()
        assert client.set("py", b"\0\r\n\xff")
        assert client.get("py") == b"\0\r\n\xff"
        assert client.mset({"py1": "1", "py2": "2"})
        assert client.mget("py1", "absent", "py2") == [b"1", None, b"2"]
        assert client.exists("py1", "py2", "absent") == 2
        assert client.delete("py", "py1") == 2
        assert client.info()["node"] == "n1"
        with pytest.raises(redis.ResponseError, match="WRONGCLASS"):
            client.set("py", "x", nx=True)


@needs_redis_tools
def test_redis_benchmark_runs(nodes: LiveCluster) -> None:
    command = [
        "redis-benchmark",
        "-p",
        str(nodes.ports["n2"]),
        *["-n", "500", "-c", "10", "-r", "100", "-t", "set,get", "-q"],
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.count("requests per second") == 2


@pytest.mark.parametrize("command", [b"KV.PUT k v W 3", b"KV.GET k R 1", b"KV.WHERE k", b"KV.RAW k"])
def test_own_commands_give_maps_in_resp3_and_lists_in_resp2(nodes: LiveCluster, command: bytes) -> None:
    words = command.split()
    (two,) = ask(nodes.ports["n1"], words)
    _, three = ask(nodes.ports["n1"], [b"HELLO", b"3"], words)
    assert isinstance(two, list)
    assert isinstance(three, dict)
    assert two[::2] == list(three)


def test_pipelined_answers_keep_the_order_of_the_commands(nodes: LiveCluster) -> None:
    commands = [
        [[b"SET", b"p%d" % each, b"v%d" % each], [b"PING"], [b"GET", b"p%d" % each], [b"NO.SUCH"]]
        for each in range(300)
    ]
    answers = ask(nodes.ports["n3"], *(command for four in commands for command in four))
    for each in range(300):
        ok, pong, value, error = answers[4 * each : 4 * each + 4]
        assert (ok, pong, value) == (b"OK", b"PONG", b"v%d" % each)
        assert isinstance(error, hiredis.ReplyError)


def test_a_broken_stream_is_answered_in_order_then_closed(nodes: LiveCluster) -> None:
    with socket.create_connection(("127.0.0.1", nodes.ports["n1"]), 5) as client:
        client.sendall(resp.encode([b"SET", b"k", b"v"], 2) + b"*x\r\n")
        ok, error = read_answers(client, 2)
        assert ok == b"OK"
        assert "Protocol error" in str(error)
        assert client.recv(1) == b""


def test_quit_closes_after_ok(nodes: LiveCluster) -> None:
    with socket.create_connection(("127.0.0.1", nodes.ports["n1"]), 5) as client:
        client.sendall(b"PING\r\nQUIT\r\nPING\r\n")
        assert read_answers(client, 2) == [b"PONG", b"OK"]
        assert client.recv(1) == b""


def test_who_ends_its_half_of_a_connection_gets_all_answers(nodes: LiveCluster) -> None:
    count = 300  # more than a node takes at once
    sets = b"".join(b"SET half%d %d\r\n" % (each, each) for each in range(count))
    for end in (b"", b"GET half"):  # nothing, and what will never be a command
        with socket.create_connection(("127.0.0.1", nodes.ports["n1"]), 30) as client:
            client.sendall(b"PING\r\n" + sets + b"GET half7\r\n" + end)
            client.shutdown(socket.SHUT_WR)
            assert read_answers(client, count + 2) == [b"PONG", *[b"OK"] * count, b"7"]
            assert client.recv(1) == b""


def test_a_client_whose_machine_is_gone_is_noticed(nodes: LiveCluster) -> None:
    with socket.create_connection(("127.0.0.1", nodes.ports["n1"]), 5) as client:
        client.sendall(b"PING\r\n")
        assert read_answers(client, 1) == [b"PONG"]
        ends = [f"0100007F:{port:04X}" for port in (nodes.ports["n1"], client.getsockname()[1])]

        def timer() -> list[str]:  # the kind of the kernel's timer, and its ticks
            rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
            return next(row[5].split(":") for row in rows if row[1:3] == ends)

        # 02: it will ask whether the client is there; before, 01: it waits to hear that its answer has come
        poll(lambda: timer()[0] == "02", wait_s=300.0, told=timer)
        assert 0 < int(timer()[1], 16) <= 301 * os.sysconf("SC_CLK_TCK")


def test_info_counts_what_happened(nodes: LiveCluster) -> None:
    with redis.Redis(port=nodes.ports["n1"], socket_timeout=60) as client:
        before = client.info("stats")
        client.set("counted", 1)
        after = client.info("stats")
    for counter in ("commits", "messages_sent", "messages_received", "total_commands_processed"):
        assert after[counter] > before[counter]


def test_what_was_acknowledged_survives_kill_9_of_every_node(tmp_path: Path) -> None:
    with live_cluster(tmp_path) as cluster:
        for each in range(50):
            assert ask(cluster.ports["n1"], [b"SET", b"k%d" % each, b"v%d" % each]) == [b"OK"]
        for name in cluster.names:
            assert cluster.stop(name, signal.SIGKILL) == -signal.SIGKILL
        cluster.start_all()
        gets = [[b"GET", b"k%d" % each] for each in range(50)]
        assert ask(cluster.ports["n2"], *gets) == [b"v%d" % each for each in range(50)]


def test_one_node_down_is_borne_two_are_an_error_that_proves_nothing(tmp_path: Path) -> None:
    with live_cluster(tmp_path) as cluster:
        cluster.stop("n3", signal.SIGKILL)
        assert ask(cluster.ports["n1"], [b"SET", b"k", b"v"], [b"GET", b"k"]) == [b"OK", b"v"]
        cluster.stop("n2", signal.SIGKILL)

        async def write() -> None:
            client = StoreClient(
                await SocketChannel.connect("127.0.0.1", cluster.ports["n1"]), timeout_s=60.0
            )
            with pytest.raises(StoreError) as caught:
                await client.call(b"KV.PUT", b"k", b"w", b"TIMEOUT", b"300")
            assert (caught.value.code, caught.value.definite) == ("TIMEOUT", False)
            await client.close()

        asyncio.run(write())
        cluster.start("n2")
        cluster.wait_answering("n1")
        assert ask(cluster.ports["n1"], [b"SET", b"k", b"x"]) == [b"OK"]


def test_a_password_is_asked_of_clients_and_of_peers(tmp_path: Path) -> None:
    with live_cluster(tmp_path, password="secret") as cluster:
        port = cluster.ports["n1"]
        refused, info, hello = ask(port, [b"GET", b"k"], [b"INFO"], [b"HELLO", b"3"])
        assert all("NOAUTH" in str(each) for each in (refused, info, hello))
        assert "WRONGPASS" in str(ask(port, [b"AUTH", b"wrong"])[0])
        big = b"x" * (resp.STRANGER.arg_bytes + 1)
        assert "Protocol error" in str(ask(port, [b"SET", b"k", big])[0])
        assert ask(port, [b"AUTH", b"secret"], [b"SET", b"k", b"v"])[1] == b"OK"
        with socket.create_connection(("127.0.0.1", cluster.peer_ports["n1"]), 5) as stranger:
            hello_frame = wire.Hello(wire.cluster_id(cluster.names), "n2", "n1", bytes(16), b"no proof")
            stranger.sendall(wire.encode(hello_frame))
            decoder, frames = wire.Decoder(), []
            while data := stranger.recv(65536):
                frames += decoder.feed(data)
        assert isinstance(frames[-1], wire.Refusal)
        assert "password" in frames[-1].reason


def test_the_client_tells_definite_from_indefinite(nodes: LiveCluster) -> None:
    async def scenario() -> None:
        channel = await SocketChannel.connect("127.0.0.1", nodes.ports["n1"])
        client = StoreClient(channel)
        await client.put(b"c", b"1")
        assert await client.get(b"c") == b"1"
        await client.delete(b"c")
        assert await client.get(b"c") is None
        with pytest.raises(StoreError) as wrong:
            await client.call(b"NO.SUCH")
        assert (wrong.value.code, wrong.value.definite) == ("ERR", True)
        with pytest.raises(ChannelLost) as late:
            await channel.request([b"SET", b"c", b"2"], timeout_s=0.0)
        assert not late.value.definite
        with pytest.raises(ChannelLost) as closed:
            await client.get(b"c")
        assert closed.value.definite
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        with pytest.raises(ChannelLost) as refused:
            await SocketChannel.connect("127.0.0.1", port)
        assert refused.value.definite

    asyncio.run(scenario())


def test_sigterm_ends_with_status_0_and_a_port_in_use_with_255(tmp_path: Path) -> None:
    with live_cluster(tmp_path, count=1) as cluster:
        config = str(cluster.folder / "n1.toml")
        second = subprocess.run(
            [sys.executable, "-m", "kvstore", "--config", config], capture_output=True, text=True, timeout=120
        )
        assert second.returncode == 255
        assert second.stderr.startswith(f"port {cluster.ports['n1']} on 127.0.0.1 is in use")
        assert second.stderr.count("\n") == 1
        assert cluster.stop("n1", signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("name = ", "is not TOML"),
        ('name = "n1"\nclient = "0.0.0.0:7000"', "protected_mode = false"),
        ('name = "n1"\npeer = "10.0.0.1:7100"', "protected_mode = false"),
        ('name = "n1"\nnodes = 3', 'Unknown key "nodes"'),
    ],
)
def test_a_wrong_configuration_is_one_sentence_and_254(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    path = tmp_path / "node.toml"
    if text is not None:
        path.write_text(text)
    assert program.serve(path) == 254
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_other_machines_are_served_with_a_password_or_on_demand(tmp_path: Path) -> None:
    for line in ('password = "p"', "protected_mode = false"):
        path = tmp_path / "node.toml"
        path.write_text(f'name = "n1"\nclient = "0.0.0.0:7000"\n{line}\n')
        assert program.load(path).client == "0.0.0.0:7000"
