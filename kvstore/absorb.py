"""What a replica makes of a version that comes from elsewhere: the one rule behind every way a record travels.

    Store, Repair, hint, stream, anti-entropy ──► absorb(class, mine, theirs) ──► the record to keep, or None: keep mine

Each class of bucket has its own rule, and each rule is commutative, associative and idempotent, so that it does not
matter by which way, how often and in which order versions arrive.

    lww, register    the greater tag stays
    cas              the greater ballot stays, as an accept that comes late: the acceptor (`kvstore.acceptor.take_in`)
                     takes it only if it has promised nothing higher
    siblings, crdt   the join of both states. The tag is the replica's own business: (local revision, node, actor epoch)
"""

from __future__ import annotations

from collections.abc import Callable

from kvstore.config import BucketConfig
from kvstore.crdt import NO_BUGS, decode, merge
from kvstore.events import Record, Tag
from kvstore.invariants import one_value

Rule = Callable[[Record | None, Record, frozenset[str]], Record | None]


def greater_tag(mine: Record | None, theirs: Record, bugs: frozenset[str]) -> Record | None:
    """The version with the greater tag; mine on a tie, which is between two copies of one version."""
    if mine is None or theirs.tag > mine.tag:
        return theirs
    if theirs.tag == mine.tag:
        one_value(f"key {mine.key!r} in {mine.bucket}", mine.tag, mine.value, theirs.value)
    return None


def joined(mine: Record | None, theirs: Record, bugs: frozenset[str]) -> Record | None:
    """The join. If they know more of this replica's own dots than it does, it has forgotten some, and its epoch ends."""
    if theirs.value is None:
        return None  # no state at all: a removal is a state too
    if mine is None or mine.value is None:
        revision = 1 if mine is None else mine.tag.hlc + 1
        return Record(theirs.bucket, theirs.key, Tag(revision, "", 0), theirs.value)
    value = merge(mine.value, theirs.value, bugs)
    if value == mine.value:
        return None
    revision, own = mine.tag.hlc + 1, (mine.tag.node, mine.tag.incarnation)
    kind, here = decode(mine.value)
    forgot = kind.top(decode(theirs.value)[1], own) > kind.top(here, own)
    tag = Tag(revision, "", 0) if forgot and "dot.per_key_counter_reuse" not in bugs else Tag(revision, *own)
    return Record(mine.bucket, mine.key, tag, value)


RULES: dict[str, Rule] = {
    "lww": greater_tag,
    "register": greater_tag,
    "cas": greater_tag,
    "siblings": joined,
    "crdt": joined,
}


def clock_in(bucket: BucketConfig, tag: Tag, value: bytes | None) -> int:
    """The newest clock in a version, which a replica believes only if its own is not far behind; 0 where no clock orders versions."""
    if bucket.kind in ("lww", "register"):
        return tag.latest
    if bucket.type == "lww-register" and value is not None:
        written: Tag = decode(value)[1][0]  # the record's own tag is the replica's business
        return written.hlc
    return 0


def absorb(kind: str, mine: Record | None, theirs: Record, bugs: frozenset[str] = NO_BUGS) -> Record | None:
    """The record to keep in place of `mine`, or None if `theirs` adds nothing. `kind` is `BucketConfig.kind`."""
    return RULES[kind](mine, theirs, bugs)
