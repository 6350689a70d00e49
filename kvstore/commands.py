"""The commands that read and write data. One row of the table each; see `kvstore.session`.

Compatibility is by refusal, never by silence: what a bucket cannot promise (SET with NX, XX, EX or GET) is
answered WRONGCLASS.

    KV.GET key [CL one|quorum|all | R n] [TIMEOUT ms]        -> {values: [v] or [], tag}
    KV.PUT key value [CL ... | W n] [TIMEOUT ms]             -> {tag, acks}
    KV.DEL key [CL ... | W n] [TIMEOUT ms]                   -> {tag, acks, existed}
    KV.RAW key [TIMEOUT ms]                                  -> {replica: {values, tag} or {error}}

R and W override the bucket's own counts, never the promise of its mode.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from kvstore.config import BucketConfig, majority
from kvstore.errors import definite
from kvstore.events import NO_TAG, Failure, Tag, Value
from kvstore.flows import inspect, lww, register
from kvstore.flows.steps import Flow, Op
from kvstore.messages import QueryReply, Refused
from kvstore.ring import partition_of
from kvstore.session import LATER, OK, Later, RefusalError, Session, command, current, positive, text

if TYPE_CHECKING:
    from kvstore.node import Node

KEY_MAX = 64 * 1024


def tag_text(tag: Tag) -> str | None:
    """A tag for people and tests: time@node.incarnation; None for a key never written."""
    return None if tag == NO_TAG else f"{tag.hlc}@{tag.node}.{tag.incarnation}"


# ---- launching ---------------------------------------------------------------------------------------------

Shape = Callable[[Op], Value]

_READS: dict[str, Callable[[Op], Flow]] = {"register": register.read}
_WRITES: dict[str, Callable[[Op], Flow]] = {"register": register.write}
_DELETES: dict[str, Callable[[Op], Flow]] = {"register": register.write}


def _op(node: Node, session: Session, key: bytes, shape: Shape, **more: Any) -> Op:
    if len(key) > KEY_MAX:
        raise RefusalError("BADARG", f"the key has {len(key)} bytes; at most {KEY_MAX} are allowed")
    value = more.get("value")
    if value is not None and len(value) > node.config.max_value_bytes:
        limit = node.config.max_value_bytes
        raise RefusalError("BADARG", f"the value has {len(value)} bytes; at most {limit} are allowed")
    bucket = current(node, session)
    partition = partition_of(key)
    return Op(bucket, key, partition, node.ring.preferences(bucket.n)[partition], shape, **more)


def _launch(
    node: Node,
    session: Session,
    op: Op,
    flow: Callable[[Op], Flow],
    timeout_ms: float = 0.0,
    report: Callable[[Op, Value], None] | None = None,
) -> Later:
    need = max(op.r, op.w) if op.writes and op.bucket.mode == "register" else op.w if op.writes else op.r
    if need > len(op.replicas):
        have = len(op.replicas)
        raise RefusalError(
            "UNAVAILABLE", f"this needs {need} replicas and the cluster has {have} for the key"
        )
    if node.coordinator.running >= node.config.max_requests:
        raise RefusalError("OVERLOADED", f"{node.coordinator.running} requests are in progress")
    node.coordinator.launch(op, flow, report or partial(answer_with, node, session), timeout_ms)
    return LATER


def answer_with(node: Node, session: Session, op: Op, value: Value) -> None:
    """The op's value is the command's answer."""
    node.respond(session, value)


def _read(node: Node, session: Session, key: bytes, shape: Shape) -> tuple[Op, Callable[[Op], Flow]]:
    op = _op(node, session, key, shape)
    return op, _READS.get(op.bucket.mode, lww.read)


def _write(
    node: Node, session: Session, key: bytes, shape: Shape, value: bytes
) -> tuple[Op, Callable[[Op], Flow]]:
    op = _op(node, session, key, shape, value=value, writes=True)
    return op, _WRITES.get(op.bucket.mode, lww.write)


def _delete(node: Node, session: Session, key: bytes, shape: Shape) -> tuple[Op, Callable[[Op], Flow]]:
    op = _op(node, session, key, shape, writes=True)
    return op, _DELETES.get(op.bucket.mode, lww.delete)


class Batch:
    """Several ops answered as one.

    It fails if one of them does, and definitely only if none had any effect.
    """

    __slots__ = ("_mutated", "_node", "_session", "_shape", "_values", "left")

    def __init__(
        self, node: Node, session: Session, size: int, shape: Callable[[list[Value]], Value]
    ) -> None:
        self._node = node
        self._session = session
        self._shape = shape
        self._values: list[Value] = [None] * size
        self._mutated = False
        self.left = size

    def run(self, ops: list[tuple[Op, Callable[[Op], Flow]]]) -> Later:
        """Launch them all at once."""
        for index, (op, flow) in enumerate(ops):
            op.index = index
            try:
                _launch(self._node, self._session, op, flow, report=self._part)
            except RefusalError as refusal:
                self._part(op, refusal.failure)
        return LATER

    def _part(self, op: Op, value: Value) -> None:
        self._values[op.index] = value
        self._mutated = self._mutated or op.mutated
        self.left -= 1
        if self.left == 0:
            self._node.respond(self._session, self._whole())

    def _whole(self) -> Value:
        failures = [value for value in self._values if type(value) is Failure]
        if not failures:
            return self._shape(self._values)
        # an indefinite failure speaks for the others
        worst = next((each for each in failures if not definite(each.code)), failures[0])
        if self._mutated and definite(worst.code):
            return Failure(
                "INDEFINITE", f"some keys failed ({worst.code} {worst.text}), others may be written"
            )
        return worst


# ---- Redis' own commands -----------------------------------------------------------------------------------


def _value(op: Op) -> Value:
    return op.value


def _ok(op: Op) -> Value:
    return OK


def _existed(op: Op) -> Value:
    return int(op.existed)


def _present(op: Op) -> Value:
    return int(op.value is not None)


def _sum(values: list[Value]) -> Value:
    return sum(value for value in values if isinstance(value, int))


@command("GET", 2, 2)
def get(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """GET key."""
    return _launch(node, session, *_read(node, session, args[1], _value))


@command("SET", 3, 0)
def set_(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """SET key value. Its conditions and expiry need promises these buckets do not make."""
    if len(args) > 3:
        option, mode = text(args[3]).upper(), current(node, session).mode
        if option not in {"EX", "PX", "EXAT", "PXAT", "NX", "XX", "GET", "KEEPTTL"}:
            raise RefusalError("BADARG", f"SET has no option '{option}'")
        raise RefusalError("WRONGCLASS", f"mode {mode} cannot do SET with {option}; use plain SET")
    return _launch(node, session, *_write(node, session, args[1], _ok, args[2]))


@command("UNLINK", 2, 0)
@command("DEL", 2, 0)
def del_(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """DEL key...: how many of them existed. Each key is an op of its own."""
    if len(args) == 2:
        return _launch(node, session, *_delete(node, session, args[1], _existed))
    ops = [_delete(node, session, key, _existed) for key in dict.fromkeys(args[1:])]
    return Batch(node, session, len(ops), _sum).run(ops)


@command("EXISTS", 2, 0)
def exists(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """EXISTS key...: how many of them exist; a key named twice counts twice."""
    ops = [_read(node, session, key, _present) for key in args[1:]]
    return Batch(node, session, len(ops), _sum).run(ops)


@command("MGET", 2, 0)
def mget(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """MGET key...; not one atomic read."""
    ops = [_read(node, session, key, _value) for key in args[1:]]
    return Batch(node, session, len(ops), list).run(ops)


@command("MSET", 3, 0)
def mset(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """MSET key value...; not one atomic write. Of a key named twice the last value counts."""
    if len(args) % 2 == 0:
        raise RefusalError("ERR", "wrong number of arguments for 'mset'")
    pairs = dict(zip(args[1::2], args[2::2], strict=True))
    ops = [_write(node, session, key, _ok, value) for key, value in pairs.items()]
    return Batch(node, session, len(ops), lambda values: OK).run(ops)


# ---- our own -----------------------------------------------------------------------------------------------


class Options(NamedTuple):
    """What follows the fixed arguments of a KV command."""

    level: str | None  # CL
    replicas: int | None  # R or W
    timeout_ms: float


def _options(args: tuple[bytes, ...], count: bytes | None) -> Options:
    level, number, timeout_ms = None, None, 0.0
    if len(args) % 2:
        raise RefusalError("BADARG", f"option '{text(args[-1])}' has no value")
    for option, value in zip(args[::2], args[1::2], strict=True):
        name = option.upper()
        if name == b"CL":
            level = text(value).lower()
            if level not in {"one", "quorum", "all"}:
                raise RefusalError("BADARG", f"CL '{level}' is not known; choose one, quorum or all")
        elif name == b"TIMEOUT":
            timeout_ms = float(positive("TIMEOUT", value))
        elif count is not None and name == count:
            number = positive(text(count), value)
        else:
            raise RefusalError("BADARG", f"option '{text(option)}' is not known here")
    if level is not None and number is not None:
        raise RefusalError("BADARG", "CL and a count exclude each other; give one")
    return Options(level, number, timeout_ms)


def _wanted(bucket: BucketConfig, options: Options, usual: int, other: int) -> int:
    """How many replicas a request waits for; `other` is the bucket's count for the other direction."""
    if options.replicas is None and options.level is None:
        return usual
    n = bucket.n
    count = options.replicas or {"one": 1, "quorum": majority(n), "all": n}[options.level or ""]
    if count > n:
        raise RefusalError("BADARG", f"{count} is more than n = {n} of bucket {bucket.name}; choose 1 to {n}")
    if bucket.mode == "register" and count < majority(n):
        raise RefusalError("WRONGCLASS", f"mode register needs a majority: {majority(n)} to {n}, not {count}")
    if bucket.mode == "monotonic" and count + other <= n:
        raise RefusalError(
            "WRONGCLASS", f"mode monotonic needs R + W > {n}: {n - other + 1} to {n}, not {count}"
        )
    return count


