"""The commands that need a bucket of class `cas`: conditions, counters, and requests that may be tried again.

    KV.CAS key VERSION v|ABSENT value [RID id] [TIMEOUT ms]  -> {tag, acks}, or -CASFAIL with the version there is
    KV.INCR key n [RID id] [TIMEOUT ms]                      -> the sum
    KV.APPEND key suffix [RID id] [TIMEOUT ms]               -> the length
    KV.PUT … [RID id], KV.DEL … [RID id]                     as elsewhere
    SETNX GETSET INCR INCRBY DECR DECRBY APPEND, SET with NX, XX and GET

A key's version is how often it was changed: KV.GET tells it as `tag`. Buckets of another class answer WRONGCLASS.

RID is for clients that try again after a time-out: the change is made once, and every try is told what it made. It is
`client:number`, or any text of its own; the number grows with each request of that client, which has one in progress at a
time. A key remembers the last request of the 64 clients that changed it last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvstore import commands_causal
from kvstore.envelope import Effect, Rid
from kvstore.events import Value
from kvstore.flows import cas
from kvstore.flows.steps import Op
from kvstore.launching import Shape, launch, new_op, put_result, timeout_only
from kvstore.session import OK, Later, RefusalError, Session, command, current, text

if TYPE_CHECKING:
    from kvstore.node import Node

RID_MAX = 64
SET_OPTIONS = {"EX", "PX", "EXAT", "PXAT", "NX", "XX", "GET", "KEEPTTL"}


def change(
    node: Node,
    session: Session,
    args: tuple[bytes, ...],
    effect: Effect,
    shape: Shape,
    options: tuple[bytes, ...] = (),
    value: bytes | None = None,
) -> Later:
    """Launch a change of `args[1]`; `options` are RID and TIMEOUT. Raises RefusalError."""
    mode = current(node, session).mode
    if mode != "cas":
        raise RefusalError(
            "WRONGCLASS", f"mode {mode} cannot do {text(args[0]).upper()}; use a bucket of mode cas"
        )
    rid, rest = request_id(options)
    op = new_op(node, session, args[1], shape, writes=True, value=value)
    op.effect, op.rid = effect, rid
    return launch(node, session, op, cas.change, timeout_only(rest))


def request_id(options: tuple[bytes, ...]) -> tuple[Rid | None, tuple[bytes, ...]]:
    """The RID among options that come in pairs, and the others."""
    for at in range(0, len(options) - 1, 2):
        if options[at].upper() == b"RID":
            return _rid(options[at + 1]), options[:at] + options[at + 2 :]
    return None, options


def _rid(given: bytes) -> Rid:
    if not given or len(given) > RID_MAX or given.startswith(b"!"):
        raise RefusalError(
            "BADARG", f"RID '{text(given[:RID_MAX])}' has not 1 to {RID_MAX} bytes, or begins with '!'"
        )
    who, _, number = given.rpartition(b":")
    if who and number.isdigit() and len(number) <= 18:
        return Rid(who, int(number))
    return Rid(given, 0)


def _integer(what: str, given: bytes) -> int:
    digits = given[1:] if given[:1] == b"-" else given
    if not digits.isdigit() or len(digits) > 19 or abs(int(given)) > cas.INT_MAX:
        raise RefusalError("ERR", f"{what} is not an integer or out of range")
    return int(given)


# ---- answers -----------------------------------------------------------------------------------------------


def _result(op: Op) -> Value:
    assert op.change is not None
    return op.change.result


def _before(op: Op) -> Value:
    """The value before the change; if nothing was changed, the value there is."""
    assert op.change is not None
    state = op.change.before if op.change.took_effect else op.change.state
    return None if state is None else state.value


def _took_effect(op: Op) -> Value:
    assert op.change is not None
    return int(op.change.took_effect)


def _ok_if(op: Op) -> Value:
    assert op.change is not None
    return OK if op.change.took_effect else None


def _cas_result(op: Op) -> Value:
    assert op.change is not None
    return put_result(op) if op.change.took_effect else cas.cas_failure(op)


# ---- Redis' own --------------------------------------------------------------------------------------------


def set_with(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """SET key value with NX, XX and GET; deadlines are not had here."""
    options = [text(option).upper() for option in args[3:]]
    mode = current(node, session).mode
    for option in options:
        if option not in SET_OPTIONS:
            raise RefusalError("BADARG", f"SET has no option '{option}'")
        if mode != "cas" or option not in {"NX", "XX", "GET"}:
            raise RefusalError("WRONGCLASS", f"mode {mode} cannot do SET with {option}; {_instead(option)}")
    if "NX" in options and "XX" in options:
        raise RefusalError("ERR", "syntax error: NX and XX exclude each other")
    value = args[2]
    effect = cas.put_if(value, there="XX" in options) if {"NX", "XX"} & set(options) else cas.put(value)
    return change(node, session, args, effect, _before if "GET" in options else _ok_if, value=value)


def _instead(option: str) -> str:
    if option in {"NX", "XX", "GET"}:
        return "use a bucket of mode cas"
    return "use a bucket of mode eventual, quorum, monotonic or session"


@command("SETNX", 3, 3)
def setnx(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """SETNX key value: 1 if there was none."""
    return change(node, session, args, cas.put_if(args[2], there=False), _took_effect, value=args[2])


@command("GETSET", 3, 3)
def getset(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """GETSET key value: the value before."""
    return change(node, session, args, cas.put(args[2]), _before, value=args[2])


@command("APPEND", 3, 3)
def append(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """APPEND key value: the length after."""
    return kv_append(node, session, args)


def _add(node: Node, session: Session, args: tuple[bytes, ...], amount: int) -> Value | Later:
    if current(node, session).mode == "crdt":
        return commands_causal.count(node, session, args, amount)
    return change(node, session, args, cas.add(amount), _result)


@command("INCR", 2, 2)
def incr(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """INCR key."""
    return _add(node, session, args, 1)


@command("DECR", 2, 2)
def decr(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """DECR key."""
    return _add(node, session, args, -1)


@command("INCRBY", 3, 3)
def incrby(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """INCRBY key n."""
    return _add(node, session, args, _integer("increment", args[2]))


@command("DECRBY", 3, 3)
def decrby(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """DECRBY key n."""
    return _add(node, session, args, -_integer("decrement", args[2]))


# ---- our own -----------------------------------------------------------------------------------------------


@command("KV.INCR", 3, 7)
def kv_incr(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """KV.INCR key n [RID id] [TIMEOUT ms]."""
    return change(node, session, args, cas.add(_integer("increment", args[2])), _result, args[3:])


@command("KV.APPEND", 3, 7)
def kv_append(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """KV.APPEND key suffix [RID id] [TIMEOUT ms]."""
    effect = cas.append(args[2], node.config.max_value_bytes)
    return change(node, session, args, effect, _result, args[3:], args[2])


@command("KV.CAS", 4, 9)
def kv_cas(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """KV.CAS key VERSION v|ABSENT value [RID id] [TIMEOUT ms]."""
    condition = args[2].upper()
    if condition == b"VERSION" and len(args) >= 5 and args[3].isdigit() and len(args[3]) <= 18:
        version, rest = int(args[3]), args[4:]
    elif condition == b"ABSENT":
        version, rest = None, args[3:]
    else:
        raise RefusalError(
            "BADARG", "KV.CAS key VERSION v|ABSENT value: VERSION takes the tag that KV.GET tells"
        )
    value, options = rest[0], rest[1:]
    return change(node, session, args, cas.put_at(value, version), _cas_result, options, value)
