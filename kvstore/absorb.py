"""What a replica makes of a version that comes from elsewhere: the one rule behind every way a record travels.

    Store, Repair, hint, stream, anti-entropy ──► absorb(class, mine, theirs) ──► the record to keep, or None: keep mine

Each class of bucket has its own rule, and each rule is commutative, associative and idempotent, so that it does not
matter by which way, how often and in which order versions arrive.

    lww, register    the greater tag stays
    cas              the greater ballot stays, as an accept that comes late: the acceptor (`kvstore.acceptor.take_in`)
                     takes it only if it has promised nothing higher
"""

from __future__ import annotations

from collections.abc import Callable

from kvstore.events import Record

Rule = Callable[[Record | None, Record], Record | None]


def greater_tag(mine: Record | None, theirs: Record) -> Record | None:
    """The version with the greater tag; mine on a tie."""
    return theirs if mine is None or theirs.tag > mine.tag else None


RULES: dict[str, Rule] = {"lww": greater_tag, "register": greater_tag, "cas": greater_tag}


def absorb(kind: str, mine: Record | None, theirs: Record) -> Record | None:
    """The record to keep in place of `mine`, or None if `theirs` adds nothing. `kind` is `BucketConfig.kind`."""
    return RULES[kind](mine, theirs)
