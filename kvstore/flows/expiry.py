"""Deadlines: a value that ends at an instant of the wall clock, whoever is asked.

    SET x v PX 5000     version (write 17@a, until 12:00:05)                    expired: the version is its own tombstone
    EXPIRE x 60         version (write 17@a, touched 23, until 12:01:00)        the same write, so the same value, and newer
    PERSIST x           version (write 17@a, touched 31, no deadline)
    SET x w             version (write 42@b)                                    newer than all of these: no deadline

The deadline is absolute and part of the version (`events.Tag`), so replicas agree byte for byte, at any time; only what a client
is told depends on a clock, that of the node it asks. Clocks that differ by d make nodes differ for d around a deadline.

To give a value another deadline is not to write it anew. That would make one value visible under two writes, and where somebody has
written another value meanwhile, the old one would come back under the newer version (`kvstore.flows.register` has the same rule). Here
the write that came meanwhile is newer than anything that touches the one before it.

Classes register and cas have none: two nodes with different clocks would tell "there", "gone", "there", which is no order of one register.
Siblings and CRDTs have none: their states only grow, and a deadline of one sibling says nothing about the others. Redis keeps an
absolute deadline as well (https://redis.io/docs/latest/commands/expire); Cassandra's cells have one each (CASSANDRA-699).
"""

from __future__ import annotations

from kvstore.events import NO_TAG
from kvstore.flows.lww import reach, settle, write
from kvstore.flows.steps import Ask, Flow, Issue, Op, newest, shown
from kvstore.messages import Query, Store


def touch(op: Op, expires_ms: int) -> Flow:
    """Give the newest version this deadline (0: none) at W replicas. `op.existed` says whether there was anything to do."""
    ask = Ask(Query, op.replicas, op.r)
    yield ask
    if op.floor > NO_TAG:
        yield from reach(op, ask)
    best = newest(ask)
    op.tag, value = best.tag, shown(op, best)
    op.value = value
    op.existed = value is not None and (expires_ms > 0 or best.tag.expires_ms > 0)
    if op.existed:
        issued = yield Issue(best.tag.latest)
        op.tag = best.tag._replace(touched=issued.hlc, expires_ms=expires_ms)
        ask = Ask(Store, op.replicas, op.w, op.tag, value)
        yield ask
        op.acks = len(ask.answers)
    else:  # the answer is that of a read
        yield from settle(op, ask, best)
    op.answer()


def rewrite(op: Op) -> Flow:
    """Write `op.value` with the deadline of the newest version of R replicas. A deadline that is changed meanwhile is lost, as any change is that a write overtakes."""
    ask = Ask(Query, op.replicas, op.r)
    yield ask
    if op.floor > NO_TAG:
        yield from reach(op, ask)
    best = newest(ask)
    yield from write(op, best.tag.expires_ms if shown(op, best) is not None else None)
