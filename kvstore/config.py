"""A node's configuration, and what a bucket promises.

    mode        write                    read                         promise
    eventual    one phase, W=1           R=1, repair later            replicas converge
    quorum      one phase, W=majority    R=majority, repair later     later reads meet acknowledged writes
    monotonic   one phase, W=majority    R=majority, repair first     + no read goes back behind another
    session     one phase, W=1           R=1, repair later            + each connection sees what it saw and wrote
    register    query, then store (ABD)  query, then write back       linearizable per key
    cas         prepare, accept          query; accept if in doubt    linearizable per key, conditions and counters too
    siblings    one replica, then W      R=majority, repair later     concurrent writes stay side by side
    crdt        one replica, then W      R=majority, repair later     the `type`'s: see kvstore.crdt

The first four order versions by the coordinator's clock alone (last writer wins), which loses acknowledged
writes when clocks disagree. In `register` and `cas` both quorums are majorities at least: a smaller R or W is
refused, not obeyed.

A configuration is TOML:

    name = "n1"
    data = "n1.data"
    client = "127.0.0.1:7001"
    peer = "127.0.0.1:7101"

    [peers]                     # every member; this node may be left out
    n2 = "127.0.0.1:7102"
    n3 = "127.0.0.1:7103"

    [bucket]                    # bucket 0, "default"; all keys optional
    mode = "register"

    [buckets.cart]
    mode = "quorum"
    n = 3
    r = 2
    w = 2
    read_repair = "async"
    sloppy = false              # true: stand-ins may acknowledge writes; see kvstore/sloppy.py
    durability = "group:2"      # always, group:<ms>, interval:<s>, never; see kvstore/durability.py
    ttl_s = 86400               # values written without a deadline end after so long; 0: never

    [tls]                       # optional; see kvstore/server_tls.py
    cert = "n1.pem"
    key = "n1.key"
    ca = "ca.pem"

    [users.shop]                # optional; see kvstore/users.py
    hash = "scrypt:…"
    may = ["read", "write"]
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kvstore import bugs as seeded
from kvstore.config_access import TlsConfig as TlsConfig
from kvstore.config_access import tls_from_table, users_from
from kvstore.config_checks import (
    COUNTS,
    DURATIONS_MS,
    SECRET,
    choice,
    known_keys,
    number_checked,
    ttl_checked,
    typed,
)
from kvstore.config_checks import ConfigError as ConfigError
from kvstore.crdt import TYPES
from kvstore.durability import USUAL, Durability, durability_checked, durability_of
from kvstore.users import User

CLASSES = {
    "eventual": "lww",
    "quorum": "lww",
    "monotonic": "lww",
    "register": "register",
    "cas": "cas",
    "session": "lww",
    "siblings": "siblings",
    "crdt": "crdt",
}
MODES = tuple(CLASSES)
SLOPPY_MODES = ("eventual", "quorum")  # may count stand-ins, and then promise convergence only
ATOMIC = ("register", "cas")  # linearizable per key, by majorities
READ_REPAIRS = ("none", "async", "blocking")
CLOCKS = ("hlc", "wall")
LOG_FORMATS = ("text", "json")
DEFAULT_BUCKET = "default"
BUCKET_NAME_MAX = 128  # every node tells every other of all buckets


class BucketConfig(msgspec.Struct, frozen=True, gc=False):
    """A named set of keys with one promise. Make it with `bucket`, which checks it and fills in the mode's
    defaults.

    `n` replicas per key; a read waits for `r` of them, a write for `w`.
    """

    name: str
    mode: str
    n: int
    r: int
    w: int
    read_repair: str
    sloppy: bool = False  # nodes beyond the preference list may acknowledge writes: kvstore.sloppy
    type: str = ""  # of mode crdt, a row of `kvstore.crdt.TYPES`; "mv-register" in mode siblings
    durability: str = USUAL  # when a write is on disk, and who waits for that: kvstore.durability
    ttl_s: int = 0  # how long a value is there that is written without a deadline; 0: for good

    @property
    def kind(self) -> str:
        """The bucket's class, which says how two versions of a key become one (`kvstore.absorb`)."""
        return CLASSES[self.mode]

    @property
    def told(self) -> str:
        """Its settings in words."""
        fields = [(name, getattr(self, name)) for name in self.__struct_fields__ if name != "name"]
        return ", ".join(f"{name} {value}" for name, value in fields if value not in ("", False))

    @property
    def lasting(self) -> Durability:
        """What `durability` means."""
        return durability_of(self.durability)


