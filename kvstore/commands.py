"""The commands that read and write data. One row of the table each; see `kvstore.session`.

Compatibility is by refusal, never by silence: what a bucket cannot promise (SET with EX unless its last writer wins, and with NX, XX
or GET unless its mode is cas) is answered WRONGCLASS.

    KV.GET key [CL one|quorum|all | R n] [TIMEOUT ms]        -> {values: [v] or [], tag or ctx}
    KV.PUT key value [CTX c | EX s | PX ms] [CL ... | W n] [TIMEOUT ms]  -> {acks, tag or ctx}
    KV.DEL key [CTX c] [CL ... | W n] [TIMEOUT ms]           -> {tag, acks, existed}
    KV.RAW key [TIMEOUT ms]                                  -> {replica: {values, tag or digest} or {error}}

R and W override the bucket's own counts. Modes register, cas and monotonic refuse what their promise does not survive; in the others a
request that asks for fewer gives up for itself that a read meets every acknowledged write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kvstore import commands_cas, commands_ttl
from kvstore.commands_scan import TYPES
from kvstore.envelope import opened
from kvstore.errors import definite
from kvstore.events import Failure, Value
from kvstore.flows import cas, causal, inspect, lww, register
from kvstore.flows.steps import Flow, Op
from kvstore.launching import (
    Shape,
    launch,
    new_op,
    parse_options,
    put_result,
    tag_bytes,
    take_context,
    wanted,
)
from kvstore.messages import QueryReply, Refused
from kvstore.session import LATER, OK, Later, RefusalError, Session, command, current

if TYPE_CHECKING:
    from kvstore.node import Node

LAUNCHED_MAX: Final = 64  # ops of a batch begun in one step
BETWEEN_MS: Final = 1.0  # two such steps
_READS: dict[str, Callable[[Op], Flow]] = {
    "register": register.read,
    "cas": cas.read,
    "siblings": causal.read,
    "crdt": causal.read,
}
_WRITES: dict[str, Callable[[Op], Flow]] = {
    "register": register.write,
    "cas": cas.write,
    "siblings": causal.write,
    "crdt": causal.write,
}
_DELETES: dict[str, Callable[[Op], Flow]] = {
    "register": register.write,
    "cas": cas.delete,
    "siblings": causal.delete,
    "crdt": causal.delete,
}


def _read(node: Node, session: Session, key: bytes, shape: Shape) -> tuple[Op, Callable[[Op], Flow]]:
    op = new_op(node, session, key, shape)
    return op, _READS.get(op.bucket.mode, lww.read)


def _write(
    node: Node, session: Session, key: bytes, shape: Shape, value: bytes
) -> tuple[Op, Callable[[Op], Flow]]:
    op = new_op(node, session, key, shape, value=value, writes=True)
    return op, _WRITES.get(op.bucket.mode, lww.write)


def _delete(node: Node, session: Session, key: bytes, shape: Shape) -> tuple[Op, Callable[[Op], Flow]]:
    op = new_op(node, session, key, shape, writes=True)
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
        """Launch them all, a step not too many: others are served in between."""
        self._launch(ops, 0)
        return LATER

    def _launch(self, ops: list[tuple[Op, Callable[[Op], Flow]]], begin: int) -> None:
        end = begin + LAUNCHED_MAX
        for index, (op, flow) in enumerate(ops[begin:end], begin):
            op.index = index
            try:
                launch(self._node, self._session, op, flow, report=self._part)
            except RefusalError as refusal:
                self._part(op, refusal.failure)
        if end < len(ops):
            at = self._node.moment.clock.mono_ms + BETWEEN_MS
            self._node.schedule(at, lambda: self._launch(ops, end))

    def _part(self, op: Op, value: Value) -> None:
        self._values[op.index] = value
        if self._session.has_defaults and type(value) is not Failure:
            self._session.note(op)
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


def room_for(node: Node, count: int) -> None:
    """Refuse a batch that cannot be in progress at once, before any of it is done. Raises RefusalError."""
    running, most = node.coordinator.running, node.config.max_requests
    if running + count > most:
        raise RefusalError(
            "OVERLOADED",
            f"{count} keys at once and {running} requests in progress are more than {most}; nothing was done",
        )


# ---- Redis' own commands -----------------------------------------------------------------------------------


def _value(op: Op) -> Value:
    return op.value if op.more is None else op.more.single()


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
    return launch(node, session, *_read(node, session, args[1], _value))


@command("SET", 3, 0)
def set_(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """SET key value. Its conditions are in `kvstore.commands_cas`, its deadlines in `kvstore.commands_ttl`."""
    if len(args) > 3:
        options = commands_ttl.set_until if current(node, session).kind == "lww" else commands_cas.set_with
        return options(node, session, args)
    return launch(node, session, *_write(node, session, args[1], _ok, args[2]))


@command("UNLINK", 2, 0)
@command("DEL", 2, 0)
def del_(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """DEL key...: how many of them existed. Each key is an op of its own."""
    if len(args) == 2:
        return launch(node, session, *_delete(node, session, args[1], _existed))
    room_for(node, len(args) - 1)
    ops = [_delete(node, session, key, _existed) for key in dict.fromkeys(args[1:])]
    return Batch(node, session, len(ops), _sum).run(ops)


@command("EXISTS", 2, 0)
def exists(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """EXISTS key...: how many of them exist; a key named twice counts twice."""
    room_for(node, len(args) - 1)
    ops = [_read(node, session, key, _present) for key in args[1:]]
    return Batch(node, session, len(ops), _sum).run(ops)


def _length(op: Op) -> Value:
    value = _value(op)
    return len(value) if isinstance(value, bytes) else value or 0


@command("STRLEN", 2, 2)
def strlen(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """STRLEN key: the length of the value, 0 if there is none."""
    return launch(node, session, *_read(node, session, args[1], _length))


@command("TYPE", 2, 2)
def type_(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """TYPE key: string, or what a CRDT is nearest to: set, hash; none if there is no such key."""
    kind = TYPES.get(current(node, session).type, b"string")
    return launch(node, session, *_read(node, session, args[1], lambda op: kind if _present(op) else b"none"))


@command("MGET", 2, 0)
def mget(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """MGET key...; not one atomic read."""
    room_for(node, len(args) - 1)
    ops = [_read(node, session, key, _value) for key in args[1:]]
    return Batch(node, session, len(ops), list).run(ops)


@command("MSET", 3, 0)
def mset(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """MSET key value...; not one atomic write. Of a key named twice the last value counts."""
    if len(args) % 2 == 0:
        raise RefusalError("ERR", "wrong number of arguments for 'mset'")
    pairs = dict(zip(args[1::2], args[2::2], strict=True))
    room_for(node, len(pairs))
    ops = [_write(node, session, key, _ok, value) for key, value in pairs.items()]
    return Batch(node, session, len(ops), lambda values: OK).run(ops)


# ---- our own -----------------------------------------------------------------------------------------------


def _with_rid(op: Op, options: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Take RID out of the options."""
    op.rid, rest = commands_cas.request_id(options)
    if op.rid is not None and op.bucket.mode != "cas":
        raise RefusalError("WRONGCLASS", f"mode {op.bucket.mode} cannot do RID; use a bucket of mode cas")
    return rest


