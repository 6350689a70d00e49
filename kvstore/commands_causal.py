"""Commands of the mode `crdt`, by the bucket's type. Elsewhere they are answered WRONGCLASS.

    or-set          SADD SREM SMEMBERS SISMEMBER SCARD
                    KV.SET.ADD key elem…, KV.SET.REM key elem… [CTX c]       -> {acks, dots, ctx}; -CTXUNSEEN: read again
                    KV.CTX key token: what a context covers
    g-, pn-counter  INCR DECR INCRBY DECRBY, KV.COUNTER.ADD key n [RID id]   -> the sum as its replica knows it
    ew-, dw-flag    KV.FLAG key ON|OFF                                       -> OK; GET reads 1 or 0
    or-map          KV.MAP.SET key field v, KV.MAP.ADD key field elem…, KV.MAP.ON key field      -> OK
                    KV.MAP.DEL key r:field | s:field | f:field …, KV.MAP.REM key field elem…     -> how many there were
                    KV.MAP.GET key                                           -> {r:field: [v, …], s:field: […], f:field: [1]}
    all             GET, SET, DEL, EXISTS, KV.GET, KV.PUT, KV.DEL where they have a meaning; KV.RAW

An INCR is not atomic with a read: its answer leaves out what other replicas have counted meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from kvstore.causal import Dot, Store, dots_of
from kvstore.contexts import TokenError, unseal_context
from kvstore.crdt import Change
from kvstore.crdt.maps import SET, shown
from kvstore.events import Value
from kvstore.flows import causal
from kvstore.flows.steps import Op
from kvstore.launching import Options, launch, new_op, parse_options, take_context, wanted
from kvstore.session import OK, Later, RefusalError, Session, command, current, text
from kvstore.updates import value_max

if TYPE_CHECKING:
    from kvstore.node import Node

Args = tuple[bytes, ...]
SETS, COUNTERS, FLAGS, MAPS = ("or-set",), ("g-counter", "pn-counter"), ("ew-flag", "dw-flag"), ("or-map",)
OPTION_NAMES = (b"CTX", b"CL", b"W", b"R", b"RID", b"TIMEOUT")


def work_op(
    node: Node,
    session: Session,
    args: Args,
    types: tuple[str, ...],
    shape: Callable[[Op], Value],
    *,
    writes: bool,
) -> Op:
    """An op for a bucket of one of these types. Raises RefusalError."""
    bucket = current(node, session)
    if bucket.type not in types or bucket.mode == "siblings":
        name = text(args[0]).upper()
        have = f"mode {bucket.mode}" + (f", type {bucket.type}" if bucket.type else "")
        raise RefusalError(
            "WRONGCLASS", f"{have} cannot do {name}; use a bucket of type {' or '.join(types)}"
        )
    return new_op(node, session, args[1], shape, writes=writes)


def change(node: Node, session: Session, op: Op, what: Change, timeout_ms: float = 0.0) -> Later:
    """Launch an update that an actor makes. Raises RefusalError for what is more than a key may hold, before it is told to anybody."""
    size, limit = sum(map(len, what.items)), value_max(op.bucket, node.config.max_value_bytes)
    if size > limit:
        raise RefusalError("BADARG", f"the change has {size} bytes; at most {limit} are allowed")
    op.more.change = what
    return launch(node, session, op, causal.update, timeout_ms)


def remove(
    node: Node, session: Session, op: Op, select: Callable[[Store], Iterable[Dot]], timeout_ms: float = 0.0
) -> Later:
    """Launch a removal of what `select` finds in a store."""
    op.more.select = select
    return launch(node, session, op, causal.delete, timeout_ms)


def trailing(args: Args) -> tuple[Args, Args]:
    """Name, key and elements, one at least, and the options after them: a trailing run of pairs whose first is an option's name."""
    end = len(args)
    while end >= 5 and args[end - 2].upper() in OPTION_NAMES:
        end -= 2
    return args[:end], args[end:]


def integer(given: bytes) -> int:
    """A whole number of 64 bits, or a refusal."""
    digits = given[1:] if given[:1] in (b"-", b"+") else given
    if not digits.isdigit() or len(digits) > 19 or abs(int(given)) >= 1 << 63:
        raise RefusalError("ERR", "value is not an integer or out of range")
    return int(given)


