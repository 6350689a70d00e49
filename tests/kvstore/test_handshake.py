"""Peers believe each other only with the password, in both directions, whatever is replayed, relayed or sent back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from inside import serving

from kvstore import wire
from kvstore.config import node_config
from kvstore.handshake import HELLO, HandshakeError, Initiator, proof, welcome, why_refused

MEMBERS = ["n1", "n2", "n3"]
CLUSTER = wire.cluster_id(MEMBERS)
CHALLENGE = b"a" * 16
PASSWORD = "p"
NAMES = st.sampled_from(MEMBERS)
NONCES = st.binary(min_size=16, max_size=16)


def initiator(node: str = "n2", to: str = "n1", nonce: bytes = b"i" * 16) -> Initiator:
    return Initiator(CLUSTER, node, to, nonce, PASSWORD)


def greet(side: Initiator, nonce: bytes = CHALLENGE) -> wire.Hello:
    hello = side.take(wire.Challenge(nonce))
    assert hello is not None
    return hello


def refused(hello: wire.Hello, node: str = "n1", nonce: bytes = CHALLENGE) -> str | None:
    return why_refused(hello, cluster=CLUSTER, node=node, members=MEMBERS, nonce=nonce, password=PASSWORD)


def test_both_sides_prove_who_they_are() -> None:
    side = initiator()
    hello = greet(side)
    assert refused(hello) is None
    assert side.take(welcome(hello, CHALLENGE, PASSWORD)) is None
    assert side.welcomed


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"cluster": "other"}, "another cluster"),
        ({"to": "n3"}, "looks for n3, but this is n1"),
        ({"node": "n9"}, "not one of the peers"),
        ({"node": "n1"}, "not one of the peers"),
        ({"nonce": b""}, "no nonce"),
        ({"password": "wrong"}, "does not have the password"),
        ({"password": None}, "does not have the password"),
    ],
)
def test_a_stranger_is_told_why(changes: dict[str, str | None], why: str) -> None:
    password = changes.pop("password", PASSWORD)
    hello = msgspec.structs.replace(wire.Hello(CLUSTER, "n2", "n1", b"i" * 16, b""), **changes)
    hello = msgspec.structs.replace(hello, proof=proof(password, HELLO, hello, CHALLENGE))
    assert why in str(refused(hello))


@pytest.mark.parametrize("password", [None, "wrong"])
def test_an_acceptor_without_the_password_is_not_believed(password: str | None) -> None:
    side = initiator()
    with pytest.raises(HandshakeError, match="does not have our password"):
        side.take(welcome(greet(side), CHALLENGE, password))
    assert not side.welcomed


def test_another_node_at_the_address_is_not_believed() -> None:
    side = initiator()
    hello = msgspec.structs.replace(greet(side), to="n3")
    with pytest.raises(HandshakeError, match="this is n3"):
        side.take(welcome(hello, CHALLENGE, PASSWORD))


@pytest.mark.parametrize("frame", [wire.Welcome("n1", b""), wire.Batch([])])
def test_nothing_but_a_challenge_comes_first(frame: wire.Frame) -> None:
    side = initiator()
    with pytest.raises(wire.BodyError, match="wrong time"):
        side.take(frame)
    assert not side.welcomed


def test_a_second_challenge_is_not_answered() -> None:
    side = initiator()
    greet(side)
    with pytest.raises(wire.BodyError, match="wrong time"):
        side.take(wire.Challenge(b"b" * 16))


@given(NAMES, NAMES, NAMES, NAMES, NONCES, NONCES, NONCES, NONCES)
def test_a_proof_fits_its_own_handshake_and_direction_only(
    node: str, to: str, other_node: str, other_to: str, a: bytes, i: bytes, b: bytes, j: bytes
) -> None:
    """Replay, relay to another pair, and reflection: a proof of one handshake is offered in another."""
    hello = greet(initiator(node, to, i), a)
    stolen = msgspec.structs.replace(wire.Hello(CLUSTER, other_node, other_to, j, b""), proof=hello.proof)
    same = (node, to, a, i) == (other_node, other_to, b, j)
    assert (refused(stolen, other_to, b) is None) == (same and node != to)
    side = initiator(other_node, other_to, j)
    greet(side, b)
    with pytest.raises(HandshakeError):  # a Hello's proof is no Welcome's, not even of the same handshake
        side.take(wire.Welcome(other_to, hello.proof))


async def reflect(
    n1_calls: asyncio.StreamReader, answer: asyncio.StreamWriter, peer_port: int
) -> list[wire.Frame]:
    """What n1 says to its own words, sent back to it on both of its connections."""
    calls_n1, writer = await asyncio.open_connection("127.0.0.1", peer_port)
    (challenge,) = wire.Decoder().feed(await calls_n1.read(1000))
    answer.write(wire.encode(challenge))  # n1's challenge, put to n1
    (hello,) = wire.Decoder().feed(await n1_calls.read(1000))
    assert isinstance(hello, wire.Hello)
    writer.write(wire.encode(msgspec.structs.replace(hello, node="n2", to="n1")))  # its proof, as that of n2
    answer.write(wire.encode(wire.Welcome("n2", hello.proof)))  # and as the welcome of n2
    said = wire.Decoder().feed(await calls_n1.read(1000)) + wire.Decoder().feed(await n1_calls.read(1000))
    answer.close()
    writer.close()
    return said


@pytest.mark.slow
def test_a_node_is_not_deceived_by_its_own_words(tmp_path: Path) -> None:
    """An attacker at the address of n2 does not have the password, but can ask n1 in both directions."""

    async def scenario() -> None:
        calls: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        listener = await asyncio.start_server(lambda *both: calls.put_nowait(both), "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        config = node_config("n1", {"n2": f"127.0.0.1:{port}"}, password=PASSWORD)
        async with serving(tmp_path, config) as (server, _, peer):
            (refusal,) = await reflect(*await calls.get(), peer)
            assert isinstance(refusal, wire.Refusal)
            await calls.get()  # n1 has given the first connection up, and tries again
            assert "does not have our password" in str(server.info()["Replication"]["peer_n2"])
            listener.close()

    uvloop.run(scenario())
