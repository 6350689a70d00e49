"""What a flow is made of.

A flow is a plain generator that coordinates one operation on one key. It *yields* what it waits for and reads
top to bottom; `kvstore.node` runs it:

    ask = Ask(Query, op.replicas, op.r)
    yield ask               # resumes when op.r replicas have answered; raises GaveUpError inside the flow
    newest(ask)             # if that cannot be, or the deadline has passed
    yield ask.rest()        # resumes when all have answered, or the deadline has passed; never raises
    tag = yield Issue(0)    # a new tag whose clock lease is durable
    yield Pause(ms)         # resumes after so long
    yield Turn()            # resumes when no other op of this node changes the key

Decision: requests go to all replicas at once, reads as well, and the first `need` answers count. A read thus
costs N messages and not R, but it needs no failure detector to choose whom to ask, has no second attempt
after a time-out, and its latency is that of the R fastest.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import msgspec

from kvstore.config import BucketConfig
from kvstore.events import NO_TAG, Tag, Value
from kvstore.messages import BucketOffer, BucketOpen, Query, QueryReply, Repair, Store
from kvstore.messages_cas import Accept, Prepare
from kvstore.messages_causal import Apply
from kvstore.quorum import Quorum

if TYPE_CHECKING:
    from kvstore.caspaxos import Ballots
    from kvstore.envelope import Effect, Request, Rid

Make = Callable[[int, int, float], msgspec.Struct]  # of the request, the ring epoch, the milliseconds left
Kind = (
    type[Query]
    | type[Store]
    | type[Repair]
    | type[Prepare]
    | type[Accept]
    | type[Apply]
    | type[BucketOffer]
    | type[BucketOpen]
)


class GaveUpError(Exception):
    """The quorum a flow waits for cannot be had. `code` is a row of `kvstore.errors.TABLE`."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Ask(Quorum):
    """Send a request of this kind to `replicas` and wait for `need` answers;

    with `need` 0 it wants no reply.
    """

    __slots__ = ("kind", "make", "op", "patient", "request", "tag", "value")

    def __init__(
        self,
        kind: Kind,
        replicas: tuple[str, ...],
        need: int,
        tag: Tag = NO_TAG,
        value: bytes | None = None,
        make: Make | None = None,
    ) -> None:
        Quorum.__init__(self, replicas, need)
        self.kind = kind
        self.make = make  # makes the message of a kind the coordinator does not know
        self.tag = tag
        self.value = value
        self.request = 0  # given by the node
        self.patient = False
        self.op: Op | None = None  # likewise

    def rest(self) -> Ask:
        """The same question, now waiting for everybody."""
        self.patient = True
        return self


class Issue:
    """Wait for a new tag: greater than `after`, or, with None, whatever the bucket's clock says."""

    __slots__ = ("after",)

    def __init__(self, after: int | None = None) -> None:
        self.after = after


class Pause:
    """Wait so many milliseconds, or until the deadline."""

    __slots__ = ("ms",)

    def __init__(self, ms: float) -> None:
        self.ms = ms


class Turn:
    """Wait until no other op of this node that took its turn is busy with the key; it is given back at the op's end."""

    __slots__ = ()


Step = Ask | Issue | Pause | Turn
Flow = Generator[Step, Any, Any]


class Op:
    """One operation on one key, as its coordinator sees it."""

    __slots__ = (
        "accepting",
        "acks",
        "answered",
        "ballots",
        "bucket",
        "bugs",
        "change",
        "deadline",
        "done",
        "effect",
        "existed",
        "floor",
        "flow",
        "index",
        "key",
        "more",
        "mutated",
        "partition",
        "r",
        "replicas",
        "report",
        "rid",
        "shape",
        "stored",
        "tag",
        "turn",
        "value",
        "w",
        "waiting",
        "writes",
    )

    def __init__(
        self,
        bucket: BucketConfig,
        key: bytes,
        partition: int,
        replicas: tuple[str, ...],
        shape: Callable[[Op], Value],
        *,
        value: bytes | None = None,
        writes: bool = False,
    ) -> None:
        self.bucket = bucket
        self.key = key
        self.partition = partition
        self.replicas = replicas
        self.r = bucket.r
        self.w = bucket.w
        self.value = value  # to write; after a read, what was read
        self.shape = shape  # makes the client's answer out of this op
        self.writes = writes
        self.tag = NO_TAG  # of the version written or read
        self.acks = 0
        self.existed = False  # what a write saw before it wrote
        self.floor = NO_TAG  # what the client has seen: a read must not go below it
        self.more: Any = None  # what the bucket's class adds of its own
        self.bugs: frozenset[str] = frozenset()
        self.deadline = 0.0
        self.mutated = False  # a change was handed to the network or to storage: no definite error any more
        self.answered = False
        self.index = 0  # which part of a batch
        self.done = False
        self.waiting: Ask | None = None
        self.turn = False  # stands in the line of its key
        self.effect: Effect | None = None  # class cas: what to make of the state,
        self.rid: Rid | None = None  # the client's request id,
        self.accepting: Ask | None = None  # the newest accept,
        self.change: Request | None = None  # and what came of it
        self.ballots: Ballots  # given by the node
        self.stored: Ask | None = None  # the newest question that carried a version
        self.flow: Flow
        self.report: Callable[[Op, Value], None]  # given by the node: where the answer goes

    def answer(self) -> None:
        """The client may have its answer now; the flow may go on."""
        if not self.answered:
            self.answered = True
            self.report(self, self.shape(self))


def newest(ask: Ask) -> QueryReply:
    """The answer with the greatest tag. Ties carry the same value."""
    best: QueryReply | None = None
    for reply in ask.answers.values():
        if best is None or reply.tag > best.tag:
            best = reply
    assert best is not None
    return best


def holders(ask: Ask, tag: Tag) -> int:
    """How many of those who answered hold that version."""
    return sum(1 for reply in ask.answers.values() if reply.tag == tag)


def without(ask: Ask, tag: Tag) -> tuple[str, ...]:
    """The replicas not known to hold that version: behind, silent or refusing."""
    answers = ask.answers
    return tuple(r for r in ask.replicas if r not in answers or answers[r].tag != tag)


def behind(ask: Ask, tag: Tag) -> tuple[str, ...]:
    """The replicas that answered with an older version."""
    return tuple(r for r, reply in ask.answers.items() if reply.tag < tag)