def _versions(op: Op) -> Value:
    return {"values": [] if op.value is None else [op.value], "tag": _ascii(op.tag)}


def _ascii(tag: Tag) -> bytes | None:
    shown = tag_text(tag)
    return None if shown is None else shown.encode()


def _put_result(op: Op) -> Value:
    return {"tag": _ascii(op.tag), "acks": op.acks}


def _del_result(op: Op) -> Value:
    return {"tag": _ascii(op.tag), "acks": op.acks, "existed": int(op.existed)}


@command("KV.GET", 2, 6)
def kv_get(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """KV.GET key [CL one|quorum|all | R n] [TIMEOUT ms]."""
    op, flow = _read(node, session, args[1], _versions)
    if len(args) == 2:
        return _launch(node, session, op, flow)
    options = _options(args[2:], b"R")
    op.r = _wanted(op.bucket, options, op.r, op.bucket.w)
    return _launch(node, session, op, flow, options.timeout_ms)


@command("KV.PUT", 3, 7)
def kv_put(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """KV.PUT key value [CL one|quorum|all | W n] [TIMEOUT ms]."""
    op, flow = _write(node, session, args[1], _put_result, args[2])
    if len(args) == 3:
        return _launch(node, session, op, flow)
    options = _options(args[3:], b"W")
    op.w = _wanted(op.bucket, options, op.w, op.bucket.r)
    return _launch(node, session, op, flow, options.timeout_ms)


@command("KV.DEL", 2, 6)
def kv_del(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """KV.DEL key [CL one|quorum|all | W n] [TIMEOUT ms]."""
    op, flow = _delete(node, session, args[1], _del_result)
    options = _options(args[2:], b"W")
    op.w = _wanted(op.bucket, options, op.w, op.bucket.r)
    return _launch(node, session, op, flow, options.timeout_ms)


def _raw_result(op: Op) -> Value:
    ask = op.waiting
    assert ask is not None
    shown: dict[str, Value] = {}
    for replica in ask.replicas:
        reply = ask.answers.get(replica) or ask.refusals.get(replica)
        if type(reply) is QueryReply:
            values: list[Value] = [] if reply.value is None else [reply.value]
            shown[replica] = {"values": values, "tag": _ascii(reply.tag)}
        elif reply is None:
            shown[replica] = {"error": b"no answer in time"}
        else:
            why = (
                f"{reply.code} {reply.text}" if type(reply) is Refused else f"STALE ring epoch {reply.epoch}"
            )
            shown[replica] = {"error": why.encode()}
    return shown


@command("KV.RAW", 2, 4)
def kv_raw(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """KV.RAW key [TIMEOUT ms]: what every replica holds, repairs nothing."""
    options = _options(args[2:], None)
    if options.level is not None:
        raise RefusalError("BADARG", "KV.RAW asks all replicas; leave CL out")
    op = _op(node, session, args[1], _raw_result)
    op.r = 1
    return _launch(node, session, op, inspect.raw, options.timeout_ms)
