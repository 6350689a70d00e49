"""From a command to an op that runs: what every command about a key has in common.

    new_op(key, shape) ──► options(CL, R, W, TIMEOUT) ──► launch(op, flow) ──► LATER … answer: shape(op)

The commands themselves are in `kvstore.commands` and `kvstore.commands_cas`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from kvstore.config import ATOMIC, BucketConfig, majority
from kvstore.contexts import TokenError, unseal_context
from kvstore.events import NO_TAG, Failure, Tag, Value
from kvstore.flows.steps import Flow, Op
from kvstore.ring import partition_of
from kvstore.session import LATER, Later, RefusalError, Session, current, positive, text
from kvstore.updates import value_max
from kvstore.work import Work

if TYPE_CHECKING:
    from kvstore.node import Node

KEY_MAX = 64 * 1024
TIMEOUT_MS_MAX = 3_600_000  # whoever asks may go, and its request stays so long
# of tombstone_grace_ms: a request is asked again when the ring changes, and its messages may wait for a link for another quarter
GRACE_SHARE = 0.5


Shape = Callable[[Op], Value]


def new_op(node: Node, session: Session, key: bytes, shape: Shape, **more: Any) -> Op:
    """An op on a key of the session's bucket. Raises RefusalError for what is too long."""
    if len(key) > KEY_MAX:
        raise RefusalError("BADARG", f"the key has {len(key)} bytes; at most {KEY_MAX} are allowed")
    value, bucket = more.get("value"), current(node, session)
    limit = value_max(bucket, node.config.max_value_bytes)
    if value is not None and len(value) > limit:
        raise RefusalError("BADARG", f"the value has {len(value)} bytes; at most {limit} are allowed")
    partition = partition_of(key)
    plan = node.view.plan(partition, bucket.n)
    op = Op(bucket, key, partition, plan.replicas, shape, **more)
    op.plan = plan
    if bucket.type:
        op.more = Work(node, bucket.type)
    if session.has_defaults:
        _set_defaults(session, op)
    return op


def _set_defaults(session: Session, op: Op) -> None:
    """What KV.SESSION chose for this connection."""
    bucket, level = op.bucket, session.level
    op.r = wanted(bucket, Options(level, None if level else session.r, 0.0), op.r, writes=False)
    op.w = wanted(bucket, Options(level, None if level else session.w, 0.0), op.w, writes=True)
    if session.tracks(bucket):
        op.floor = session.floor(bucket.name, op.key)


def launch(
    node: Node,
    session: Session,
    op: Op,
    flow: Callable[[Op], Flow],
    timeout_ms: float = 0.0,
    report: Callable[[Op, Value], None] | None = None,
) -> Later:
    """Begin an op; its command is answered later. Raises RefusalError when it cannot begin."""
    need = op.w if op.writes else op.r
    if op.bucket.mode in ATOMIC or (op.writes and op.more is not None):
        need = max(op.r, op.w)
    unknown = op.replicas[:1] == ("",)  # who was told of no ring yet knows no owner
    have = 0 if unknown else len(op.replicas)
    if need > have:
        raise RefusalError(
            "UNAVAILABLE", f"this needs {need} replicas and the cluster has {have} for the key"
        )
    most = max(node.config.request_timeout_ms, node.config.tombstone_grace_ms * GRACE_SHARE)
    if timeout_ms > most:
        raise RefusalError(
            "BADARG",
            f"TIMEOUT {timeout_ms:.0f} is more than {most:.0f} ms: a deletion made meanwhile could be forgotten (tombstone_grace_ms)",
        )
    if node.coordinator.running >= node.config.max_requests:
        raise RefusalError("OVERLOADED", f"{node.coordinator.running} requests are in progress")
    node.coordinator.launch(op, flow, report or partial(answer_with, node, session), timeout_ms)
    return LATER


def answer_with(node: Node, session: Session, op: Op, value: Value) -> None:
    """The op's value is the command's answer."""
    if session.has_defaults and type(value) is not Failure:
        session.note(op)
    node.respond(session, value)


# ---- options --------------------------------------------------------------------------------


class Options(NamedTuple):
    """What follows the fixed arguments of a KV command."""

    level: str | None  # CL
    replicas: int | None  # R or W
    timeout_ms: float
    context: bytes | None = None  # CTX
    rid: bytes = b""  # RID
    lifetimes: tuple[tuple[bytes, bytes], ...] = ()  # EX, PX