# ---- sets ----------------------------------------------------------------------------------------------------------


def _named(op: Op) -> Value:
    return len(op.more.change.items)


def _members(op: Op) -> Value:
    return list(op.more.kind.values(op.more.state))


def _acks(op: Op) -> Value:
    answer: Value = op.more.sealed(op, {"acks": op.acks, "dots": plain_dots(op.more.dots)})
    return answer


def plain_dots(dots: Iterable[Dot]) -> list[Value]:
    """Dots for people and tests: [node, epoch, n]."""
    return [[node.encode(), epoch, n] for node, epoch, n in sorted(dots)]


def under(elements: Args) -> Callable[[Store], Iterator[Dot]]:
    """Selects the dots of these elements of a set."""
    return lambda store: (dot for element in elements for dot in store.get(element, {}))


@command("SADD", 3, 0)
def sadd(node: Node, session: Session, args: Args) -> Value | Later:
    """SADD key element...: how many were named."""
    op = work_op(node, session, args, SETS, _named, writes=True)
    return change(node, session, op, Change("add", tuple(dict.fromkeys(args[2:]))))


@command("SREM", 3, 0)
def srem(node: Node, session: Session, args: Args) -> Value | Later:
    """SREM key element...: removes what R replicas show; 1 if that was anything."""
    op = work_op(node, session, args, SETS, lambda op: int(op.existed), writes=True)
    return remove(node, session, op, under(args[2:]))


@command("SMEMBERS", 2, 2)
def smembers(node: Node, session: Session, args: Args) -> Value | Later:
    """SMEMBERS key: the elements, sorted."""
    op = work_op(node, session, args, SETS, _members, writes=False)
    return launch(node, session, op, causal.read)


@command("SISMEMBER", 3, 3)
def sismember(node: Node, session: Session, args: Args) -> Value | Later:
    """SISMEMBER key element."""
    element = args[2]
    op = work_op(node, session, args, SETS, lambda op: int(element in op.more.state.store), writes=False)
    return launch(node, session, op, causal.read)


@command("SCARD", 2, 2)
def scard(node: Node, session: Session, args: Args) -> Value | Later:
    """SCARD key: how many elements."""
    op = work_op(node, session, args, SETS, lambda op: len(op.more.state.store), writes=False)
    return launch(node, session, op, causal.read)


@command("KV.SET.ADD", 3, 0)
def kv_set_add(node: Node, session: Session, args: Args) -> Value | Later:
    """KV.SET.ADD key element... [CL one|quorum|all | W n] [TIMEOUT ms]."""
    rest, given = trailing(args)
    op = work_op(node, session, rest, SETS, _acks, writes=True)
    options = _options(node, op, given)
    return change(node, session, op, Change("add", rest[2:]), options.timeout_ms)


@command("KV.SET.REM", 3, 0)
def kv_set_rem(node: Node, session: Session, args: Args) -> Value | Later:
    """KV.SET.REM key element... [CTX c] [CL one|quorum|all | W n] [TIMEOUT ms]: with CTX only the adds it covers."""
    rest, given = trailing(args)
    op = work_op(node, session, rest, SETS, _acks, writes=True)
    options = _options(node, op, given)
    return remove(node, session, op, under(rest[2:]), options.timeout_ms)


def _options(node: Node, op: Op, given: Args) -> Options:
    options = parse_options(given, b"W", (b"CTX",))
    take_context(node, op, options)
    op.w = wanted(op.bucket, options, op.w, writes=True)
    return options


@command("KV.CTX", 3, 3)
def kv_ctx(node: Node, session: Session, args: Args) -> Value | Later:
    """KV.CTX key token: the dots a context covers: in `vector` all up to n, in `cloud` single ones. For tests."""
    try:
        seen = unseal_context(node.config.secret, current(node, session).name, args[1], args[2])
    except TokenError as error:
        raise RefusalError("BADARG", str(error)) from None
    vector = [(member, epoch, n) for (member, epoch), n in seen.vector.items()]
    return {"vector": plain_dots(vector), "cloud": plain_dots(seen.cloud)}


