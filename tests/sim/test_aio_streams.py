"""Plain asyncio over the simulated network: what connections do, and what happens to them when links and nodes fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.client import ChannelError
from harness.worlds.sim import SimWorld
from harness.worlds.sim.aio import Host
from harness.worlds.trouble import CORRUPT, DROP, RESET, Trouble
from tests.sim.programs import CALM, CLIENTS, PEERS, ask, node_of, play

WILD = {"latency": "exponential", "loss": 0.2, "duplicate": 0.2, "reorder": 0.5}
BYTES = bytes(range(256)) * 1000
CUT = Trouble(number=1, kind=DROP, links={"n1": ("n2",), "n2": ("n1",)})
RESETTING = Trouble(number=1, kind=RESET, links={"n2": ("n1",)})
Client = Callable[[Host], Awaitable[None]]


def program(serve: Any, client: Client, *, serves: bool = True) -> Any:
    """n2 serves its peers, n1 is its client; both are there for clients of the harness."""

    async def main(host: Host) -> None:
        await asyncio.start_server(lambda reader, writer: None, port=CLIENTS)
        if host.name == "n2" and serves:
            await asyncio.start_server(serve, port=PEERS)
        elif host.name == "n1":
            await client(host)
        await asyncio.Event().wait()

    return main


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(5000):
        writer.write(data)
        await writer.drain()
    writer.close()


async def sleeping(world: SimWorld) -> None:
    await asyncio.sleep(20)


@pytest.mark.parametrize("seed", range(4))
def test_bytes_arrive_once_and_in_order_over_a_network_that_loses_doubles_and_reorders(seed: int) -> None:
    got = bytearray()

    async def client(host: Host) -> None:
        reader, writer = await asyncio.open_connection("n2", PEERS)
        writer.write(BYTES)
        writer.write_eof()
        got.extend(await reader.read())

    play(program(echo, client), lambda world: asyncio.sleep(60), seed=seed, sim=WILD)
    assert bytes(got) == BYTES


def test_where_nobody_listens_a_connection_is_refused() -> None:
    seen: list[BaseException] = []

    async def client(host: Host) -> None:
        for node, port in (("n2", PEERS), ("n1", 9)):
            try:
                await asyncio.open_connection(node, port)
            except OSError as error:
                seen.append(error)

    play(program(echo, client, serves=False), sleeping)
    assert [type(error) for error in seen] == [ConnectionRefusedError] * 2


def test_both_ends_know_each_other_by_address() -> None:
    names: list[Any] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        names.append((writer.get_extra_info("sockname"), writer.get_extra_info("peername")))

    async def client(host: Host) -> None:
        (*_, address), *_ = await asyncio.get_running_loop().getaddrinfo("n2", PEERS)
        _, writer = await asyncio.open_connection(*address)
        names.append((writer.get_extra_info("peername"), writer.get_extra_info("sockname")))

    play(program(serve, client), sleeping)
    assert names[0] == names[1]
    assert names[0][0] == ("10.0.0.2", PEERS)


def test_a_partition_leaves_a_connection_half_open_until_somebody_sends_and_it_outlives_a_short_one() -> None:
    async def client(host: Host) -> None:
        reader, writer = await asyncio.open_connection("n2", PEERS)
        await asyncio.sleep(1.5)  # the partition goes from 1 to 4 s
        writer.write(b"hello")
        try:
            async with asyncio.timeout(1):
                await reader.read(5)
        except TimeoutError:
            said.append("nothing came")
        said.append((await reader.readexactly(5)).decode())
        said.append(4 < asyncio.get_running_loop().time() < 6)

    async def story(world: SimWorld) -> None:
        await asyncio.sleep(1)
        await world.disturb(CUT)
        await asyncio.sleep(3)
        await world.relieve(1)
        await asyncio.sleep(10)

    said: list[Any] = []
    play(program(echo, client), story)
    assert said == ["nothing came", "hello", True]


def test_to_connect_across_a_partition_takes_until_the_program_gives_up() -> None:
    async def client(host: Host) -> None:
        await asyncio.sleep(2)
        try:
            await asyncio.wait_for(asyncio.open_connection("n2", PEERS), 0.5)
        except TimeoutError:
            said.append("gave up")
        try:
            await asyncio.open_connection("n2", PEERS)
        except OSError as error:
            said.append(type(error).__name__)
            said.append(round(asyncio.get_running_loop().time()))

    async def story(world: SimWorld) -> None:
        await asyncio.sleep(1)
        await world.disturb(CUT)
        await asyncio.sleep(200)

    said: list[Any] = []
    play(program(echo, client), story)
    assert said == ["gave up", "TimeoutError", round(2.5 + 127)], "as long as Linux: 1 + 2 + 4 + … + 64 s"


@pytest.mark.parametrize("trouble", [RESETTING, replace(RESETTING, kind=CORRUPT, mends_checksum=True)], ids=[RESET, CORRUPT])  # fmt: skip
def test_a_reset_cuts_a_frame_in_two_and_both_ends_hear_of_it(trouble: Trouble) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readexactly(len(BYTES))
        except asyncio.IncompleteReadError as error:
            said.append(f"{len(error.partial)} of {len(BYTES)}")
        except ConnectionResetError:
            said.append("reset")

    async def client(host: Host) -> None:
        reader, writer = await asyncio.open_connection("n2", PEERS)
        writer.write(BYTES[:50_000])
        await asyncio.sleep(2)  # the fault begins after 1 s
        writer.write(BYTES[50_000:])
        try:
            await writer.drain()
            await reader.read()
        except ConnectionResetError:
            said.append("reset")

    async def story(world: SimWorld) -> None:
        await asyncio.sleep(1)
        await world.disturb(trouble)
        await asyncio.sleep(1.5)
        await world.relieve(1)
        await asyncio.sleep(10)
        assert not node_of(world, "n1").loop.stack.shown()

    said: list[str] = []
    play(program(serve, client), story)
    assert said == ["reset", "reset"]


def test_a_process_that_dies_resets_its_connections_and_one_whose_link_is_gone_does_not() -> None:
    async def client(host: Host) -> None:
        for _ in range(2):
            reader, _ = await asyncio.open_connection("n2", PEERS)
            began_s = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(3):
                    await reader.read(1)
            except OSError as error:
                said.append((type(error).__name__, asyncio.get_running_loop().time() - began_s < 2))
            await asyncio.sleep(2)

    async def story(world: SimWorld) -> None:
        await asyncio.sleep(1)
        await world.kill("n2")
        await asyncio.sleep(1)
        await world.start("n2")
        await asyncio.sleep(1.5)
        await world.unplug(["n2"])
        await world.kill("n2")
        await asyncio.sleep(10)

    said: list[tuple[str, bool]] = []
    play(program(echo, client), story)
    assert said == [("ConnectionResetError", True), ("TimeoutError", False)]


def test_a_machine_without_a_process_refuses_and_one_that_is_paused_accepts_and_is_silent() -> None:
    async def client(host: Host) -> None:
        await asyncio.sleep(2)
        try:
            await asyncio.open_connection("n2", PEERS)
        except OSError as error:
            said.append(type(error).__name__)
        await asyncio.sleep(2)
        reader, writer = await asyncio.open_connection("n2", PEERS)
        writer.write(b"x")
        try:
            async with asyncio.timeout(1):
                await reader.read(1)
        except TimeoutError:
            said.append("silent")
        said.append((await reader.read(1)).decode())

    async def story(world: SimWorld) -> None:
        await asyncio.sleep(1)
        await world.kill("n2")
        await asyncio.sleep(2)
        await world.start("n2")
        await asyncio.sleep(0.5)
        await world.pause("n2")
        await asyncio.sleep(4)
        await world.resume("n2")
        await asyncio.sleep(1)

    said: list[str] = []
    play(program(echo, client), story)
    assert said == ["ConnectionRefusedError", "silent", "x"]


def test_who_does_not_read_holds_up_who_writes() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)
        writer.write(b"%d" % len(await reader.read()))
        writer.close()

    async def client(host: Host) -> None:
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection("n2", PEERS)
        for _ in range(10):
            writer.write(BYTES)
            await writer.drain()
            waited_s.append(loop.time())
        writer.write_eof()
        said.append(int(await reader.read()))

    waited_s: list[float] = []
    said: list[int] = []
    play(program(serve, client), sleeping)
    assert waited_s[0] < 5 < waited_s[-1]
    assert said == [10 * len(BYTES)]


def test_what_is_written_to_who_has_closed_is_answered_with_a_reset() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.close()

    async def client(host: Host) -> None:
        reader, writer = await asyncio.open_connection("n2", PEERS)
        said.append((await reader.read()).decode())
        try:
            for _ in range(3):
                writer.write(b"are you there?")
                await writer.drain()
                await asyncio.sleep(0.1)
        except ConnectionResetError:
            said.append("reset")

    said: list[str] = []
    play(program(serve, client), sleeping)
    assert said == ["bye", "reset"]


def test_protocols_work_as_streams_do() -> None:
    class Upper(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data.upper())

        def eof_received(self) -> bool:
            said.append("eof")
            return False

        def connection_lost(self, exc: Exception | None) -> None:
            said.append(exc)

    class Filling(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.room = bytearray(3)

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.room

        def buffer_updated(self, nbytes: int) -> None:
            said.append(bytes(self.room[:nbytes]))

    async def main(host: Host) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_server(lambda: asyncio.Protocol(), port=CLIENTS)
        if host.name == "n2":
            async with await loop.create_server(Upper, "n2", PEERS) as server:
                assert server.sockets[0].getsockname() == ("10.0.0.2", PEERS)
                await server.serve_forever()
        transport, _ = await loop.create_connection(Filling, "n2", PEERS)
        transport.write(b"hello")
        await asyncio.sleep(1)
        transport.close()
        await asyncio.Event().wait()

    said: list[Any] = []
    play(main, sleeping)
    assert b"".join(part for part in said if isinstance(part, bytes)) == b"HELLO"
    assert said[-2:] == ["eof", None]


@pytest.mark.parametrize("where", ["data_received", "eof_received"])
def test_a_protocol_that_breaks_down_loses_its_connection(where: str) -> None:
    class Broken(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            if where == "data_received":
                raise EOFError("no frame")

        def eof_received(self) -> bool:
            raise EOFError("no frame")

        def connection_lost(self, error: Exception | None) -> None:
            lost.append(error)

    async def client(host: Host) -> None:
        await asyncio.get_running_loop().create_server(Broken, port=PEERS)
        reader, writer = await asyncio.open_connection("localhost", PEERS)
        writer.write(b"x")
        if where == "eof_received":
            writer.write_eof()
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(1):
                await reader.read()
        lost.append(None)

    lost: list[Exception | None] = []
    log = play(program(None, client, serves=False), logged)
    assert [type(error) for error in lost] == [EOFError, type(None)], log
    assert "EOFError: no frame" in log


async def logged(world: SimWorld) -> str:
    await asyncio.sleep(2)
    return (await world.logs())["n1"]


def test_clients_speak_resp_to_the_programs_own_port() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken = b""
        while not taken.endswith(b"GET\r\n$1\r\nk\r\n"):
            taken += await reader.read(100)
        writer.write(b"$3\r\nabc\r\n" if len(taken) < 50 else b"-UNAVAILABLE not now\r\n")
        taken = await reader.read(100)
        writer.close()

    async def main(host: Host) -> None:
        await asyncio.start_server(serve, port=CLIENTS)
        await asyncio.Event().wait()

    async def story(world: SimWorld) -> None:
        channel = await world.dial("n1")
        assert await channel.request([b"GET", b"k"], timeout_s=1.0) == b"abc"
        with pytest.raises(ChannelError, match="the node closed the connection"):
            await channel.request([b"QUIT"], timeout_s=1.0)
        assert str(await ask(world, b"x" * 30, b"GET", b"k")) == "UNAVAILABLE not now"

    play(main, story, sim=CALM)


def test_a_node_that_does_not_listen_yet_refuses_clients_and_holds_up_the_start() -> None:
    async def main(host: Host) -> None:
        await asyncio.sleep(3)
        server = await asyncio.start_server(lambda reader, writer: None, port=CLIENTS)
        await asyncio.sleep(1)
        server.close()
        await asyncio.Event().wait()

    async def story(world: SimWorld) -> None:
        assert 3 < asyncio.get_running_loop().time() < 3.1
        await asyncio.sleep(2)
        with pytest.raises(ChannelError, match="n1 refused the connection: it does not listen") as refused:
            await ask(world, b"GET", b"k")
        assert refused.value.definite

    play(main, story)
