"""Last writer wins: one-phase writes under the coordinator's clock (Dynamo's quorums).

    write   tag = my clock             ──Store──► all N, wait for W
    read    ──Query──► all N, wait for R, take the greatest tag, repair those behind

R + W > N makes every read meet every *acknowledged* write, and no more than that:

- A write that reached one replica only is seen by one read and missed by the next (new-old inversion), unless
  the read repairs before it answers: `read_repair = "blocking"`, mode monotonic.
- Mode session: a connection remembers the tag of what it read or wrote last, per key (`op.floor`); a read waits for
  replicas until one is at least as new, and a write takes a tag above it.
- A version may have a deadline (`kvstore.flows.expiry`); it is stored, compared and repaired as it is, and only what clients are
  told of it depends on the time.
- A write under a clock that is behind is acknowledged and lost at once, whatever the quorum: a replica that
  holds a greater tag ignores it, and must still acknowledge it, for "at least as new is durable here" is all
  it knows.
"""

from __future__ import annotations

from kvstore.events import NO_TAG
from kvstore.flows.steps import Ask, Flow, GaveUpError, Issue, Op, behind, newest, shown, unsettled, without
from kvstore.messages import Query, QueryReply, Repair, Store


def write(op: Op, expires_ms: int | None = None) -> Flow:
    """Store `op.value` (None deletes) at W replicas until that instant of the wall clock; 0: for good; None: for as long as is usual in the bucket."""
    if expires_ms is None:
        expires_ms = (
            int(op.wall_ms) + op.bucket.ttl_s * 1000 if op.bucket.ttl_s and op.value is not None else 0
        )
    op.tag = yield Issue(op.floor.hlc or None)
    if expires_ms:
        op.tag = op.tag._replace(expires_ms=expires_ms)
    ask = Ask(Store, op.replicas, op.w, op.tag, op.value)
    yield ask
    op.acks = len(ask.answers)
    op.answer()


def delete(op: Op) -> Flow:
    """Read, to say whether there was anything, then write a tombstone. The two are not one atomic step."""
    ask = Ask(Query, op.replicas, op.r)
    yield ask
    if op.floor > NO_TAG:
        yield from reach(op, ask)
    op.existed = shown(op, newest(ask)) is not None
    op.value = None
    yield from write(op)


def read(op: Op) -> Flow:
    """The newest version of R replicas."""
    ask = Ask(Query, op.replicas, op.r)
    yield ask
    if op.floor > NO_TAG:
        yield from reach(op, ask)
    best = newest(ask)
    op.tag, op.value = best.tag, shown(op, best)
    yield from settle(op, ask, best)
    op.answer()
    if op.bucket.read_repair == "async":
        yield ask.rest()
        best = newest(ask)
        stale = behind(ask, best.tag)
        if stale:
            yield Ask(Repair, stale, 0, best.tag, best.value)


def settle(op: Op, ask: Ask, best: QueryReply) -> Flow:
    """Where reads do not go back: see that W replicas have the version before anybody is told of it."""
    if op.bucket.read_repair == "blocking":
        missing = unsettled(op, ask, best.tag, op.w)
        if missing > 0:
            yield Ask(Repair, without(ask, best.tag), missing, best.tag, best.value)


def reach(op: Op, ask: Ask) -> Flow:
    """Wait for more answers until one is at least as new as what the session has seen: mode session."""
    while newest(ask).tag < op.floor:
        if ask.complete:
            raise GaveUpError(
                "NOQUORUM", "no replica that answered holds what this session has seen of the key"
            )
        ask.need = len(ask.answers) + 1
        yield ask
