"""Each limit of a node, filled: the answer is definite, what is within goes on, and room comes back."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from inside import in_thread, run_inside
from live import ask, live_cluster, read_answers

from kvstore import client_port, errors, resp
from kvstore.client import SocketChannel, StoreClient, StoreError
from kvstore.config import node_config
from kvstore.server import Server

pytestmark = pytest.mark.slow
MIB = 1 << 20


def beside(tmp_path: Path, work: Callable[[int], None], **limits: Any) -> None:
    """Work against one node with these limits."""

    async def scenario(server: Server, client: int, peer: int) -> None:
        await in_thread(partial(work, client))
        assert server.room_for(server.config.max_request_bytes), "bytes of requests are still counted"

    run_inside(tmp_path, node_config("n1", {}, **limits), scenario)


def connected(opened: ExitStack, port: int, count: int) -> Iterator[socket.socket]:
    """So many connections."""
    for _ in range(count):
        yield opened.enter_context(socket.create_connection(("127.0.0.1", port), 60))


def refused(answer: object) -> bool:
    """Whether this is OVERLOADED, which is definite."""
    assert errors.definite("OVERLOADED")
    return str(answer).startswith("OVERLOADED")


def test_too_many_clients(tmp_path: Path) -> None:
    def work(port: int) -> None:
        with ExitStack() as opened:
            clients = list(connected(opened, port, 5))
            for each in clients:
                each.sendall(b"PING\r\n")
                assert read_answers(each, 1) == [b"PONG"]
            with socket.create_connection(("127.0.0.1", port), 60) as sixth:
                assert refused(read_answers(sixth, 1)[0])
                assert sixth.recv(1) == b""
            clients[0].sendall(b"QUIT\r\n")
            assert read_answers(clients[0], 1) == [b"OK"]
            assert clients[0].recv(1) == b""
            assert ask(port, [b"PING"]) == [b"PONG"]

    beside(tmp_path, work, max_clients=5)


def test_too_long_a_value(tmp_path: Path) -> None:
    def work(port: int) -> None:
        long, right = ask(port, [b"SET", b"k", b"x" * 1001], [b"SET", b"k", b"x" * 1000])
        assert str(long).startswith("BADARG the value has 1001 bytes")
        assert errors.definite("BADARG")
        assert right == b"OK"

    beside(tmp_path, work, max_value_bytes=1000)


def test_too_many_bytes_of_requests_that_are_half_here(tmp_path: Path) -> None:
    half = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$700000\r\n" + b"x" * 600_000

    def work(port: int) -> None:
        with ExitStack() as opened:
            first, second = connected(opened, port, 2)
            first.sendall(half + b"x" * 99_000)
            second.sendall(half)  # there is no room: what comes of it is dropped
            second.sendall(b"x" * 100_000 + b"\r\nPING\r\n")
            no_room, pong = read_answers(second, 2)
            assert refused(no_room)
            assert pong == b"PONG"
            first.sendall(b"x" * 1000 + b"\r\n")
            assert read_answers(first, 1) == [b"OK"]
            assert ask(port, [b"SET", b"k", b"x" * 700_000]) == [b"OK"]

    beside(tmp_path, work, max_request_bytes=MIB)


def test_too_many_bytes_of_requests_in_progress(tmp_path: Path) -> None:
    """Many large commands at once: some are refused, none is lost, and none is done in part."""

    def work(port: int) -> None:
        commands = [[b"SET", b"k%d" % each, b"%d" % each * 50_000] for each in range(10, 40)]
        answers = ask(port, *commands)
        assert len(answers) == 30
        assert {refused(each) or each for each in answers} == {True, b"OK"}
        for command, answer in zip(commands, answers, strict=True):
            (value,) = ask(port, [b"GET", command[1]])
            assert value == (command[2] if answer == b"OK" else None)

    beside(tmp_path, work, max_request_bytes=MIB)


def test_too_many_requests_in_progress(tmp_path: Path) -> None:
    """Nobody answers the coordinator: the requests that fit wait, the others are refused at once."""
    with live_cluster(tmp_path, more="max_requests = 20\nrequest_timeout_ms = 4000") as nodes:
        for name in ("n2", "n3"):
            nodes.stop(name, signal.SIGKILL)

        async def write(number: int, channel: SocketChannel) -> str:
            try:
                await StoreClient(channel, timeout_s=60.0).put(b"k%d" % number, b"v")
            except StoreError as error:
                return error.code
            finally:
                await channel.close()
            return "OK"

        async def all_at_once() -> list[str]:
            channels = [await SocketChannel.connect("127.0.0.1", nodes.ports["n1"]) for _ in range(50)]
            return await asyncio.gather(*(write(*each) for each in enumerate(channels)))

        codes = asyncio.run(all_at_once())
        assert codes.count("OVERLOADED") == 30
        assert set(codes) - {"OVERLOADED"} <= {"TIMEOUT", "INDEFINITE", "NOQUORUM"}


def test_one_client_has_a_window_and_the_rest_waits_unread(tmp_path: Path) -> None:
    seen: list[int] = []

    async def scenario(server: Server, client: int, peer: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", client)
        writer.write(b"".join(resp.encode([b"SET", b"k", b"%d" % each], 2) for each in range(3000)))
        answers = b""
        while answers.count(b"\r\n") < 3000:
            (sessions,) = server._node.sessions.values() or [None]
            seen.append(len(sessions.queue) if sessions else 0)
            answers += await reader.read(65536)
        assert answers == b"+OK\r\n" * 3000
        writer.close()

    run_inside(tmp_path, node_config("n1", {}), scenario)
    assert 0 < max(seen) <= client_port.WINDOW
