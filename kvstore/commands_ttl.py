"""Deadlines: the commands of Redis that set, tell and take away when a key ends. What they do is in `kvstore.flows.expiry`.

    SET key value EX s | PX ms | EXAT s | PXAT ms | KEEPTTL    GETEX key [EX s | … | PERSIST]    SETEX key s value    PSETEX key ms value    KV.PUT key value EX s | PX ms
    EXPIRE key s    PEXPIRE key ms    EXPIREAT key s    PEXPIREAT key ms    PERSIST key              -> 1, or 0 if there is nothing to do
    TTL key    PTTL key    EXPIRETIME key    PEXPIRETIME key                                         -> -2: no such key, -1: no deadline

Relative times become instants of this node's clock. They need a bucket whose last writer wins (modes eventual, quorum, monotonic,
session); any other answers WRONGCLASS, and so do the conditions NX, XX, GT and LT, which a last writer cannot keep.
KEEPTTL takes the deadline that R replicas tell: one that is changed in that moment is lost, as any change is that a later write overtakes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from kvstore.events import Value
from kvstore.flows import expiry, lww
from kvstore.flows.steps import Flow, Op
from kvstore.launching import launch, new_op
from kvstore.session import OK, Later, RefusalError, Session, command, current, text

if TYPE_CHECKING:
    from kvstore.node import Node

Args = tuple[bytes, ...]
LATEST_MS: Final = 1 << 47  # the year 6429: later instants are refused
UNITS: Final = {
    b"EX": (1000, False),
    b"PX": (1, False),
    b"EXAT": (1000, True),
    b"PXAT": (1, True),
}  # ms, absolute
CONDITIONS: Final = frozenset({b"NX", b"XX", b"GT", b"LT", b"GET"})


def mortal(node: Node, session: Session, what: str) -> None:
    """Raises RefusalError unless the session's bucket has deadlines."""
    bucket = current(node, session)
    if bucket.kind != "lww":
        raise RefusalError(
            "WRONGCLASS",
            f"mode {bucket.mode} cannot do {what}; use a bucket of mode eventual, quorum, monotonic or session",
        )


def instant(node: Node, given: bytes, unit_ms: int, *, absolute: bool, name: str, least: int) -> int:
    """When a time given in these units is, in wall ms; never 0, which is no deadline. Raises RefusalError."""
    digits = given[1:] if given[:1] == b"-" else given
    if not digits.isdigit() or len(digits) > 19:
        raise RefusalError("ERR", "value is not an integer or out of range")
    at_ms = int(given) * unit_ms + (0 if absolute else int(node.moment.clock.wall_ms))
    if int(given) < least or at_ms > LATEST_MS:
        raise RefusalError("ERR", f"invalid expire time in '{name}' command")
    return max(at_ms, 1)


def _ok(op: Op) -> Value:
    return OK


def _value(op: Op) -> Value:
    return op.value


def _existed(op: Op) -> Value:
    return int(op.existed)


# ---- setting ---------------------------------------------------------------------------------------------------------


def set_until(node: Node, session: Session, args: Args) -> Value | Later:
    """SET key value with one of EX, PX, EXAT, PXAT and KEEPTTL."""
    mortal(node, session, "SET with these options")
    option = args[3].upper()
    for each in args[3:]:
        if each.upper() in CONDITIONS:
            raise RefusalError(
                "WRONGCLASS",
                f"mode {current(node, session).mode} cannot do SET with {text(each).upper()}; use a bucket of mode cas",
            )
    if option == b"KEEPTTL" and len(args) == 4:
        op = new_op(node, session, args[1], _ok, value=args[2], writes=True)
        return launch(node, session, op, expiry.rewrite)
    if option not in UNITS and option != b"KEEPTTL":
        raise RefusalError("BADARG", f"SET has no option '{text(args[3][:64])}'")
    if len(args) != 5 or option == b"KEEPTTL":
        raise RefusalError("ERR", "syntax error: one of EX, PX, EXAT and PXAT and a number, or KEEPTTL")
    return _set(node, session, args[1], args[2], option, args[4], "set")


def writing_until(
    node: Node, session: Session, lifetimes: tuple[tuple[bytes, bytes], ...]
) -> Callable[[Op], Flow]:
    """The flow of a KV.PUT with EX or PX. Raises RefusalError."""
    mortal(node, session, "KV.PUT with a deadline")
    if len(lifetimes) > 1:
        raise RefusalError("BADARG", "EX and PX exclude each other; give one")
    option, given = lifetimes[0]
    at_ms = instant(node, given, UNITS[option][0], absolute=False, name="kv.put", least=1)
    return partial(lww.write, expires_ms=at_ms)


def _set(
    node: Node, session: Session, key: bytes, value: bytes, option: bytes, given: bytes, name: str
) -> Value | Later:
    unit_ms, absolute = UNITS[option]
    at_ms = instant(node, given, unit_ms, absolute=absolute, name=name, least=1)
    op = new_op(node, session, key, _ok, value=value, writes=True)
    return launch(node, session, op, partial(lww.write, expires_ms=at_ms))