class NodeConfig(msgspec.Struct, frozen=True):
    """What one node needs to know. Make it with `node_config` or `from_toml`, which check it.

    `peers` maps every other member to its "host:port" for peers; `client` and `peer` are this node's own
    addresses. `default` is the bucket of a fresh connection and of SELECT 0; `buckets` are the further
    ones, SELECT 1 on, in order.
    """

    name: str
    peers: dict[str, str]
    acceptors: tuple[
        str, ...
    ] = ()  # who holds the ring document; () = the first members, 5 at most, an odd number
    transfers_max: int = 2  # partitions that a node streams at a time when the ring changes
    replace: bool = False  # if the disk was lost: wait for KV.CLUSTER REPLACE instead of ending
    joining: bool = False  # begin as nobody, and wait to be taken in (KV.CLUSTER JOIN, REPLACE)
    client: str = "127.0.0.1:7000"
    peer: str = "127.0.0.1:7100"
    http: str = ""  # "host:port" for /health, /metrics and /ring; "" for none
    data: str = "data"
    snapshots: str = ""  # where KV.CLUSTER SNAPSHOT writes; "": beside `data`, with .snapshots at its end
    cluster: str = "quorate"  # its name; hashes of trees are keyed with it
    default: BucketConfig = BucketConfig(DEFAULT_BUCKET, "register", 1, 1, 1, "none")
    buckets: tuple[BucketConfig, ...] = ()
    password: str | None = None  # peers prove it; without `users` clients log in with it, as "default"
    users: tuple[User, ...] = ()  # who may log in, if it is not "default" with the password
    tls: TlsConfig | None = None
    secret: str = ""  # signs what clients carry (`kvstore.contexts`); the same on every node
    protected_mode: bool = True  # refuse to serve other machines without a password
    log_format: str = "text"  # or "json": one object a line (`kvstore.server_log`)
    clock: str = "hlc"  # "wall": order versions by the bare wall clock, deliberately
    request_timeout_ms: float = 1000.0
    login_timeout_ms: float = 10_000.0  # a client that has not logged in by then is closed
    heartbeat_ms: float = 500.0
    gossip_ms: float = 1000.0  # 0: none
    anti_entropy_ms: float = 10_000.0  # between two comparisons of trees; 0: none, and no tombstone is purged
    scrub_ms: float = 10_000.0  # between two partitions that are read again; 0: none
    tombstone_grace_ms: float = 864_000_000.0  # ten days
    hint_window_ms: float = 10_800_000.0  # three hours: a replica that is away for longer gets no more hints
    hint_bytes_max: int = 256 << 20  # per target
    hint_bytes_per_s: int = 1 << 20  # handed to one target
    max_clock_skew_ms: float = 10_000.0
    max_clients: int = 10_000  # connected at once; above it OVERLOADED, as for the next two
    max_request_bytes: int = 256 << 20  # of large requests, in progress or half here
    max_requests: int = 10_000  # in progress at once; above it OVERLOADED
    max_value_bytes: int = 1 << 20
    bugs: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        """Without the password and the secret."""
        shown = [(field.name, getattr(self, field.name)) for field in msgspec.structs.fields(self)]
        return f"NodeConfig({', '.join(f'{k}={v!r}' for k, v in shown if k not in SECRET)})"

    @property
    def open_to_all(self) -> bool:
        """Whether clients need not log in."""
        return self.password is None and not self.users

    @property
    def members(self) -> tuple[str, ...]:
        """Every node's name, this one's included, sorted."""
        return tuple(sorted({self.name, *self.peers}))


def majority(n: int) -> int:
    """The smallest count of n of which any two sets meet."""
    return n // 2 + 1


