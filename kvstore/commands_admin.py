"""Commands about the connection, the node and the cluster.

KV.BUCKET CREATE name [MODE m] [TYPE t] [N n] [R r] [W w] [REPAIR none|async|blocking] [SLOPPY on|off] [DURABILITY d] [TTL s]
KV.BUCKET LIST | SHOW name        KV.USE name        KV.WHERE key
KV.NODE REPAIR | STATUS | FORGET key
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from kvstore.commands_login import REDIS_VERSION
from kvstore.commands_scan import alive
from kvstore.config import BucketConfig, ConfigError, bucket
from kvstore.durability import USUAL
from kvstore.events import Close, Failure, Record, Simple, Value
from kvstore.flows import inspect
from kvstore.flows.steps import Op
from kvstore.launching import answer_with
from kvstore.ring import PARTITIONS, partition_of, slot_of
from kvstore.session import LATER, OK, Later, RefusalError, Session, command, current, positive, text
from kvstore.slices import PROMPT_MS, Page, Reading
from kvstore.users import WORD_MAX

if TYPE_CHECKING:
    from kvstore.node import Node

Args = tuple[bytes, ...]
BUCKETS_MAX: Final = 1_000


@command("PING", 1, 2, open=True)
def ping(node: Node, session: Session, args: Args) -> Value | Later:
    """PING [message]."""
    return args[1] if len(args) == 2 else Simple("PONG")


@command("ECHO", 2, 2)
def echo(node: Node, session: Session, args: Args) -> Value | Later:
    """ECHO message."""
    return args[1]


@command("QUIT", 1, 1, open=True)
def quit_(node: Node, session: Session, args: Args) -> Value | Later:
    """QUIT: closes the connection after OK."""
    node.emit(Close(session.conn))
    return OK


@command("CLIENT", 2, 0)
def client(node: Node, session: Session, args: Args) -> Value | Later:
    """CLIENT SETINFO | SETNAME | GETNAME | ID | NO-EVICT | NO-TOUCH | INFO."""
    sub = args[1].upper()
    if sub == b"SETNAME" and len(args) == 3:
        if len(args[2]) > WORD_MAX:
            raise RefusalError("ERR", f"a client's name has at most {WORD_MAX} bytes")
        session.name = args[2]
        return OK
    if sub == b"GETNAME":
        return session.name or None
    if sub == b"ID":
        return session.conn
    if sub in (b"SETINFO", b"NO-EVICT", b"NO-TOUCH") and len(args) >= 3:
        return OK
    if sub == b"INFO":
        return f"id={session.conn} name={text(session.name)} resp={session.protocol}".encode()
    return Failure(
        "ERR", f"unknown subcommand '{text(args[1][:64])}' of CLIENT, or wrong number of arguments"
    )


_CONFIG = {"save": b"", "appendonly": b"yes", "appendfsync": b"always", "maxmemory": b"0", "databases": b"16"}


@command("CONFIG", 3, 0)
def config(node: Node, session: Session, args: Args) -> Value | Later:
    """CONFIG GET name...: what Redis tools ask for. Nothing can be set this way."""
    if args[1].upper() != b"GET":
        return Failure(
            "ERR", f"CONFIG {text(args[1][:64])} is not done here; edit the node's configuration file"
        )
    known: dict[str, Value] = {}
    for name in args[2:]:
        asked = text(name).lower()
        known.update({k: v for k, v in _CONFIG.items() if asked in (k, "*")})
    return known


@command("INFO", 1, 0)
def info(node: Node, session: Session, args: Args) -> Value | Later:
    """INFO: the node in Redis' text form."""
    lines = [
        "# Server",
        f"redis_version:{REDIS_VERSION.decode()}",
        "redis_mode:standalone",
        "server_name:quorate",
        f"node:{node.name}",
        f"incarnation:{node.incarnation}",
        f"seeded_bugs:{','.join(sorted(node.config.bugs))}",
        "# Clients",
        f"connected_clients:{len(node.sessions)}",
        "# Stats",
        f"total_commands_processed:{node.commands_seen}",
        f"failures:{node.coordinator.failures}",
        f"timeouts:{node.coordinator.timeouts}",
        f"requests_in_progress:{node.coordinator.running}",
        "# Cluster",
        f"ring_epoch:{node.ring.epoch}",
        f"members:{len(node.view.members)}",
        f"reachable:{sum(node.reachable(m) for m in node.view.members)}",
    ]
    return ("\r\n".join(lines) + "\r\n").encode()


