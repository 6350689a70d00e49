"""A linearizable register per key: multi-writer ABD (Attiya, Bar-Noy, Dolev 1995; Lynch and Shvartsman 1997).

    write   ──Query──► majority: the greatest tag t         read   ──Query──► majority: the greatest (t, v)
            t' > t     ──Store──► majority                         ──Store (t, v)──► majority, then answer v

Why the query: a write's tag must beat every completed write, and no clock knows those. Why the write-back: a
version that a read has returned must be met by every later read, and so be at a majority first. It is skipped
only when a majority *of the replica set* already reported that tag, and never while the partition moves: a majority of its
old replicas may be a minority of the new ones.

A value never becomes visible under two tags: once stored, it keeps its tag, whatever is found to be newer.
"""

from __future__ import annotations

from kvstore.config import majority
from kvstore.events import Tag
from kvstore.flows.steps import Ask, Flow, Issue, Op, newest, unsettled, without
from kvstore.messages import Query, Store


def write(op: Op) -> Flow:
    """Store `op.value` (None deletes) under a tag greater than that of every completed write."""
    if "register.one_phase_write" in op.bugs:
        op.tag = yield Issue(0)
    elif "register.optimistic_retag" in op.bugs:
        yield from _optimistic(op)
        return
    else:
        ask = Ask(Query, op.replicas, op.r)
        yield ask
        best = newest(ask)
        op.existed = best.value is not None
        op.tag = yield Issue(best.tag.hlc)
    ask = Ask(Store, op.replicas, op.w, op.tag, op.value)
    yield ask
    op.acks = len(ask.answers)
    op.answer()


def read(op: Op) -> Flow:
    """The value of the greatest tag, which a majority holds when the answer goes out."""
    ask = Ask(Query, op.replicas, op.r)
    yield ask
    best = newest(ask)
    missing = unsettled(op, ask, best.tag, majority(len(op.replicas)))
    if missing > 0 and "register.read_no_writeback" not in op.bugs:
        yield Ask(Store, without(ask, best.tag), missing, best.tag, best.value)
    op.tag, op.value = best.tag, best.value
    op.answer()


def _optimistic(op: Op) -> Flow:
    """The seeded bug `register.optimistic_retag`."""
    tag: Tag = yield Issue(0)
    while True:
        ask = Ask(Store, op.replicas, op.w, tag, op.value)
        yield ask
        seen = max(reply.tag for reply in ask.answers.values())
        if seen <= tag:
            break
        tag = yield Issue(seen.hlc)
    op.tag, op.acks = tag, len(ask.answers)
    op.answer()
