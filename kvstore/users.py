"""Who may do what: users with hashed passwords, and the category each command belongs to.

    [users.shop]                         a user of every node; nobody else may come in
    hash = "scrypt:14:8:1:<salt>:<key>"  made by `quorate cluster hash-password`
    may = ["read", "write"]              of read, write, admin, cluster

Redis' terms (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl): a user is permitted categories
of commands. Commands about the connection itself (PING, CLIENT, SELECT …) are everybody's who is logged in. A command
that is in no category is `admin`: whoever adds one must say so here before others may use it.

Scrypt (Percival 2009, RFC 7914) makes each guess at a stolen hash cost 16 MiB and tens of milliseconds.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

import msgspec

CATEGORIES = ("read", "write", "admin", "cluster")
CONNECTION = "connection"
SALT_BYTES = 16
WORD_MAX = 256  # bytes of a name or a password: what is being checked is held for whoever sent it
_LOG2_N, _R, _P = 14, 8, 1
_KEY_BYTES = 32
_MEMORY_BYTES = 64 << 20

_COMMANDS = {
    CONNECTION: "ACL-WHOAMI AUTH CLIENT CLUSTER COMMAND ECHO HELLO KV.SESSION KV.USE PING QUIT READONLY READWRITE RESET SELECT TIME",
    "read": "DBSIZE EXISTS EXPIRETIME GET KV.BUCKET-LIST KV.BUCKET-SHOW KV.CTX KV.GET KV.MAP.GET KV.RAW KV.WHERE MGET PEXPIRETIME PTTL SCAN SCARD "
    "SISMEMBER SMEMBERS STRLEN TTL TYPE",
    "write": "APPEND DECR DECRBY DEL EXPIRE EXPIREAT GETEX GETSET INCR INCRBY KV.APPEND KV.CAS KV.COUNTER.ADD KV.DEL KV.FLAG KV.INCR KV.MAP.ADD KV.MAP.DEL "
    "KV.MAP.ON KV.MAP.REM KV.MAP.SET KV.PUT KV.SET.ADD KV.SET.REM MSET PERSIST PEXPIRE PEXPIREAT PSETEX SADD SET SETEX SETNX SREM UNLINK",
    "admin": "ACL-CAT ACL-USERS CONFIG INFO KV.BUCKET-CREATE KV.NODE",
    "cluster": "KV.CLUSTER",
}
CATEGORY = {
    name.replace("-", " ").encode(): category
    for category, names in _COMMANDS.items()
    for name in names.split()
}


class HashError(Exception):
    """A text is no password hash: one sentence."""


class User(msgspec.Struct, frozen=True):
    """Somebody who may log in. `may` is a set of CATEGORIES."""

    name: str
    hash: str
    may: frozenset[str]

    def __repr__(self) -> str:
        return f"User({self.name!r}, may={sorted(self.may)})"


def category(args: tuple[bytes, ...]) -> str:
    """The category of a command; of KV.BUCKET and ACL it depends on their subcommand."""
    name = args[0].upper()
    found = CATEGORY.get(name)
    if found is None and len(args) > 1:
        found = CATEGORY.get(b"%b %b" % (name, args[1].upper()))
    return found or "admin"


def permitted(may: frozenset[str], args: tuple[bytes, ...]) -> bool:
    """Whether somebody with these categories may give the command."""
    found = category(args)
    return found == CONNECTION or found in may


def hash_password(password: bytes, salt: bytes) -> str:
    """The password's hash, for a configuration file. `salt`: SALT_BYTES from the system's source of randomness."""
    key = _scrypt(password, salt, _LOG2_N, _R, _P)
    return f"scrypt:{_LOG2_N}:{_R}:{_P}:{base64.b64encode(salt).decode()}:{base64.b64encode(key).decode()}"


def matches(hashed: str, password: bytes) -> bool:
    """Whether this is the password. Takes tens of milliseconds and 16 MiB, and the same time for a wrong one."""
    log2_n, r, p, salt, key = _parts(hashed)
    return hmac.compare_digest(_scrypt(password, salt, log2_n, r, p), key)


def hash_checked(hashed: str) -> str:
    """The hash, if it is one that costs neither too little to guess nor too much to check. Raises HashError."""
    try:
        log2_n, r, p, salt, key = _parts(hashed)
    except ValueError:
        raise HashError(
            "it is not scrypt:14:8:1:<salt>:<key>; make one with `quorate cluster hash-password`"
        ) from None
    if not (12 <= log2_n <= 17 and 8 <= r <= 16 and 1 <= p <= 4 and 128 * r << log2_n < _MEMORY_BYTES):
        raise HashError("its cost is out of bounds; make another with `quorate cluster hash-password`")
    if len(salt) < 8 or len(key) != _KEY_BYTES:
        raise HashError("its salt or key is too short; make another with `quorate cluster hash-password`")
    return hashed


def _parts(hashed: str) -> tuple[int, int, int, bytes, bytes]:
    try:
        name, log2_n, r, p, salt, key = hashed.split(":")
        if name != "scrypt":
            raise ValueError(name)
        return int(log2_n), int(r), int(p), *(base64.b64decode(each, validate=True) for each in (salt, key))  # type: ignore[return-value]
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _scrypt(password: bytes, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        password, salt=salt, n=1 << log2_n, r=r, p=p, maxmem=2 * _MEMORY_BYTES, dklen=_KEY_BYTES
    )


def nobody_like(hashed: str) -> str:
    """A hash that no password is known to match, and that takes as long to check as this one."""
    return ":".join(
        [
            *hashed.split(":")[:4],
            base64.b64encode(bytes(SALT_BYTES)).decode(),
            base64.b64encode(bytes(_KEY_BYTES)).decode(),
        ]
    )
