"""Wild bytes at both ports, and wild words in commands: no crash, no hang, no growth.

20,000 inputs each here, a million with QUORATE_FUZZ=1000000 (`make nightly`). An input is repeated by its number.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections import Counter

import hiredis
import msgspec
from cluster import Cluster, failed
from mutation import mutated, pieces, sealed

from kvstore import errors, handshake, wire
from kvstore.config import bucket
from kvstore.events import Closed, Command, Tag
from kvstore.messages import Ping, Query, QueryReply, Store, StoreReply
from kvstore.resp import LIMITS, MAX_INLINE_BYTES, STRANGER, CommandDecoder
from kvstore.session import TABLE

INPUTS = int(os.environ.get("QUORATE_FUZZ", "20000"))
TAG = Tag(2**60, "n1", 7)
COMMANDS = [
    hiredis.pack_command(words)
    for words in [
        (b"SET", b"k", b"v"), (b"GET", b"k"), (b"AUTH", b"user", b"password"), (b"MSET",) + (b"k", b"v") * 4,
        (b"SET", b"k", b"x" * 300), (b"HELLO", b"3", b"AUTH", b"u", b"p"), (b"KV.PUT", b"k", b"", b"W", b"2"),
    ]
] + [b"GET k\r\n", b'SET k "a\\x00 b" \'c d\'\n', b"*0\r\n\r\n", b"*-1\r\nPING\r\n"]  # fmt: skip
STREAMS = [*COMMANDS, b"".join(COMMANDS), COMMANDS[0] * 20]
HELLO = wire.Hello("quorate/1", "n2", "n1", b"i" * 16, b"p" * 32)
FRAMES = [
    wire.Challenge(b"a" * 16),
    HELLO,
    wire.Welcome("n1", b"p" * 32),
    wire.Refusal("no"),
    wire.Batch([]),
    wire.Batch([Ping(1, 1), StoreReply(2**40, TAG), QueryReply(3, TAG, b"v"), QueryReply(3, TAG, None)]),
    wire.Batch([Query(1, "b", b"k", 3, 4, 5.5), Store(1, "b", b"k", 3, 4, 5.5, TAG, b"v" * 50)]),
]
BODIES = [(frame, msgspec.msgpack.encode(frame)) for frame in FRAMES]
WIRE = [wire.encode(frame) for frame in FRAMES]


def decode_commands(stream: bytes, number: int, rng: random.Random) -> int:
    """Feed a stream in pieces, in draughts; how many commands came out."""
    limits = rng.choice((LIMITS, STRANGER))
    space = rng.choice((1 << 40, 1 << 40, 20_000))
    decoder = CommandDecoder(limits, lambda size: size <= space)
    found: list[tuple[bytes, ...]] = []
    for piece in pieces(stream, rng):
        data, at_most = piece, rng.choice((0, 1, 64))
        while given := decoder.feed(data, at_most):
            found += given
            data, at_most = b"", rng.choice((1, 64))
            assert len(found) <= len(stream), f"input {number}: more commands than bytes"
        found += decoder.feed(b"")
        assert all(len(command) <= limits.args for command in found[-1:])
        assert decoder.held <= len(stream)
        assert decoder.held <= limits.command_bytes + MAX_INLINE_BYTES, f"input {number}: too much is held"
        if decoder.error is not None:
            assert decoder.feed(b"PING\r\n") == [], f"input {number}: commands after an error"
            break
    if space > 1 << 20:
        whole = CommandDecoder(limits)
        expected = whole.feed(stream)
        assert (found, decoder.error) == (expected, whole.error), f"input {number}: it matters how it is cut"
    return len(found)


def test_commands_under_fuzz() -> None:
    commands = errors = 0
    for number in range(INPUTS):
        rng = random.Random(number)
        found = decode_commands(mutated(rng.choice(STREAMS), rng, STREAMS), number, rng)
        commands += found
        errors += not found
    print(f"{INPUTS} inputs, {commands} commands, {errors} inputs without one")
    assert commands > INPUTS / 4
    assert errors > INPUTS / 100


def test_frames_under_fuzz() -> None:
    seen: Counter[str] = Counter()
    bodies = [body for _, body in BODIES]
    for number in range(INPUTS):
        rng = random.Random(number)
        if rng.random() < 0.5:
            frame, body = rng.choice(BODIES)
            stream = sealed(frame, mutated(body, rng, bodies)) + rng.choice(WIRE)
        else:
            stream = mutated(rng.choice(WIRE) + rng.choice(WIRE), rng, WIRE)
        limit = rng.choice((wire.MAX_HANDSHAKE_BYTES, wire.MAX_BODY_BYTES))
        decoder = wire.Decoder(limit)
        initiator = handshake.Initiator("quorate/1", "n2", "n1", b"i" * 16, "p")
        try:
            for piece in pieces(stream, rng):
                for frame in decoder.feed(piece):
                    seen[type(frame).__name__] += 1
                    shake(frame, initiator)
                assert decoder.held <= min(len(stream), limit + 10), f"input {number}: too much is held"
        except wire.FrameError as error:
            seen[type(error).__name__] += 1
        assert not initiator.welcomed, f"input {number}: a wild peer is believed"
    print(f"{INPUTS} inputs: {dict(seen)}")
    assert min(seen[each] for each in ("Batch", "Hello", "ChecksumError", "BodyError", "VersionError")) > 0


def shake(frame: wire.Frame, initiator: handshake.Initiator) -> None:
    """Let both sides of a handshake see a frame."""
    if isinstance(frame, wire.Hello):
        members = ("n2", "n3")
        reason = handshake.why_refused(
            frame, cluster="quorate/1", node="n1", members=members, nonce=b"a" * 16, password="p"
        )
        assert reason is not None
        wire.encode(wire.Refusal(reason[:200]))
    with contextlib.suppress(handshake.HandshakeError):
        initiator.take(frame)


# ---- what is in a command ----------------------------------------------------------------------------------

WORDS = [
    *b"k k2 default reg cas sib or-set counter map lww mv m1 CL one quorum all R W N TIMEOUT RID CTX VERSION ABSENT".split(),
    *b"NX XX GET EX CREATE LIST SHOW MODE TYPE REPAIR STATUS FORGET PLAN JOIN LEAVE REPLACE REBALANCE ABORT RING TRACK on off TOKEN RESUME COUNT DOCS".split(),
    *b"SETINFO SETNAME WHOAMI CAT SLOTS SHARDS KEYSLOT MATCH EX PX KEEPTTL FIELDS GETNAME ID AUTH SNAPSHOT WEIGHT RACK TTL DURABILITY a 127.0.0.1:1 0 1 2 3 -1 10 999999999 9223372036854775807 -9223372036854775809".split(),
    b"", b"\xff\xfe", b"\0", "٣".encode(), "²".encode(), b"1e9", b"nan", b" 1", b"1_0", b"x" * 300, b"9" * 40, b"\r\n",
    b"9" * 5000, b"-" + b"9" * 5000, b"a:" + b"9" * 5000, "a:²".encode(), b"a\0:1", b"x" * 70_000, b"1e400", b"*a" * 20, b"group:1e9", b"%" * 5000,
]  # fmt: skip
WORDS += [
    random.Random(number).randbytes(number % 9) for number in range(60)
]  # few, so that storage stays small
BUCKETS = {
    "reg": ("register", None), "cas": ("cas", None), "lww": ("quorum", None), "ses": ("session", None),
    "sib": ("siblings", None), "or-set": ("crdt", "or-set"), "counter": ("crdt", "pn-counter"), "map": ("crdt", "or-map"),
    "flag": ("crdt", "ew-flag"), "mv": ("crdt", "mv-register"),
}  # fmt: skip


def wild_command(rng: random.Random, known: list[bytes]) -> tuple[bytes, ...]:
    """A command that exists, with words that may mean something to it."""
    row = TABLE[name := rng.choice(known)]
    most = row.most or row.least + 4
    count = rng.choice((row.least, rng.randint(row.least, most), rng.randint(1, most + 2)))
    words = [rng.choice(WORDS) for _ in range(count - 1)]
    return (name, *words)


def test_words_under_fuzz() -> None:
    """Each command to one node with a bucket of each mode: it is answered, and the node goes on."""
    made = Cluster(
        "a", buckets=tuple(bucket(name, mode, n=1, type=kind) for name, (mode, kind) in BUCKETS.items())
    )
    codes: Counter[str] = Counter()
    known, names = sorted(TABLE), sorted(BUCKETS)
    for number in range(INPUTS):
        rng = random.Random(number)
        conn = number + 1
        for args in ((b"KV.USE", rng.choice(names).encode()), wild_command(rng, known)):
            made.replies.pop(("a", conn), None)
            made.step("a", Command(conn, 1, args))
            made.run(until=("a", conn))
            answer = made.replies.get(("a", conn), "nothing")
            assert answer != "nothing", f"input {number}: {args} is not answered"
        codes[str(failed(answer))] += 1
        del made.replies["a", conn]
        made.step("a", Closed(conn))
    node = made.node("a")
    print(f"{INPUTS} commands: {dict(codes)}")
    assert made.logs == []
    assert (len(node.sessions), node.coordinator.running) == (0, 0)
    assert codes["None"] > INPUTS / 10
    assert set(codes) - {"None"} <= set(errors.TABLE)