@command("SETEX", 4, 4)
def setex(node: Node, session: Session, args: Args) -> Value | Later:
    """SETEX key seconds value."""
    mortal(node, session, "SETEX")
    return _set(node, session, args[1], args[3], b"EX", args[2], "setex")


@command("PSETEX", 4, 4)
def psetex(node: Node, session: Session, args: Args) -> Value | Later:
    """PSETEX key milliseconds value."""
    mortal(node, session, "PSETEX")
    return _set(node, session, args[1], args[3], b"PX", args[2], "psetex")


def _touch(node: Node, session: Session, args: Args, option: bytes) -> Value | Later:
    name = text(args[0]).upper()
    mortal(node, session, name)
    if len(args) > 3:
        raise RefusalError(
            "WRONGCLASS", f"mode {current(node, session).mode} cannot do {name} on a condition; leave it out"
        )
    unit_ms, absolute = UNITS[option]
    at_ms = instant(node, args[2], unit_ms, absolute=absolute, name=name.lower(), least=-LATEST_MS)
    op = new_op(node, session, args[1], _existed, writes=True)
    return launch(node, session, op, partial(expiry.touch, expires_ms=at_ms))


@command("EXPIRE", 3, 4)
def expire(node: Node, session: Session, args: Args) -> Value | Later:
    """EXPIRE key seconds; of a time that has passed, the key is gone."""
    return _touch(node, session, args, b"EX")


@command("PEXPIRE", 3, 4)
def pexpire(node: Node, session: Session, args: Args) -> Value | Later:
    """PEXPIRE key milliseconds."""
    return _touch(node, session, args, b"PX")


@command("EXPIREAT", 3, 4)
def expireat(node: Node, session: Session, args: Args) -> Value | Later:
    """EXPIREAT key unix-seconds."""
    return _touch(node, session, args, b"EXAT")


@command("PEXPIREAT", 3, 4)
def pexpireat(node: Node, session: Session, args: Args) -> Value | Later:
    """PEXPIREAT key unix-milliseconds."""
    return _touch(node, session, args, b"PXAT")


@command("PERSIST", 2, 2)
def persist(node: Node, session: Session, args: Args) -> Value | Later:
    """PERSIST key: 1 if it had a deadline."""
    mortal(node, session, "PERSIST")
    op = new_op(node, session, args[1], _existed, writes=True)
    return launch(node, session, op, partial(expiry.touch, expires_ms=0))


@command("GETEX", 2, 4)
def getex(node: Node, session: Session, args: Args) -> Value | Later:
    """GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]: the value, which has this deadline from now on, or none."""
    mortal(node, session, "GETEX")
    option = args[2].upper() if len(args) > 2 else b""
    if not option:
        return launch(node, session, new_op(node, session, args[1], _value), lww.read)
    if option in UNITS and len(args) == 4:
        unit_ms, absolute = UNITS[option]
        at_ms = instant(node, args[3], unit_ms, absolute=absolute, name="getex", least=1)
    elif option == b"PERSIST" and len(args) == 3:
        at_ms = 0
    else:
        raise RefusalError("ERR", "syntax error: one of EX, PX, EXAT and PXAT and a number, or PERSIST")
    op = new_op(node, session, args[1], _value, writes=True)
    return launch(node, session, op, partial(expiry.touch, expires_ms=at_ms))


# ---- telling ---------------------------------------------------------------------------------------------------------


def _told(node: Node, session: Session, args: Args, unit_ms: int, *, absolute: bool) -> Value | Later:
    mortal(node, session, text(args[0]).upper())

    def shape(op: Op) -> Value:
        if op.value is None:
            return -2
        if op.tag.expires_ms == 0:
            return -1
        ms = op.tag.expires_ms - (0 if absolute else int(op.wall_ms))
        return (ms + unit_ms // 2) // unit_ms

    return launch(node, session, new_op(node, session, args[1], shape), lww.read)


@command("TTL", 2, 2)
def ttl(node: Node, session: Session, args: Args) -> Value | Later:
    """TTL key: seconds left, to the nearest."""
    return _told(node, session, args, 1000, absolute=False)


@command("PTTL", 2, 2)
def pttl(node: Node, session: Session, args: Args) -> Value | Later:
    """PTTL key: milliseconds left."""
    return _told(node, session, args, 1, absolute=False)


@command("EXPIRETIME", 2, 2)
def expiretime(node: Node, session: Session, args: Args) -> Value | Later:
    """EXPIRETIME key: unix seconds, to the nearest."""
    return _told(node, session, args, 1000, absolute=True)


@command("PEXPIRETIME", 2, 2)
def pexpiretime(node: Node, session: Session, args: Args) -> Value | Later:
    """PEXPIRETIME key: unix milliseconds."""
    return _told(node, session, args, 1, absolute=True)
