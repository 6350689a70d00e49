"""A client connection's session, and the table that finds the handler of a command.

    args ──► TABLE[name] ──► a Value at once, or LATER: an op was launched and the session waits for it

A session runs its commands one after the other, so that a pipelined `SET x` and `GET x` mean what they say.
The handlers are in `kvstore.commands` (data) and `kvstore.commands_admin` (everything else).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from kvstore.config import BucketConfig, NodeConfig
from kvstore.events import NO_TAG, Command, Failure, Simple, Tag, Value
from kvstore.users import User, category, permitted

if TYPE_CHECKING:
    from kvstore.flows.steps import Op
    from kvstore.node import Node

QUEUE_MAX = 1024  # commands waiting on one connection
REFUSAL_MAX = 400  # letters of what a refusal says: whatever was sent, nobody reads more
KEYS_MAX = 4096  # whose versions one connection remembers


class Later:
    """The type of LATER."""


LATER = Later()
OK = Simple("OK")


class Session:
    """What a node remembers about one client connection."""

    __slots__ = (
        "authenticated",
        "beginning",
        "bucket",
        "busy",
        "closed",
        "conn",
        "has_defaults",
        "level",
        "login",
        "may",
        "name",
        "protocol",
        "queue",
        "r",
        "request",
        "seen",
        "track",
        "user",
        "w",
    )

    def __init__(self, conn: int, config: NodeConfig) -> None:
        self.conn = conn
        self.reset(config)
        self.request = 0  # of the command it is busy with
        self.busy = False
        self.beginning = False  # commands that waited are being begun, one after the other
        self.closed = False
        self.queue: deque[Command] = deque()

    def reset(self, config: NodeConfig) -> None:
        """As a fresh connection."""
        self.bucket = config.default.name
        self.authenticated = config.open_to_all
        self.user = "default"
        self.may: frozenset[str] | None = None  # categories of commands; None: all
        self.login: tuple[User | None, Callable[[], Value]] | None = None  # whose password is being checked
        self.name = b""
        self.protocol = 2
        self.level: str | None = None  # CL, R and W of KV.SESSION
        self.r: int | None = None
        self.w: int | None = None
        self.track = False
        self.seen: dict[tuple[str, bytes], Tag] = {}
        sessions = (config.default, *config.buckets)
        self.has_defaults = any(each.mode == "session" for each in sessions)

    def due(self) -> Iterator[Command]:
        """The commands that wait, until one keeps it busy. None to whoever asks within: a command that fails as it begins is not followed from inside."""
        if not self.beginning:
            self.beginning = True
            while self.queue and not self.busy:
                yield self.queue.popleft()
            self.beginning = False

    def tracks(self, bucket: BucketConfig) -> bool:
        """Whether what this connection sees of a bucket's keys binds its later reads."""
        return bucket.kind == "lww" and (self.track or bucket.mode == "session")

    def floor(self, bucket: str, key: bytes) -> Tag:
        """The version of a key that this connection must not read behind. Raises RefusalError when it cannot remember more."""
        found = self.seen.get((bucket, key))
        if found is None and len(self.seen) >= KEYS_MAX:
            raise RefusalError("OVERLOADED", f"a session remembers {KEYS_MAX} keys; open another connection")
        return found or NO_TAG

    def note(self, op: Op) -> None:
        """An op has told this connection a version."""
        if self.tracks(op.bucket) and op.tag > op.floor:
            place = (op.bucket.name, op.key)
            self.seen[place] = max(op.tag, self.seen.get(place, NO_TAG))


class RefusalError(Exception):
    """A command cannot be done; nothing was."""

    def __init__(self, code: str, text: str) -> None:
        said = text if len(text) <= REFUSAL_MAX else f"{text[:REFUSAL_MAX]} …"
        super().__init__(said)
        self.failure = Failure(code, said)


Handler = Callable[["Node", Session, tuple[bytes, ...]], Value | Later]


class Row(NamedTuple):
    """One command: what does it, how many arguments (name included; `most` 0 = any), allowed before AUTH."""

    handler: Handler
    least: int
    most: int
    open: bool = False


TABLE: dict[bytes, Row] = {}


def command(name: str, least: int, most: int, *, open: bool = False) -> Callable[[Handler], Handler]:  # noqa: A002
    """Enter a handler into the table."""

    def enter(handler: Handler) -> Handler:
        TABLE[name.encode()] = Row(handler, least, most, open)
        return handler

    return enter


def dispatch(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """Do one command."""
    if not args:
        return Failure("ERR", "empty command")
    row = TABLE.get(args[0]) or TABLE.get(args[0].upper())
    if row is None:
        return Failure("ERR", f"unknown command '{text(args[0][:64])}'")
    if not session.authenticated and not row.open:
        return Failure("NOAUTH", "authentication required; send AUTH")
    if session.may is not None and not row.open and not permitted(session.may, args):
        return Failure(
            "NOPERM", f"user {session.user} may not give '{category(args)}' commands, as this one is"
        )
    if len(args) < row.least or (row.most and len(args) > row.most):
        return Failure("ERR", f"wrong number of arguments for '{text(args[0]).lower()}'")
    try:
        return row.handler(node, session, args)
    except RefusalError as refusal:
        return refusal.failure


def text(data: bytes) -> str:
    """Bytes as text for a message."""
    return data.decode("utf-8", "backslashreplace")


def current(node: Node, session: Session) -> BucketConfig:
    """The session's bucket."""
    bucket = node.buckets.opened.get(session.bucket)
    if bucket is None:
        raise RefusalError("BADARG", f'no bucket "{session.bucket}" here; see KV.BUCKET LIST')
    return bucket


def positive(name: str, value: bytes) -> int:
    """A whole number above 0, or a refusal."""
    if not value.isdigit() or len(value) > 9 or int(value) == 0:
        raise RefusalError("BADARG", f"{name} '{text(value[:64])}' is not a whole number above 0")
    return int(value)
