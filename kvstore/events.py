"""What goes into a node and what comes out: the whole border between deciding and doing.

                     ┌────────────────────────────┐
    Command, Closed ►│                            │► Reply, Close      to clients
    Deliver         ►│  Node.step(clock, event)   │► Send              to peers
    Fired           ►│  no socket, file, clock,   │► SetTimer
    Committed       ►│  thread or random of its   │► Write             to storage; `Committed(ticket)` answers it
    Drain, Verified ►│  own                       │► Log, Verify
    Snapshotted     ►│                            │► Snapshot
                     └────────────────────────────┘

Rule 1. Whoever drives a node (the server, the simulator) performs effects in the order given.
Rule 2. A Write is durable only when its `Committed` event has come back; the node itself keeps back the replies and
acknowledgements that must not precede durability. The driver may commit many tickets at once (group commit) and then
reports only the highest: `Committed(t)` covers every ticket <= t. A Write that is not `awaited` (`kvstore.durability`) counts
as committed once it is readable; it is durable when its time is up, and before any later Write that is awaited.
Rule 3. Reads of storage are synchronous, through the `Reader` given at birth, and see every Write already *emitted*
(the node keeps the uncommitted ones in an overlay of its own; a Reader knows committed ones only).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec


class Clock(msgspec.Struct, frozen=True, gc=False):
    """The time as the driver reads it just before a step."""

    mono_ms: float  # monotonic; for time-outs only
    wall_ms: float  # the node's wall clock; may jump, lie or run backwards


class Tag(NamedTuple):
    """A version: hybrid logical clock (48 bits of ms, 16 of counter), then node, then incarnation. Ordered as a tuple.

    Behind them its deadline (`kvstore.flows.expiry`): the time of the newest command that set one for this same write, and the wall
    ms at which it ends; 0 is none. So a later deadline is a later version, of a value that stays the same.
    """

    hlc: int
    node: str
    incarnation: int
    touched: int = 0
    expires_ms: int = 0

    @property
    def latest(self) -> int:
        """The newest clock in it: nobody whose clock is not behind it may have made it."""
        return self.hlc if self.hlc > self.touched else self.touched

    def expired(self, wall_ms: float) -> bool:
        """Whether its deadline has passed: then its value is gone, and this is its tombstone."""
        return 0 < self.expires_ms <= wall_ms


NO_TAG = Tag(0, "", 0)  # the version of a key that was never written
TOP_TAG = Tag((1 << 64) - 1, "\U0010ffff", (1 << 64) - 1)  # above every version: to erase whatever there is


class Record(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One stored version. `value` None is a tombstone."""

    bucket: str
    key: bytes
    tag: Tag
    value: bytes | None