# ---- counters and flags --------------------------------------------------------------------------------------------


def _sum(op: Op) -> Value:
    return sum(int(value) for value in op.more.kind.values(op.more.state))


def count(
    node: Node, session: Session, args: Args, amount: int, rid: bytes = b"", timeout_ms: float = 0.0
) -> Later:
    """Add to a counter: also what INCR and its like do in this mode."""
    op = work_op(node, session, args, COUNTERS, _sum, writes=True)
    return change(node, session, op, Change("add", amount=amount, rid=rid), timeout_ms)


@command("KV.COUNTER.ADD", 3, 7)
def kv_counter_add(node: Node, session: Session, args: Args) -> Value | Later:
    """KV.COUNTER.ADD key n [RID id] [TIMEOUT ms]: with RID, a repetition counts once (its last 16 per replica)."""
    options = parse_options(args[3:], None, (b"RID",))
    if options.level is not None:
        raise RefusalError("BADARG", "KV.COUNTER.ADD takes RID and TIMEOUT only")
    return count(node, session, args, integer(args[2]), options.rid, options.timeout_ms)


@command("KV.FLAG", 3, 3)
def kv_flag(node: Node, session: Session, args: Args) -> Value | Later:
    """KV.FLAG key ON|OFF."""
    op = work_op(node, session, args, FLAGS, lambda op: OK, writes=True)
    wish = args[2].lower()
    if wish not in (b"on", b"off"):
        raise RefusalError("BADARG", f"KV.FLAG '{text(args[2][:16])}' is not known; choose ON or OFF")
    if op.more.kind.marks == wish:
        return change(node, session, op, Change("mark"))
    return remove(node, session, op, dots_of)


# ---- maps ----------------------------------------------------------------------------------------------------------


@command("KV.MAP.SET", 4, 4)
def kv_map_set(node: Node, session: Session, args: Args) -> Value | Later:
    """KV.MAP.SET key field value: a register field."""
    op = work_op(node, session, args, MAPS, lambda op: OK, writes=True)
    return change(node, session, op, Change("set", (args[3],), args[2]))


@command("KV.MAP.ADD", 4, 0)
def kv_map_add(node: Node, session: Session, args: Args) -> Value | Later:
    """KV.MAP.ADD key field element...: a set field."""
    op = work_op(node, session, args, MAPS, lambda op: OK, writes=True)
    return change(node, session, op, Change("add", args[3:], args[2]))


@command("KV.MAP.ON", 3, 3)
def kv_map_on(node: Node, session: Session, args: Args) -> Value | Later:
    """KV.MAP.ON key field: a flag field. KV.MAP.DEL key f:field turns it off."""
    op = work_op(node, session, args, MAPS, lambda op: OK, writes=True)
    return change(node, session, op, Change("mark", (), args[2]))


@command("KV.MAP.DEL", 3, 0)
def kv_map_del(node: Node, session: Session, args: Args) -> Value | Later:
    """KV.MAP.DEL key r:field|s:field|f:field...: resets the fields; 1 if there was anything."""
    op = work_op(node, session, args, MAPS, lambda op: int(op.existed), writes=True)
    fields = args[2:]
    return remove(node, session, op, lambda store: (d for f in fields for d in dots_of(store.get(f, {}))))


@command("KV.MAP.REM", 4, 0)
def kv_map_rem(node: Node, session: Session, args: Args) -> Value | Later:
    """KV.MAP.REM key field element...: removes elements of a set field; 1 if there was anything."""
    op = work_op(node, session, args, MAPS, lambda op: int(op.existed), writes=True)
    field, elements = SET + args[2], under(args[3:])
    return remove(node, session, op, lambda store: elements(store.get(field, {})))


@command("KV.MAP.GET", 2, 2)
def kv_map_get(node: Node, session: Session, args: Args) -> Value | Later:
    """KV.MAP.GET key: every field with its values."""
    op = work_op(node, session, args, MAPS, _fields, writes=False)
    return launch(node, session, op, causal.read)


def _fields(op: Op) -> Value:
    return {text(field): list(values) for field, values in shown(op.more.state).items()}
