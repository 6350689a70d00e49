"""TLS on both ports: Redis clients and ours come in, strangers and impostors do not."""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import redis
import trustme
from inside import in_thread, run_inside
from live import LiveCluster, ask, read_answers

from kvstore import handshake, server_tls, wire
from kvstore.client import ChannelLost, SocketChannel, StoreClient
from kvstore.config import ConfigError, TlsConfig, from_toml, node_config
from kvstore.server import Server
from kvstore.strangers import HANDSHAKE_COST, HANDSHAKES_ROOM

NAMES = ("n1", "n2", "n3")


def certificates(folder: Path, ca: trustme.CA, *names: str) -> None:
    """ca.pem, and for each node name NAME.pem and NAME.key."""
    folder.mkdir(exist_ok=True)
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name in names:
        made = ca.issue_cert(name, "127.0.0.1")
        made.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
        made.private_key_pem.write_to_path(str(folder / f"{name}.key"))


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    """What a client of this authority uses."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


def toml(folder: Path, cert: str = "<node>") -> str:
    """The [tls] table of every node."""
    return f'[tls]\ncert = "{folder}/{cert}.pem"\nkey = "{folder}/{cert}.key"\nca = "{folder}/ca.pem"\n'


class Secured:
    """A cluster that speaks TLS, and the authority that its nodes believe."""

    def __init__(self, folder: Path, *, require: bool = False) -> None:
        self.ca = trustme.CA()
        self.certs = folder / "certs"
        certificates(self.certs, self.ca, *NAMES)
        more = toml(self.certs) + ("require_client_cert = true\n" if require else "")
        self.nodes = LiveCluster(folder, 3, more=more)
        self.nodes.tls = trusting(self.ca)
        if require:
            self.ca.issue_cert("client").configure_cert(self.nodes.tls)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    made = Secured(tmp_path_factory.mktemp("secured"))
    try:
        made.nodes.start_all()
        yield made
    finally:
        made.nodes.stop_all()


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_works_over_tls(secured: Secured, protocol: int) -> None:
    with redis.Redis(
        port=secured.nodes.ports["n1"], host="127.0.0.1", protocol=protocol, ssl=True,
        ssl_ca_certs=str(secured.certs / "ca.pem"), ssl_check_hostname=True,
    ) as client:  # fmt: skip
        assert client.set("k", b"x" * 300_000)
        assert client.get("k") == b"x" * 300_000
        assert client.info()["tls"] == 1


@pytest.mark.slow
def test_our_client_works_over_tls(secured: Secured) -> None:
    async def scenario() -> None:
        port = secured.nodes.ports["n2"]
        channel = await SocketChannel.connect("127.0.0.1", port, tls=trusting(secured.ca))
        client = StoreClient(channel)
        await client.put(b"ours", b"v")
        assert await client.get(b"ours") == b"v"
        await client.close()
        with pytest.raises(ChannelLost, match="CERTIFICATE_VERIFY_FAILED") as unknown:
            await SocketChannel.connect("127.0.0.1", port, tls=trusting(trustme.CA()))
        assert unknown.value.definite

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_client_that_does_not_believe_the_authority_goes(secured: Secured) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(secured.nodes.ports["n1"], [b"PING"], tls=trusting(trustme.CA()))


@pytest.mark.slow
@pytest.mark.parametrize("words", [b"PING\r\n", b"*1\r\n$4\r\nPING\r\n" * 100, b"\x16\x03\x01" + b"x" * 500])
def test_a_plain_client_is_closed(secured: Secured, words: bytes) -> None:
    for port in (secured.nodes.ports["n1"], secured.nodes.peer_ports["n1"]):
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            client.sendall(words)
            said = b""
            try:
                while data := client.recv(100):
                    said += data
            except ConnectionError:
                pass  # closed with words of ours unread
            assert b"PONG" not in said


@pytest.mark.slow
def test_a_client_shows_a_certificate_where_it_must(tmp_path: Path) -> None:
    made = Secured(tmp_path, require=True)
    try:
        made.nodes.start_all()
        port = made.nodes.ports["n1"]
        assert ask(port, [b"SET", b"k", b"v"], tls=made.nodes.tls) == [b"OK"]
        foreign = trusting(made.ca)
        trustme.CA().issue_cert("client").configure_cert(foreign)
        for context in (trusting(made.ca), foreign):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                ask(port, [b"GET", b"k"], tls=context)
        with socket.create_connection(("127.0.0.1", port), 5):  # never begins its handshake
            assert made.nodes.stop("n1") == 0
        log = (tmp_path / "n1.log").read_text()
        assert log.splitlines()[-1].endswith("n1 has stopped")
        assert "Traceback" not in log
    finally:
        made.nodes.stop_all()


def identity(folder: Path, ca: trustme.CA, name: str, believed: trustme.CA | None = None) -> TlsConfig:
    """The files of a node with a certificate for this name, which believes that authority."""
    certificates(folder, ca, name)
    (believed or ca).cert_pem.write_to_path(str(folder / "ca.pem"))
    return TlsConfig(*(str(folder / each) for each in (f"{name}.pem", f"{name}.key", "ca.pem")))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "same_ca"), [("n3", True), ("n2", False)])
def test_an_acceptor_of_another_name_or_authority_is_not_believed(
    tmp_path: Path, name: str, same_ca: bool
) -> None:
    ca = trustme.CA()
    theirs = identity(tmp_path / "n2", ca if same_ca else trustme.CA(), name, believed=ca)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    mine = identity(tmp_path / "n1", ca, "n1")

    async def scenario(n1: Server, client: int, peer: int) -> None:
        context = server_tls.tls_from(theirs).peers_in
        acceptor = await asyncio.get_running_loop().create_server(
            asyncio.Protocol, "127.0.0.1", port, ssl=context
        )
        while "CERTIFICATE_VERIFY_FAILED" not in (state := str(n1.info()["Replication"]["peer_n2"])):
            assert "link=up" not in state
            await asyncio.sleep(0.01)
        acceptor.close()

    run_inside(tmp_path, node_config("n1", {"n2": f"127.0.0.1:{port}"}, tls=mine), scenario)


@pytest.mark.slow
def test_an_initiator_must_show_a_certificate_for_the_name_it_says(tmp_path: Path) -> None:
    ca = trustme.CA()
    mine = identity(tmp_path / "n1", ca, "n1")
    wrong = server_tls.tls_from(identity(tmp_path / "n3", ca, "n3")).peers_out
    right = server_tls.tls_from(identity(tmp_path / "n2", ca, "n2")).peers_out
    answers: list[wire.Frame] = []

    async def greet(server: Server, peer: int, context: ssl.SSLContext) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", peer, ssl=context, server_hostname="n1")
        (challenge,) = wire.Decoder().feed(await reader.read(1000))
        hello = handshake.Initiator(server.cluster, "n2", "n1", b"i" * 16, "p").take(challenge)
        assert hello is not None
        writer.write(wire.encode(hello))
        answers.extend(wire.Decoder().feed(await reader.read(1000)))
        writer.close()

    async def scenario(server: Server, client: int, peer: int) -> None:
        await greet(server, peer, wrong)
        await greet(server, peer, right)
        with pytest.raises((OSError, ValueError)):  # ValueError: nothing came where a challenge should
            await greet(server, peer, trusting(ca))

    config = node_config("n1", {"n2": "127.0.0.1:1"}, tls=mine, password="p")
    run_inside(tmp_path, config, scenario)
    assert [type(each) for each in answers] == [wire.Refusal, wire.Welcome]
    assert "not for this name" in str(answers[0])


@pytest.mark.slow
def test_who_does_not_shake_hands_makes_room(tmp_path: Path) -> None:
    ca = trustme.CA()

    def crowd(port: int) -> None:
        waiting = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(40)]
        assert len(waiting) * HANDSHAKE_COST > HANDSHAKES_ROOM
        assert ask(port, [b"PING"], tls=trusting(ca)) == [b"PONG"]
        with pytest.raises(ConnectionError):
            read_answers(waiting[0], 1)  # the first has been closed
        for each in waiting:
            each.close()

    async def scenario(server: Server, client: int, peer: int) -> None:
        await in_thread(partial(crowd, client))

    run_inside(tmp_path, node_config("n1", {}, tls=identity(tmp_path / "n1", ca, "n1")), scenario)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('cert = "a"', "has no key"),
        ('cert = "a"\nkey = 1\nca = "c"', "should be text"),
        ('cert = "a"\nkey = "b"\nca = "c"\nverify = true', 'Unknown key "verify"'),
    ],
)
def test_a_wrong_table_is_one_sentence(table: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        from_toml(f'name = "n1"\n[tls]\n{table}\n')


def test_files_that_cannot_be_used_are_one_sentence(tmp_path: Path) -> None:
    ca = trustme.CA()
    certificates(tmp_path, ca, "n1", "n2")
    at = {name: str(tmp_path / name) for name in ("n1.pem", "n2.key", "ca.pem")}
    for cert, key in ((at["n1.pem"], at["n2.key"]), (str(tmp_path / "none.pem"), at["n2.key"])):
        with pytest.raises(ConfigError, match="The files of") as caught:
            server_tls.tls_from(TlsConfig(cert, key, at["ca.pem"]))
        assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_crowd_of_good_clients_comes_in(tmp_path: Path) -> None:
    """Many at once, from one address: more than there is room for wait, and nobody is closed."""
    ca = trustme.CA()

    def crowd(port: int) -> None:
        with concurrent.futures.ThreadPoolExecutor(60) as pool:
            login = partial(ask, port, [b"AUTH", b"p"], [b"PING"], timeout_s=60.0, tls=trusting(ca))
            assert [each.result() for each in [pool.submit(login) for _ in range(60)]] == [
                [b"OK", b"PONG"]
            ] * 60

    async def scenario(server: Server, client: int, peer: int) -> None:
        await in_thread(partial(crowd, client))

    config = node_config("n1", {}, tls=identity(tmp_path / "n1", ca, "n1"), password="p")
    run_inside(tmp_path, config, scenario)
