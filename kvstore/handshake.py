"""How two nodes come to believe each other, before any message: each proves that it has the password, neither says it.

    acceptor ── Challenge(nonce a) ────────────────────────────────────────────►  initiator
    acceptor ◄── Hello(who, to whom, nonce i, proof over a, i, names; "hello") ──  initiator
    acceptor ── Welcome(who, proof over a, i, names; "welcome") ───────────────►  initiator

A proof is an HMAC-SHA256 with the password as its key. Both nonces are in it, so an old proof fits nowhere; both names
are, so it fits no other pair; and its direction is, so that nobody's words can be sent back to them as somebody else's
(a reflection attack; Bird et al., "Systematic design of two-party authentication protocols", CRYPTO '91). It covers the
handshake and not what follows: against somebody who can change packets on the way, use TLS between peers.

Without a password the proofs are empty and prove nothing; order and names are still checked.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

import msgspec

from kvstore.wire import BodyError, Challenge, Frame, FrameError, Hello, Refusal, Welcome, same_cluster

HELLO, WELCOME = "quorate 2 hello", "quorate 2 welcome"
NONCE_BYTES = 16


class HandshakeError(FrameError):
    """The other side is not who it should be, or said why we are not."""


def proof(password: str | None, direction: str, hello: Hello, nonce: bytes) -> bytes:
    """What shows knowledge of the password in one direction; `nonce` is the challenge's. Of `hello` all but its proof counts."""
    if password is None:
        return b""
    said = msgspec.msgpack.encode((direction, hello.cluster, hello.node, hello.to, nonce, hello.nonce))
    return hmac.digest(password.encode(), said, "sha256")


class Initiator:
    """The side that connected: feed it the acceptor's frames until it is `welcomed`."""

    def __init__(self, cluster: str, node: str, peer: str, nonce: bytes, password: str | None) -> None:
        self.welcomed = False
        self._hello = Hello(cluster, node, peer, nonce, b"")
        self._password = password
        self._challenge: bytes | None = None

    def take(self, frame: Frame) -> Hello | None:
        """The answer to a frame, if it has one. Raises FrameError; the connection must then be closed."""
        if isinstance(frame, Refusal):
            raise HandshakeError(f"refused: {frame.reason}")
        hello, challenge = self._hello, self._challenge
        if isinstance(frame, Challenge) and challenge is None:
            self._challenge = frame.nonce
            given = proof(self._password, HELLO, hello, frame.nonce)
            return msgspec.structs.replace(hello, proof=given)
        if isinstance(frame, Welcome) and challenge is not None and not self.welcomed:
            if frame.node != hello.to:
                raise HandshakeError(f"this is {frame.node}: correct the address of {hello.to} in our peers")
            if not hmac.compare_digest(frame.proof, proof(self._password, WELCOME, hello, challenge)):
                raise HandshakeError(f"whoever answers for {hello.to} does not have our password")
            self.welcomed = True
            return None
        raise BodyError(f"A {type(frame).__name__} came at the wrong time.")


def why_refused(
    hello: Hello, *, cluster: str, node: str, members: Sequence[str], nonce: bytes, password: str | None
) -> str | None:
    """The acceptor's reason to refuse this Hello, None when it is welcome."""
    if not same_cluster(hello.cluster, cluster):
        return f"{hello.node} belongs to another cluster than {node}: it began with other members, or from another snapshot."
    if hello.to != node:
        return f"{hello.node} looks for {hello.to}, but this is {node}: correct the address in its peers."
    if hello.node == node or hello.node not in members:
        return f"{hello.node} is not one of the peers of {node}."
    if len(hello.nonce) != NONCE_BYTES:
        return f"{hello.node} sent no nonce of {NONCE_BYTES} bytes."
    if not hmac.compare_digest(hello.proof, proof(password, HELLO, hello, nonce)):
        return f"{hello.node} does not have the password of {node}."
    return None


def welcome(hello: Hello, nonce: bytes, password: str | None) -> Welcome:
    """The acceptor's answer to a Hello that is welcome."""
    return Welcome(hello.to, proof(password, WELCOME, hello, nonce))