def bucket(
    name: str,
    mode: str = "register",
    *,
    n: int = 3,
    r: int | None = None,
    w: int | None = None,
    read_repair: str | None = None,
    sloppy: bool = False,
    type: str | None = None,  # noqa: A002
    durability: str = USUAL,
    ttl_s: int = 0,
) -> BucketConfig:
    """A checked bucket; what is None takes the mode's default. Raises ConfigError."""
    where = f'bucket "{name}"'
    if not name or any(c.isspace() for c in name):
        raise ConfigError(
            f'The bucket name "{name[:300]}" is empty or has spaces; choose a name such as "cart".'
        )
    if len(name) > BUCKET_NAME_MAX:
        raise ConfigError(
            f'The bucket name "{name[:40]}…" has {len(name)} letters; choose one of {BUCKET_NAME_MAX} at most.'
        )
    if name.startswith("!"):
        raise ConfigError(
            f'The bucket name "{name}" begins with "!", as the store\'s own do; choose another.'
        )
    choice(where, "mode", mode, MODES)
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= 32:
        raise ConfigError(f"In {where}, n = {n!r} is not a count of replicas; choose n between 1 and 32.")
    usual = 1 if mode in ("eventual", "session") else majority(n)
    r = _count(where, "r", usual if r is None else r, n)
    w = _count(where, "w", usual if w is None else w, n)
    if mode in ATOMIC and min(r, w) < majority(n):
        raise ConfigError(
            f"In {where}, r = {r} and w = {w} with n = {n}: mode {mode} needs majorities, so choose both "
            f"between {majority(n)} and {n}, or leave them out."
        )
    if read_repair is None:
        read_repair = {"monotonic": "blocking", "register": "none", "cas": "none"}.get(mode, "async")
    choice(where, "read_repair", read_repair, READ_REPAIRS)
    if mode == "monotonic" and read_repair != "blocking":
        raise ConfigError(
            f'In {where}, mode monotonic rests on read_repair = "blocking", but it is "{read_repair}"; '
            f"leave it out, or choose mode quorum."
        )
    if mode == "monotonic" and r + w <= n:
        raise ConfigError(
            f"In {where}, r = {r} and w = {w} with n = {n}: mode monotonic needs r + w > n, so that every "
            f"read meets what an earlier one repaired; raise one of them, or leave both out."
        )
    if mode in ATOMIC and read_repair != "none":
        raise ConfigError(
            f"In {where}, mode {mode} writes back in its own read, so read_repair = "
            f'"{read_repair}" has no meaning; leave it out.'
        )
    typed(f"sloppy of {where}", sloppy, bool)
    if sloppy and mode not in SLOPPY_MODES:
        raise ConfigError(
            f"In {where}, mode {mode} cannot be sloppy: stand-ins would acknowledge writes that its reads do not meet, and it "
            f"promises that they do; leave sloppy out, or choose mode {' or '.join(SLOPPY_MODES)}."
        )
    durability_checked(where, durability, atomic=mode in ATOMIC, mode=mode)
    ttl_checked(where, ttl_s, mode, mortal=CLASSES[mode] == "lww")
    return BucketConfig(name, mode, n, r, w, read_repair, sloppy, _type(where, mode, type), durability, ttl_s)


def _type(where: str, mode: str, given: str | None) -> str:
    if mode == "crdt":
        if given is None:
            raise ConfigError(f"In {where}, mode crdt needs a type; choose from {', '.join(TYPES)}.")
        choice(where, "type", given, TYPES)
        return given
    usual = "mv-register" if mode == "siblings" else ""
    if given not in (None, usual):
        raise ConfigError(f'In {where}, type = "{given}" has a meaning in mode crdt only; leave it out.')
    return usual


def node_config(
    name: str, peers: Mapping[str, str], *, bugs: Iterable[str] = (), **fields: Any
) -> NodeConfig:
    """A checked NodeConfig. `peers` may name this node too. Raises ConfigError."""
    if not name:
        raise ConfigError('The node has no name; give one, such as name = "n1".')
    others = {node: address for node, address in sorted(peers.items()) if node != name}
    members = len(others) + 1
    fields.setdefault("default", bucket(DEFAULT_BUCKET, n=min(3, members)))
    config = NodeConfig(name, others, bugs=frozenset(bugs), **fields)
    _check(config)
    return config


