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
    yield Durable(ticket)   # resumes when that write, and all before, are durable

When the ring changes meanwhile, a question is asked again under the new epoch, by the coordinator and unseen by the flow:
answers of two epochs never make one quorum. A proposer of CASPaxos is told (`GaveUpError.replanned`) and begins anew.

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
from kvstore.invariants import one_value
from kvstore.messages import BucketOffer, BucketOpen, Query, QueryReply, Repair, Store
from kvstore.messages_cas import Accept, Nack, Prepare
from kvstore.messages_causal import Apply, OtherLife
from kvstore.messages_ring import TakeSnapshot
from kvstore.quorum import Quorum

if TYPE_CHECKING:
    from kvstore.caspaxos import Ballots
    from kvstore.envelope import Effect, Request, Rid
    from kvstore.holds import Holds
    from kvstore.view import Plan

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
    | type[TakeSnapshot]
)


class GaveUpError(Exception):
    """The quorum a flow waits for cannot be had. `code` is a row of `kvstore.errors.TABLE`."""

    def __init__(self, code: str, text: str, *, replanned: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.replanned = replanned  # only the ring has changed: try again


class Ask(Quorum):
    """Send a request of this kind to `replicas` and wait for `need` answers;

    with `need` 0 it wants no reply.
    """

    __slots__ = (
        "aside", "kind", "make", "op", "outbid", "patient", "request", "stale", "tag", "then", "tries", "value",
    )  # fmt: skip

    def __init__(
        self,
        kind: Kind,
        replicas: tuple[str, ...],
        need: int,
        tag: Tag = NO_TAG,
        value: bytes | None = None,
        make: Make | None = None,
        then: Tag = NO_TAG,
    ) -> None:
        Quorum.__init__(self, replicas, need)
        self.kind = kind
        self.make = make  # makes the message of a kind the coordinator does not know
        self.tag = tag
        self.value = value
        self.aside: dict[str, str] = {}  # who among `replicas` stands in for which owner: kvstore.sloppy
        self.then = then  # of an Accept: the ballot to be promised with it
        self.request = 0  # given by the node
        self.patient = False
        self.tries = 0  # how often those who were silent have been asked again
        self.outbid = False  # given up, for a higher ballot is promised: the proposer has to beat that
        self.stale = False  # refused by a replica that has adopted a later epoch
        self.op: Op | None = None  # likewise

    def silent(self) -> list[str]:
        """Whom to ask again: those who have said nothing."""
        return [each for each in self.replicas if each not in self.answers and each not in self.refusals]

    def lacking(self) -> str:
        """What it did not get, for an error."""
        return f"{len(self.answers)} of {self.need} replicas answered in time"

    def rest(self) -> Ask:
        """The same question, now waiting for everybody."""
        self.patient = True
        return self

    def again(self) -> Ask:
        """The same question as if it had not been asked."""
        self.request = 0
        self.answers.clear()
        self.refusals.clear()
        self.tries, self.outbid = 0, False
        self.sets = None
        self.stale = False
        return self

    def overtaken(self, alive: Callable[[str], bool]) -> bool:
        """Whether a higher ballot is promised somewhere, and nobody who is silent is likely to make up for it; noted in `outbid`.

        A quorum might still be had, of a dead replica if it came back. The next round need not wait for that, and giving up a round is always safe.
        """
        if self.refusals and any(type(refusal) is Nack for refusal in self.refusals.values()):
            silent = (r for r in self.replicas if r not in self.answers and r not in self.refusals)
            self.outbid = self.tries > 1 or not any(map(alive, silent))
        return self.outbid


class Tell(Ask):
    """A message of another kind, `kind(request, *body)`, to nodes; done when `enough` says so of those who answered."""

    __slots__ = ("body", "enough")

    def __init__(
        self,
        kind: type[Any],
        nodes: tuple[str, ...],
        body: tuple[Any, ...],
        enough: Callable[[dict[str, Any]], bool],
    ) -> None:
        Ask.__init__(self, kind, nodes, 1)
        self.body = body
        self.enough = enough
        self.sets = ()

    def silent(self) -> list[str]:
        """Those who have refused, too: they may have come round."""
        self.refusals.clear()
        return Ask.silent(self)

    def lacking(self) -> str:
        """Who did not answer; perhaps not all of them are needed."""
        return f"no answer in time from {', '.join(r for r in self.replicas if r not in self.answers)}"

    @property
    def satisfied(self) -> bool:
        """Enough have answered."""
        return self.enough(self.answers)

    @property
    def hopeless(self) -> bool:
        """Never: who is silent or refuses may yet come round, until the deadline."""
        return False


class Durable:
    """Wait until everything written up to this ticket is durable."""

    __slots__ = ("ticket",)

    def __init__(self, ticket: int) -> None:
        self.ticket = ticket


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


Step = Ask | Issue | Pause | Turn | Durable
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
        "holds",
        "index",
        "key",
        "more",
        "mutated",
        "partition",
        "plan",
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
        "wall_ms",
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
        self.plan: Plan | None = (
            None  # how the ring served the partition when it was last asked; None: not about a key
        )
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
        self.wall_ms = 0.0  # the node's clock when it began: what has expired by then is gone
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
        self.holds: Holds | None = None  # likewise
        self.stored: Ask | None = None  # the newest question that carried a version
        self.flow: Flow | None = None  # from its launch to its end
        self.report: Callable[[Op, Value], None]  # given by the node: where the answer goes

    @property
    def moving(self) -> bool:
        """The partition is in transit, so no short cut may be taken."""
        return self.plan is not None and len(self.plan.writes) > 1

    def answer(self) -> None:
        """The client may have its answer now; the flow may go on."""
        if not self.answered:
            self.answered = True
            self.report(self, self.shape(self))


def newest(ask: Ask) -> QueryReply:
    """The answer with the greatest tag. Ties carry the same value, or the node stops."""
    best: QueryReply | None = None
    for reply in ask.answers.values():
        if best is None or reply.tag > best.tag:
            best = reply
        elif reply.value != best.value and reply.tag == best.tag:
            what = "" if ask.op is None else f"key {ask.op.key!r} in {ask.op.bucket.name}"
            one_value(what, best.tag, best.value, reply.value)
            best = reply if best.value is None else best
    assert best is not None
    return best


def shown(op: Op, version: QueryReply) -> bytes | None:
    """What a client is told of a version: no value once its deadline has passed."""
    return None if version.tag.expired(op.wall_ms) else version.value


def holders(ask: Ask, tag: Tag) -> int:
    """How many of those who answered hold that version."""
    return sum(1 for reply in ask.answers.values() if reply.tag == tag)


def unsettled(op: Op, ask: Ask, tag: Tag, need: int) -> int:
    """How many more replicas must hold a version before it may be shown, if `need` have to.

    While the partition moves: as many as a write needs, of every set, whoever has answered so far.
    """
    return op.w if op.moving else need - holders(ask, tag)


def without(ask: Ask, tag: Tag) -> tuple[str, ...]:
    """The replicas not known to hold that version: behind, silent or refusing."""
    answers = ask.answers
    return tuple(r for r in ask.replicas if r not in answers or answers[r].tag != tag)


def behind(ask: Ask, tag: Tag) -> tuple[str, ...]:
    """The replicas that answered with an older version."""
    return tuple(r for r, reply in ask.answers.items() if reply.tag < tag)


def owed(ask: Ask) -> tuple[str, ...]:
    """The replicas that have not acknowledged; nobody owes a stand-in anything."""
    return tuple([r for r in ask.replicas if r not in ask.answers and r not in ask.aside])


def refused_by(ask: Ask) -> GaveUpError:
    """Why a quorum is hopeless: the refusals' own code if they agree, else NOQUORUM."""
    codes, texts = set(), []
    for replica, reply in sorted(ask.refusals.items()):
        if type(reply) is Nack:
            code, text = "NOQUORUM", "a higher ballot is promised"
        elif type(reply) is OtherLife:
            code, text = "NOQUORUM", "it was restarted meanwhile"
        else:
            code, text = reply.code, reply.text
        codes.add(code)
        texts.append(f"{replica}: {text}")
    return GaveUpError(codes.pop() if len(codes) == 1 else "NOQUORUM", "refused by " + "; ".join(texts))
