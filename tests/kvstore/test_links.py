"""The way to a peer: an attempt that was given up has no say in the connection that came after it; what waits for one, and for how long."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvloop
from inside import run_inside, serving

from kvstore import peer_port
from kvstore.config import node_config
from kvstore.events import Tag
from kvstore.messages import Message, Ping, Store
from kvstore.server import Server
from kvstore.wire import MAX_BODY_BYTES, Batch, Decoder
from tests.polling import until

SECRET = "between peers"


def test_an_attempt_that_connected_too_late_does_not_cut_the_connection_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine with no time: the socket is connected, and whoever waited for it does not come to hear of it.

    Then the attempt's own limit of time ran out, and said of the link, whose next connection was in use, that it had no welcome: for ever.
    """
    monkeypatch.setattr(peer_port, "CONNECT_TIMEOUT_S", 0.2)
    monkeypatch.setattr(peer_port, "HANDSHAKE_TIMEOUT_S", 0.3)

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        usual, late, over = loop.create_connection, list[Any](), asyncio.Event()

        async def connect(factory: Any, *args: Any, **more: Any) -> Any:
            """The first attempt is connected, and its waiter is not told; the next are as always."""
            if late:
                return await usual(factory, *args, **more)
            transport, _ = await usual(asyncio.Protocol, *args, **more)
            late.append(transport)
            factory().connection_made(transport)
            loop.call_later(peer_port.HANDSHAKE_TIMEOUT_S, over.set)  # after the attempt's own
            return await loop.create_future()

        monkeypatch.setattr(loop, "create_connection", connect)
        n2 = node_config("n2", {"n1": "127.0.0.1:1"}, password=SECRET)
        async with serving(tmp_path / "n2", n2) as (_, _, port):
            n1 = node_config("n1", {"n2": f"127.0.0.1:{port}"}, password=SECRET)
            async with serving(tmp_path / "n1", n1) as (server, _, _):
                link = partial(link_of, server)
                await over.wait()
                await until(lambda: link() == "up", wait_s=60.0, told=link, pause_s=0.0)
                assert late[0].is_closing()

    uvloop.run(scenario())


def test_a_name_that_no_host_can_have_is_said_and_tried_again(tmp_path: Path) -> None:
    """Its address may have come from whoever let it join; all nodes go on."""

    async def scenario(server: Server, client: int, peer: int) -> None:
        while link_of(server) == "connecting":
            await asyncio.sleep(0)
        assert "idna" in link_of(server)
        assert not server._tasks["n2"].done()

    run_inside(tmp_path, node_config("n1", {"n2": "a..b:7000"}, password=SECRET), scenario)


class Receiver(asyncio.Protocol):
    """A peer's socket: the messages that have come."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.came = asyncio.Event()
        self._decoder = Decoder(MAX_BODY_BYTES)

    def data_received(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            assert isinstance(frame, Batch)
            self.messages += frame.messages
            self.came.set()


def arrived(tmp_path: Path, *messages: Message, grace_ms: float = 1e9) -> tuple[list[Message], int]:
    """What arrives of messages that were sent one after the other while there was no connection, and of a Ping after it; and how many were dropped."""
    got: list[Message] = []
    dropped = 0

    async def scenario(server: Server, client: int, peer: int) -> None:
        nonlocal dropped
        loop, receiver = asyncio.get_running_loop(), Receiver()
        listening = await loop.create_server(lambda: receiver, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", port)
        link = peer_port.PeerLink(server, "n2", f"127.0.0.1:{port}")
        for message in messages:
            link.send(message)
            link.flush()
        began = loop.time()
        while loop.time() < began + 0.005:
            await asyncio.sleep(0)
        link.open(transport)
        link.send(Ping(7, 1))
        link.flush()
        while not receiver.messages or receiver.messages[-1] != Ping(7, 1):
            await receiver.came.wait()
            receiver.came.clear()
        got.extend(receiver.messages)
        dropped = link.dropped
        transport.close()
        listening.close()

    run_inside(tmp_path, node_config("n1", {}, password=SECRET, tombstone_grace_ms=grace_ms), scenario)
    return got[:-1], dropped


def store(size: int) -> Store:
    return Store(size, "default", b"k", 0, 1, 1000.0, Tag(1, "n1", 1), b"v" * size)


def test_a_message_that_is_larger_than_all_that_may_wait_waits_alone(tmp_path: Path) -> None:
    """Else a large value would reach a peer whose connection is busy never, or by luck."""
    small, large = store(1), store(peer_port.MAX_WAITING_BYTES + 1)
    assert arrived(tmp_path, small, large) == ([large], 1)


def test_a_message_that_has_waited_for_long_does_not_arrive(tmp_path: Path) -> None:
    """It could be a value that was deleted since, and its tombstone forgotten."""
    assert arrived(tmp_path / "young", store(1)) == ([store(1)], 0)
    assert arrived(tmp_path / "old", store(1), grace_ms=1.0) == ([], 1)


def link_of(server: Server) -> str:
    """What a node tells of its way to n2."""
    told = str(server.info()["Replication"]["peer_n2"])
    return told.split("=")[1].split(",")[0]