def from_toml(text: str, source: str = "the configuration") -> NodeConfig:
    """The configuration written in `text`; `source` names it in errors. Raises ConfigError."""
    try:
        return _from_table(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        lines = text.split("\n")
        end = f"at line {len(lines)}, column {len(lines[-1]) + 1}, the end"
        what = str(error).replace("at end of document", end)
        raise ConfigError(f"{source} is not TOML: {what}; correct that line.") from None
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    except (
        ValueError,
        RecursionError,
    ) as error:  # a number of thousands of digits; a list in a list in a list …
        raise ConfigError(f"{source} cannot be read: {error}; correct it.") from None


def _from_table(table: dict[str, Any]) -> NodeConfig:
    known = [field.name for field in msgspec.structs.fields(NodeConfig)]
    known[known.index("default")] = "bucket"
    known_keys("the top level", table, known)
    if "name" not in table:
        raise ConfigError('There is no name; add a line such as name = "n1".')
    fields = dict(table)
    name, peers = fields.pop("name"), fields.pop("peers", {})
    typed("name", name, str)
    typed("peers", peers, dict)
    for node, address in peers.items():
        typed(f"peers.{node}", address, str)
    if "bucket" in fields:
        size = min(3, len({name, *peers}))
        fields["default"] = _bucket_from(DEFAULT_BUCKET, fields.pop("bucket"), size)
    if "users" in fields:
        fields["users"] = users_from(fields["users"])
    if "tls" in fields:
        fields["tls"] = tls_from_table(fields["tls"])
    if "buckets" in fields:
        tables = fields["buckets"]
        typed("buckets", tables, dict)
        fields["buckets"] = tuple(_bucket_from(each, tables[each], 3) for each in tables)
    return node_config(name, peers, **fields)


def _bucket_from(name: str, table: Any, n: int) -> BucketConfig:
    typed(f'bucket "{name}"', table, dict)
    known_keys(f'bucket "{name}"', table, list(BucketConfig.__struct_fields__[1:]))
    for key in ("n", "r", "w"):
        if key in table:
            typed(f'{key} of bucket "{name}"', table[key], int)
    return bucket(name, **{"n": n, **table})


_ADDRESS = re.compile(r"(?:[A-Za-z0-9_.%:-]{1,253}|\[[A-Za-z0-9.%:]{1,253}\]):([0-9]{1,5})")
_TEXT = ("client", "peer", "http", "data", "snapshots", "clock", "cluster")


def _check(config: NodeConfig) -> None:
    for field in _TEXT:
        typed(field, getattr(config, field), str)
    if config.password is not None:
        typed("password", config.password, str)
    typed("secret", config.secret, str)
    typed("protected_mode", config.protected_mode, bool)
    for field in (*DURATIONS_MS, *COUNTS):
        number_checked(field, getattr(config, field))
    choice("the node", "clock", config.clock, CLOCKS)
    choice("the node", "log_format", config.log_format, LOG_FORMATS)
    for address in (config.client, config.peer, *filter(None, [config.http]), *config.peers.values()):
        address_checked(address)
    for name in sorted(config.bugs):
        if name not in seeded.TABLE:
            raise ConfigError(f'There is no seeded bug "{name}"; choose from {", ".join(seeded.TABLE)}.')
    names = [config.default.name, *(each.name for each in config.buckets)]
    for each in names:
        if names.count(each) > 1:
            raise ConfigError(f'Two buckets are named "{each}"; rename one.')


def address_checked(address: str) -> str:
    """The address, if it is host:port. Raises ConfigError."""
    found = _ADDRESS.fullmatch(address)
    if found is None or int(found[1]) > 65535:
        raise ConfigError(f'The address "{address[:300]}" is not host:port, such as "127.0.0.1:7000".')
    return address


def _count(where: str, field: str, value: object, n: int) -> int:
    if type(value) is not int or value < 1:
        raise ConfigError(
            f"In {where}, {field} = {value!r} is not a count of replicas, choose {field} between 1 and {n}."
        )
    if value > n:
        raise ConfigError(
            f"In {where}, {field} = {value} is more than n = {n}, and no key has more than n replicas; "
            f"choose {field} between 1 and {n}."
        )
    return value