def parse_options(args: tuple[bytes, ...], count: bytes | None, also: tuple[bytes, ...] = ()) -> Options:
    """The options of a KV command, in pairs. Raises RefusalError.

    `count` is R, W, or None where no quorum may be chosen; `also` allows CTX, RID, EX or PX.
    """
    level, number, timeout_ms, more = None, None, 0.0, dict[bytes, bytes]()
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
            if timeout_ms > TIMEOUT_MS_MAX:
                raise RefusalError("BADARG", f"TIMEOUT {timeout_ms:.0f} is more than {TIMEOUT_MS_MAX} ms")
        elif name in also:
            more[name] = value
        elif count is not None and name == count:
            number = positive(text(count), value)
        else:
            raise RefusalError("BADARG", f"option '{text(option)}' is not known here")
    if level is not None and number is not None:
        raise RefusalError("BADARG", "CL and a count exclude each other; give one")
    lifetimes = tuple((name, more[name]) for name in (b"EX", b"PX") if name in more)
    return Options(level, number, timeout_ms, more.get(b"CTX"), more.get(b"RID", b""), lifetimes)


def wanted(bucket: BucketConfig, options: Options, usual: int, *, writes: bool) -> int:
    """How many replicas a request waits for. Raises RefusalError for a count that the promise of the bucket's mode does not survive.

    Modes atomic and monotonic promise that quorums meet, those of any two requests, whatever each has asked for. In the others who asks for
    fewer has chosen to.
    """
    if options.replicas is None and options.level is None:
        return usual
    n = bucket.n
    count = options.replicas or {"one": 1, "quorum": majority(n), "all": n}[options.level or ""]
    if count > n:
        raise RefusalError("BADARG", f"{count} is more than n = {n} of bucket {bucket.name}; choose 1 to {n}")
    if bucket.mode in ATOMIC and count < majority(n):
        raise RefusalError(
            "WRONGCLASS", f"mode {bucket.mode} needs a majority: {majority(n)} to {n}, not {count}"
        )
    own, other = (bucket.w, bucket.r) if writes else (bucket.r, bucket.w)
    least = max(min(own, majority(n)), n - other + 1)
    if bucket.mode == "monotonic" and count < least:
        raise RefusalError(
            "WRONGCLASS", f"mode monotonic needs every R + W > {n}: {least} to {n}, not {count}"
        )
    return count


def take_context(node: Node, op: Op, options: Options) -> None:
    """The client's CTX becomes the op's. Raises RefusalError where none has a meaning, or for a foreign one."""
    if options.context is None:
        return
    if op.more is None or not op.more.takes_context:
        raise RefusalError("WRONGCLASS", f"mode {op.bucket.mode} has no contexts; leave CTX out")
    try:
        op.more.seen = unseal_context(node.config.secret, op.bucket.name, op.key, options.context)
    except TokenError as error:
        raise RefusalError("BADARG", str(error)) from None


def timeout_only(args: tuple[bytes, ...]) -> float:
    """The milliseconds of TIMEOUT, 0 if it is not given; no other option is."""
    return parse_options(args, None).timeout_ms if args else 0.0


# ---- answers --------------------------------------------------------------------------------


def tag_text(tag: Tag) -> str | None:
    """A tag for people and tests: time@node.incarnation, +touched:deadline if it has one, in class cas the version; None for a key never written."""
    if not tag.node:
        return None if tag == NO_TAG else str(tag.hlc)
    deadline = f"+{tag.touched}:{tag.expires_ms}" if tag.touched or tag.expires_ms else ""
    return f"{tag.hlc}@{tag.node}.{tag.incarnation}{deadline}"


def tag_bytes(tag: Tag) -> bytes | None:
    """The same as bytes."""
    shown = tag_text(tag)
    return None if shown is None else shown.encode()


def put_result(op: Op) -> Value:
    """What a write tells: its version, and how many replicas are known to hold it."""
    if op.more is not None:
        sealed: Value = op.more.sealed(op, {"acks": op.acks})
        return sealed
    told: dict[str, Value] = {"tag": tag_bytes(op.tag), "acks": op.acks}
    if op.bucket.sloppy:
        told["stand_ins"] = (
            0 if op.stored is None else sum(node in op.stored.aside for node in op.stored.answers)
        )
    return told
