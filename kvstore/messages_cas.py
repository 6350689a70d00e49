"""The messages of CASPaxos (`kvstore.caspaxos`), for keys of class `cas`.

    coordinator                    acceptor, a replica of the key
        │  Prepare ─────────────────► │   take nothing below this ballot, and tell what you accepted
        │ ◄──────────────── Promise   │
        │  Accept ──────────────────► │   hold this state under this ballot
        │ ◄─────────────── Accepted   │
        │ ◄─────────────────── Nack   │   your ballot is below my word; does not count in any quorum

Fields as in `kvstore.messages`; `tag` is a ballot: (counter, node, incarnation).
"""

from __future__ import annotations

import msgspec

from kvstore.events import NO_TAG, Tag


class Prepare(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=40):
    """Asks an acceptor to take nothing below this ballot."""

    request: int
    bucket: str
    key: bytes
    partition: int
    epoch: int
    deadline_ms: float
    tag: Tag


class Promise(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=41):
    """It will, durably. `tag` is the ballot of the state it holds, NO_TAG if it holds none."""

    request: int
    tag: Tag
    value: bytes | None


class Accept(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=42):
    """Asks an acceptor to hold this state under this ballot; and to promise the ballot `then`, if it is one."""

    request: int
    bucket: str
    key: bytes
    partition: int
    epoch: int
    deadline_ms: float
    tag: Tag
    value: bytes | None
    then: Tag = NO_TAG


class Accepted(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=43):
    """It does, durably."""

    request: int
    tag: Tag


class Nack(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=44):
    """It does not: `ballot` is the smallest it takes."""

    request: int
    ballot: Tag