def _versions(op: Op) -> Value:
    if op.more is not None:
        shown: Value = op.more.shown(op)
        return shown
    return {"values": [] if op.value is None else [op.value], "tag": tag_bytes(op.tag)}


def _del_result(op: Op) -> Value:
    return {"tag": tag_bytes(op.tag), "acks": op.acks, "existed": int(op.existed)}


@command("KV.GET", 2, 6)
def kv_get(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """KV.GET key [CL one|quorum|all | R n] [TIMEOUT ms]."""
    op, flow = _read(node, session, args[1], _versions)
    if len(args) == 2:
        return launch(node, session, op, flow)
    options = parse_options(args[2:], b"R")
    op.r = wanted(op.bucket, options, op.r, writes=False)
    return launch(node, session, op, flow, options.timeout_ms)


@command("KV.PUT", 3, 11)
def kv_put(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """KV.PUT key value [CTX c | EX s | PX ms] [CL one|quorum|all | W n] [TIMEOUT ms] [RID id]."""
    op, flow = _write(node, session, args[1], put_result, args[2])
    if len(args) == 3:
        return launch(node, session, op, flow)
    options = parse_options(_with_rid(op, args[3:]), b"W", (b"CTX", b"EX", b"PX"))
    take_context(node, op, options)
    op.w = wanted(op.bucket, options, op.w, writes=True)
    if options.lifetimes:
        flow = commands_ttl.writing_until(node, session, options.lifetimes)
    return launch(node, session, op, flow, options.timeout_ms)


@command("KV.DEL", 2, 10)
def kv_del(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """KV.DEL key [CTX c] [CL one|quorum|all | W n] [TIMEOUT ms] [RID id]."""
    op, flow = _delete(node, session, args[1], _del_result)
    options = parse_options(_with_rid(op, args[2:]), b"W", (b"CTX",))
    take_context(node, op, options)
    op.w = wanted(op.bucket, options, op.w, writes=True)
    return launch(node, session, op, flow, options.timeout_ms)


def _raw_result(op: Op) -> Value:
    ask = op.waiting
    assert ask is not None
    assert ask.op is not None
    shown: dict[str, Value] = {}
    for replica in ask.replicas:
        reply = ask.answers.get(replica) or ask.refusals.get(replica)
        if type(reply) is QueryReply:
            shown[replica] = _raw(ask.op, reply)
        elif reply is None:
            shown[replica] = {"error": b"no answer in time"}
        else:
            why = (
                f"{reply.code} {reply.text}" if type(reply) is Refused else f"STALE ring epoch {reply.epoch}"
            )
            shown[replica] = {"error": why.encode()}
    return shown


def _raw(op: Op, reply: QueryReply) -> Value:
    """A replica's version; of a CRDT the values, and a digest that is equal where the states are."""
    if op.more is not None:
        whole: Value = op.more.raw(reply.value)
        return whole
    value = opened(reply.value).value if op.bucket.kind == "cas" else reply.value
    values: list[Value] = [] if value is None else [value]
    return {"values": values, "tag": tag_bytes(reply.tag)}


@command("KV.RAW", 2, 4)
def kv_raw(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """KV.RAW key [TIMEOUT ms]: what every replica holds, repairs nothing."""
    options = parse_options(args[2:], None)
    if options.level is not None:
        raise RefusalError("BADARG", "KV.RAW asks all replicas; leave CL out")
    op = new_op(node, session, args[1], _raw_result)
    op.r = 1
    return launch(node, session, op, inspect.raw, options.timeout_ms)
