"""A crowd at all ports of a node at once makes its process hold no more than a mebibyte, with TLS and without.

What TLS holds is not Python's: so the memory is that of a process, and what it grew by stays in it. Each shape has a process of its own.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from live import LiveCluster, ask, free_ports
from test_tls import certificates, toml, trusting

CROWD = 40  # connections at each port
LOGIN = [b"AUTH", b"open sesame"]
LIMIT_KIB = 1024
HALF_COMMAND = b"*2\r\n$4\r\nAUTH\r\n$16384\r\n" + b"x" * 16_000
HALF_FRAME = b"\x00\x00\x03\xe8\x02\x02abcd" + b"x" * 900
HALF_REQUEST = b"GET /ring HTTP/1.1\r\nX: " + b"y" * 8_000
HELLO = b"\x16\x03\x01\x40\x00\x01"  # a record of 16 KiB; the first message begins in it
RECORDS = (b"\x16\x03\x01\x40\x00" + b"y" * 16_384) * 7

Attack = Callable[[socket.socket, int], None]


def sends(*words: bytes) -> Attack:
    """Send this at the client port, the peer port and the port for browsers, as far as it is taken."""

    def attack(connection: socket.socket, port: int) -> None:
        connection.setblocking(False)
        connection.send(words[port])

    return attack


def begun(context: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    """The client's side of a handshake, and what comes in and goes out."""
    comes, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
    made = context.wrap_bio(comes, goes, server_hostname="127.0.0.1")
    with contextlib.suppress(ssl.SSLWantReadError):
        made.do_handshake()
    return made, comes, goes


def finished(context: ssl.SSLContext, connection: socket.socket) -> tuple[ssl.SSLObject, ssl.MemoryBIO]:
    """A handshake up to its last message, which is still to be sent."""
    made, comes, goes = begun(context)
    while True:
        connection.sendall(goes.read())
        data = connection.recv(65_536)
        if not data:
            raise ConnectionError("evicted")
        comes.write(data)
        with contextlib.suppress(ssl.SSLWantReadError):
            made.do_handshake()
            return made, goes


def shakes(context: ssl.SSLContext, *words: bytes, without: int = 0) -> Attack:
    """Shake hands and say something; send all of that but some last bytes."""

    def attack(connection: socket.socket, port: int) -> None:
        if port == 2:
            sends(b"", b"", HALF_REQUEST)(connection, port)
            return
        made, goes = finished(context, connection)
        if words[port]:
            made.write(words[port])
        said = goes.read()
        connection.sendall(said[: len(said) - without])

    return attack


def long_chain(folder: Path, ca: trustme.CA) -> ssl.SSLContext:
    """A client that shows 90 KB of certificates."""
    leaf, path = ca.issue_cert("n2"), folder / "long.pem"
    others = b"".join(trustme.CA().cert_pem.bytes() for _ in range(130))
    path.write_bytes(leaf.private_key_pem.bytes() + leaf.cert_chain_pems[0].bytes() + others)
    context = trusting(ca)
    context.load_cert_chain(path)
    return context


PLAIN: dict[str, Attack] = {
    "nothing": sends(b"", b"", b""),
    "halves": sends(HALF_COMMAND, HALF_FRAME, HALF_REQUEST),
    "lines without an end": sends(b"x" * 65_000, b"\x00" * 1000, HALF_REQUEST),
    "answers not taken": sends(
        b"*2\r\n$4\r\nPING\r\n$16000\r\n" + b"x" * 16_000 + b"\r\n",
        HALF_FRAME,
        b"GET /ring HTTP/1.1\r\nHost: x\r\n\r\n",
    ),
}


def secured(folder: Path, ca: trustme.CA) -> dict[str, Attack]:
    """The attacks on a node that speaks TLS."""
    known = trusting(ca)
    ca.issue_cert("n2").configure_cert(known)
    hello = begun(known)[2].read()
    huge = HELLO + b"\x02\x01\x00" + RECORDS  # of 128 KiB
    chain = long_chain(folder, ca)
    return {
        "nothing": sends(b"", b"", HALF_REQUEST),
        "half a first message": sends(hello[:-1], hello[:-1], HALF_REQUEST),
        "a long first message": sends(HELLO + b"\x00\x3f\xfb" + b"y" * 16_000, huge, HALF_REQUEST),
        "a first message": sends(hello, hello, HALF_REQUEST),
        "a first message and half a record": sends(*[hello + HELLO[:5] + b"x" * 16_000] * 2, HALF_REQUEST),
        "half a chain of certificates": shakes(chain, b"", b"", without=200),
        "hands that were shaken": shakes(known, b"", b""),
        "and half a command": shakes(known, HALF_COMMAND, HALF_FRAME),
        "and a line without an end": shakes(known, b"x" * 60_000, HALF_FRAME),
        "and half a record": shakes(known, b"x" * 16_384, b"x" * 16_384, without=1),
    }


def private_kib(pid: int) -> int:
    """Memory of a process that is nobody else's."""
    found = re.search(r"Private_Dirty:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text())
    assert found is not None
    return int(found[1])


def grown_kib(folder: Path, ca: trustme.CA | None, attack: Attack) -> int:
    """What a crowd makes a fresh node hold, while a client logs in beside it."""
    folder.mkdir()
    (http,) = free_ports(1)
    more = f'password = "{LOGIN[1].decode()}"\nlogin_timeout_ms = 600_000\nhttp = "127.0.0.1:{http}"\n'
    if ca is not None:
        certificates(folder / "certs", ca, "n1")
        more += toml(folder / "certs")
    made = LiveCluster(folder, 1, bucket="n = 1", more=more)
    made.tls = None if ca is None else trusting(ca)
    ports = [made.ports["n1"], made.peer_ports["n1"], http]
    try:
        made.start_all(LOGIN)
        for _ in range(5):
            ask(ports[0], LOGIN, tls=made.tls)
        before = private_kib(made.running["n1"].pid)
        with contextlib.ExitStack() as opened:
            for number in range(3 * CROWD):
                one = opened.enter_context(socket.create_connection(("127.0.0.1", ports[number % 3]), 5))
                with contextlib.suppress(OSError, ValueError):  # evicted, or it takes no more
                    attack(one, number % 3)
            assert ask(ports[0], LOGIN, tls=made.tls, timeout_s=30) == [b"OK"]
            return private_kib(made.running["n1"].pid) - before
    finally:
        made.stop_all()


@pytest.mark.slow
def test_a_crowd_at_all_ports_at_once_makes_a_process_hold_less_than_a_mebibyte(tmp_path: Path) -> None:
    held = {name: grown_kib(tmp_path / name, None, attack) for name, attack in PLAIN.items()}
    assert {name: kib for name, kib in held.items() if kib > LIMIT_KIB} == {}
    assert max(held.values()) > LIMIT_KIB / 8, "it holds nothing: is it asked?"


@pytest.mark.slow
def test_so_does_one_where_they_speak_tls(tmp_path: Path) -> None:
    """A first message that says it has 128 KiB made it hold 330 KiB, a chain of certificates 190."""
    ca = trustme.CA()
    attacks = secured(tmp_path, ca)
    held = {name: grown_kib(tmp_path / name, ca, attack) for name, attack in attacks.items()}
    assert {name: kib for name, kib in held.items() if kib > LIMIT_KIB} == {}
    assert max(held.values()) > LIMIT_KIB / 8, "it holds nothing: is it asked?"