@command("TIME", 1, 1)
def time_(node: Node, session: Session, args: Args) -> Value | Later:
    """TIME: this node's wall clock, seconds and microseconds."""
    micros = int(node.moment.clock.wall_ms * 1000)
    return [b"%d" % (micros // 1_000_000), b"%d" % (micros % 1_000_000)]


@command("DBSIZE", 1, 1)
def dbsize(node: Node, session: Session, args: Args) -> Value | Later:
    """DBSIZE: keys of this bucket with a live version on this node. Walks the storage, a slice at a time."""
    bucket, wall_ms, live = current(node, session), node.moment.clock.wall_ms, 0

    def look(name: str, partition: int, page: Page) -> None:
        nonlocal live
        live += sum(isinstance(row, Record) and alive(bucket, row, wall_ms) for row in page)

    def places() -> Iterator[tuple[str, int]]:
        for partition in range(PARTITIONS):
            if session.closed:
                return
            yield bucket.name, partition

    node.slices.begin(Reading(node.reader, places(), look, lambda: node.respond(session, live)), PROMPT_MS)
    return LATER


@command("SELECT", 2, 2)
def select(node: Node, session: Session, args: Args) -> Value | Later:
    """SELECT n: the n-th bucket of the configuration, 0 the default one."""
    known = node.buckets.numbered
    if not args[1].isdigit() or len(args[1]) > 4 or int(args[1]) >= len(known):
        names = ", ".join(f"{i} {each.name}" for i, each in enumerate(known))
        raise RefusalError("BADARG", f"no bucket has number '{text(args[1][:64])}'; there are {names}")
    session.bucket = known[int(args[1])].name
    return OK


@command("KV.USE", 2, 2)
def kv_use(node: Node, session: Session, args: Args) -> Value | Later:
    """KV.USE name: the bucket of this connection from now on."""
    bucket = _opened(node, args[1])
    session.bucket = bucket.name
    session.has_defaults |= bucket.mode == "session"
    return OK


@command("KV.WHERE", 2, 2)
def kv_where(node: Node, session: Session, args: Args) -> Value | Later:
    """KV.WHERE key: its slot, partition, ring epoch and preference list."""
    replicas: list[Value] = [r.encode() for r in node.ring.replicas(args[1], current(node, session).n)]
    return {
        "slot": slot_of(args[1]),
        "partition": partition_of(args[1]),
        "epoch": node.ring.epoch,
        "replicas": replicas,
    }


@command("KV.NODE", 2, 0)
def kv_node(node: Node, session: Session, args: Args) -> Value | Later:
    """KV.NODE REPAIR | STATUS | FORGET key: begin to read all again and to compare with all peers; how far that is, and what repair did so far; give up what is damaged here."""
    sub, upkeep = args[1].upper(), node.upkeep
    if sub == b"REPAIR" and len(args) == 2:
        peers = upkeep.repair()
        return {"peers": peers, "scrub_left": upkeep.scrub.left}
    if sub == b"STATUS" and len(args) == 2:
        return {
            "suspects": [each.encode() for each in sorted(upkeep.suspects)],
            "hints_kept": upkeep.hints.kept,
            "hints_dropped": upkeep.hints.dropped,
            "hints_replayed": upkeep.hints.replayed,
            "hints_rerouted": upkeep.hints.rerouted,
            "hints_pending_bytes": upkeep.hints.pending_bytes,
            "comparisons": upkeep.antientropy.rounds,
            "records_handed_over": upkeep.antientropy.handed,
            "scrub_left": upkeep.scrub.left,
            "damaged_found": upkeep.scrub.found,
            "damaged_mended": upkeep.scrub.mended,
            "unreadable": [[name.encode(), key] for name, key in upkeep.scrub.unreadable()],
            "expired_dropped": upkeep.scrub.dropped,
            "stood_in": upkeep.stood_in,
            "tombstones_purged": upkeep.purger.purged,
        }
    if sub == b"FORGET" and len(args) == 3:
        gone, again = upkeep.scrub.forget(current(node, session).name, args[2])
        if not gone + again:
            raise RefusalError("BADARG", "nothing of that key is damaged on this node, in this bucket")
        return {"forgotten": gone, "written_anew": again}
    raise RefusalError("BADARG", "KV.NODE does REPAIR, STATUS and FORGET key")


@command("KV.BUCKET", 2, 0)
def kv_bucket(node: Node, session: Session, args: Args) -> Value | Later:
    """KV.BUCKET CREATE name ... | LIST | SHOW name."""
    sub = args[1].upper()
    if sub == b"LIST" and len(args) == 2:
        return [name.encode() for name in node.buckets.opened]
    if sub == b"SHOW" and len(args) == 3:
        return _shown(_opened(node, args[2]))
    if sub == b"CREATE" and len(args) >= 3:
        return _create(node, session, args[2], args[3:])
    raise RefusalError("BADARG", "KV.BUCKET does CREATE name [MODE ..], LIST, and SHOW name")


def _opened(node: Node, name: bytes) -> BucketConfig:
    found = node.buckets.opened.get(text(name))
    if found is None:
        raise RefusalError("BADARG", f'no bucket "{text(name[:64])}" here; see KV.BUCKET LIST')
    return found


def _shown(each: BucketConfig) -> Value:
    return {
        "name": each.name.encode(),
        "mode": each.mode.encode(),
        "n": each.n,
        "r": each.r,
        "w": each.w,
        "read_repair": each.read_repair.encode(),
        "sloppy": int(each.sloppy),
        "type": each.type.encode(),
        "durability": each.durability.encode(),
        "ttl_s": each.ttl_s,
    }


def _create(node: Node, session: Session, name: bytes, options: Args) -> Later:
    """OK only once every member has the bucket open and durable."""
    made = _defined(text(name), options, min(3, len(node.view.members)))
    if len(node.buckets.known()) >= BUCKETS_MAX and made.name not in node.buckets.opened:
        raise RefusalError("BADARG", f"there are {BUCKETS_MAX} buckets, and no more can be made")
    conflict = node.buckets.conflict(made)
    if conflict is not None:
        raise RefusalError(
            "BADARG", f'bucket "{made.name}" is already defined with {conflict.told}; choose another name'
        )
    op = Op(made, b"", 0, node.view.members, lambda op: OK, writes=True)
    node.coordinator.launch(op, inspect.create_bucket, partial(answer_with, node, session))
    return LATER


def _defined(name: str, options: Args, n: int) -> BucketConfig:
    mode, counts, repair, kind, sloppy, durability = "register", {"n": n}, None, None, False, USUAL
    if len(options) % 2:
        raise RefusalError("BADARG", f"option '{text(options[-1])}' has no value")
    for option, value in zip(options[::2], options[1::2], strict=True):
        word = text(option).upper()
        if word == "MODE":
            mode = text(value)
        elif word in ("N", "R", "W", "TTL"):
            counts[word.lower()] = positive(word, value)
        elif word == "REPAIR":
            repair = text(value)
        elif word == "TYPE":
            kind = text(value)
        elif word == "SLOPPY" and value.lower() in (b"on", b"off"):
            sloppy = value.lower() == b"on"
        elif word == "DURABILITY":
            durability = text(value[:64])
        else:
            raise RefusalError("BADARG", f"KV.BUCKET CREATE has no option '{text(option)}'")
    try:
        return bucket(
            name, mode, n=counts["n"], r=counts.get("r"), w=counts.get("w"), read_repair=repair, sloppy=sloppy, type=kind,
            durability=durability, ttl_s=counts.get("ttl", 0),
        )  # fmt: skip
    except ConfigError as error:
        raise RefusalError("BADARG", str(error)) from None