class Meta(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One stored fact about the node itself: its incarnation, its clock lease, the ring document."""

    name: str
    value: bytes


class Erase(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Physical removal of a record whose tag is at most this one: not a deletion, which is a tombstone, but its end."""

    bucket: str
    key: bytes
    tag: Tag


class Damaged(msgspec.Struct, frozen=True, gc=False):
    """The place of a record that does not match its checksum, where a scan met it."""

    bucket: str
    key: bytes


ANY_SIZE: Final = 1 << 60


def size_of(rows: Iterable[Record | Damaged]) -> int:
    """Bytes of their keys and values."""
    return sum(len(row.key) + (len(row.value or b"") if isinstance(row, Record) else 0) for row in rows)


def full(rows: Sequence[Record | Damaged], limit: int, bytes_max: int = ANY_SIZE) -> bool:
    """Whether a scan with these limits may have left something behind its last row."""
    return len(rows) >= limit or (bytes_max < ANY_SIZE and size_of(rows) >= bytes_max)


class CorruptRecord(Exception):
    """A stored record does not match its checksum: answer ERROR, never "not found"."""


class Reader(Protocol):
    """Committed storage, read synchronously."""

    def get(self, bucket: str, key: bytes) -> Record | None:
        """The committed record, None when there is none. Raises CorruptRecord."""

    def meta(self, name: str) -> bytes | None:
        """A committed fact about the node itself."""

    def records(self) -> Iterable[Record]:
        """Every committed record, ordered by bucket, partition and key."""

    def scan(
        self, bucket: str, partition: int, after: bytes | None, limit: int, bytes_max: int = ANY_SIZE
    ) -> list[Record | Damaged]:
        """At most `limit` committed records of one partition, by key, beginning behind `after`, and none behind the one with which they
        have `bytes_max` (see `full`). Never raises for damage.
        """

    def buckets(self) -> list[str]:
        """Every bucket that has a committed record, sorted."""


# ---- events -------------------------------------------------------------------------------------------------------


class Command(msgspec.Struct, frozen=True, gc=False):
    """A client's command on connection `conn`: `args[0]` is its name. Replies carry the same `request`."""

    conn: int
    request: int
    args: tuple[bytes, ...]


class Closed(msgspec.Struct, frozen=True, gc=False):
    """The client's connection is gone; replies to it would go nowhere."""

    conn: int


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """A message from peer `src`. `message` is one of `kvstore.messages`."""

    src: str
    message: msgspec.Struct


class Fired(msgspec.Struct, frozen=True, gc=False):
    """A timer set earlier has run out."""

    timer: int


class Committed(msgspec.Struct, frozen=True, gc=False):
    """Every Write with a ticket <= this one is on disk; if it is not `awaited`, readable at least."""

    ticket: int


class Drain(msgspec.Struct, frozen=True, gc=False):
    """The node is to stop: it begins no further command, and what is in progress ends within `request_timeout_ms`."""


class Verified(msgspec.Struct, frozen=True, gc=False):
    """Whether the password of a Verify matches; None if there were too many to check."""

    conn: int
    good: bool | None


class Snapshotted(msgspec.Struct, frozen=True, gc=False):
    """The Snapshot of this label is on disk at `place`, whole; or is not, and `failure` says why."""

    label: str
    size: int = 0
    place: str = ""
    failure: str = ""


Event = Command | Closed | Deliver | Fired | Committed | Drain | Verified | Snapshotted


# ---- effects ------------------------------------------------------------------------------------------------------


class Simple(msgspec.Struct, frozen=True, gc=False):
    """A RESP simple string, such as OK."""

    text: str


class Failure(msgspec.Struct, frozen=True, gc=False):
    """A RESP error. `code` is a row of `kvstore.errors.TABLE`, which says whether it is definite."""

    code: str
    text: str


Value = (
    Simple | Failure | bytes | int | None | list["Value"] | dict[str, "Value"]
)  # dict: a RESP3 map, a flat array in RESP2


class Reply(msgspec.Struct, frozen=True, gc=False):
    """The answer to one Command. Replies of a connection may be given out of order; the server puts them in order."""

    conn: int
    request: int
    value: Value


class Close(msgspec.Struct, frozen=True, gc=False):
    """Close this client connection once its replies are out (QUIT)."""

    conn: int


class UseProtocol(msgspec.Struct, frozen=True, gc=False):
    """Encode later replies of this connection in RESP 2 or 3 (HELLO)."""

    conn: int
    version: int


class Verify(msgspec.Struct, frozen=True, gc=False):
    """Check a password against its hash (`kvstore.users`), which takes long; `Verified` answers it."""

    conn: int
    hash: str
    password: bytes

    def __repr__(self) -> str:
        return f"Verify({self.conn})"


class Send(msgspec.Struct, frozen=True, gc=False):
    """Send a message to a peer; it may be lost, delayed or, in the simulator, duplicated and reordered."""

    dst: str
    message: msgspec.Struct


class SetTimer(msgspec.Struct, frozen=True, gc=False):
    """Deliver `Fired(timer)` after so long on the monotonic clock. There is no cancel: a node ignores a stale one."""

    timer: int
    delay_ms: float


class Write(msgspec.Struct, frozen=True, gc=False):
    """Make these durable, together, then report `Committed(ticket)`. Tickets grow by one."""

    ticket: int
    rows: tuple[Record | Meta | Erase, ...]
    within_ms: float = 0.0  # by then the fsync is to begin; inf: whenever another Write needs one
    awaited: bool = True  # somebody is told only once it is durable

    @property
    def told_after(self) -> int:
        """The ticket to wait for before anybody is told of these rows; 0: none."""
        return self.ticket if self.awaited else 0


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """Copy all that is committed to a place of its own, as `kvstore.snapshots` says; `Snapshotted` answers it.

    The copy has these `facts`, and neither the facts `without` nor the records of the buckets `without_buckets`.
    """

    label: str
    facts: tuple[Meta, ...]
    without: tuple[str, ...]
    without_buckets: tuple[str, ...]


class Link(msgspec.Struct, frozen=True, gc=False):
    """There is a peer of this name at this "host:port" now: Sends to it may follow."""

    peer: str
    address: str


class Halt(msgspec.Struct, frozen=True, gc=False):
    """The node refuses to go on, for this reason: end the process."""

    text: str


class Log(msgspec.Struct, frozen=True, gc=False):
    """A line for the node's log. `event` says what kind it is, in one word."""

    text: str
    event: str = "note"


Effect = Reply | Close | UseProtocol | Verify | Send | SetTimer | Write | Snapshot | Link | Halt | Log
