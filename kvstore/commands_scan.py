"""SCAN: all keys of a bucket, in the whole cluster, a few partitions at a call.

    SCAN 0 ──► partition 0, 1, … ──► [cursor, keys]        the cursor is the next partition; 0 when all 256 have been seen

Redis' promise: a key that is there during the whole scan is told at least once, and one that never is is not. Each partition is read from as many
replicas as a read of one of its keys would be, so a key is told if a read would find it. A cursor has no state behind it: it goes on at another
node, over another connection, and after a restart. A call tells whole partitions, so it may tell more than COUNT.
Redis: https://redis.io/docs/latest/commands/scan.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kvstore.absorb import absorb
from kvstore.config import BucketConfig
from kvstore.crdt import decode
from kvstore.envelope import opened
from kvstore.events import Record, Value
from kvstore.flows.steps import Flow, GaveUpError, Op, Tell
from kvstore.launching import launch
from kvstore.messages_ring import Page, Scan
from kvstore.ring import PARTITIONS
from kvstore.session import Later, RefusalError, Session, command, current, positive, text
from kvstore.transfer import bare
from kvstore.view import Plan

if TYPE_CHECKING:
    from kvstore.node import Node

COUNT: Final = 10
PARTITIONS_MAX: Final = 32  # looked at in a call, if they hold little
PAGE_RECORDS: Final = 256
PATTERN_MAX: Final = 1024
TYPES: Final = {"or-set": b"set", "or-map": b"hash"}


class Asked(NamedTuple):
    """What a SCAN asks for."""

    begin: int
    least: int
    pattern: Glob | None


@command("SCAN", 2, 8)
def scan(node: Node, session: Session, args: tuple[bytes, ...]) -> Value | Later:
    """SCAN cursor [MATCH pattern] [COUNT n] [TYPE string|set|hash]."""
    bucket = current(node, session)
    asked = _asked(args, TYPES.get(bucket.type, b"string"))
    op = Op(bucket, b"", asked.begin, (), lambda op: op.more)
    op.r = op.w = 0  # it asks partitions, and each as many as it must
    return launch(node, session, op, lambda op: _partitions(node, op, asked))


def _asked(args: tuple[bytes, ...], kind: bytes) -> Asked:
    cursor = int(args[1]) if args[1].isdigit() and len(args[1]) <= 4 else PARTITIONS
    if cursor >= PARTITIONS:
        raise RefusalError(
            "BADARG", f"'{text(args[1][:64])}' is no cursor; begin with 0 and give back what SCAN answers"
        )
    if len(args) % 2:
        raise RefusalError("BADARG", f"option '{text(args[-1][:64])}' has no value")
    count, pattern = COUNT, None
    for option, value in zip(args[2::2], args[3::2], strict=True):
        name = option.upper()
        if name == b"COUNT":
            count = positive("COUNT", value)
        elif name == b"MATCH":
            pattern = glob(value)
        elif name == b"TYPE" and value.lower() in (b"string", b"set", b"hash"):
            if value.lower() != kind:
                cursor = PARTITIONS  # the bucket has no key of that type
        else:
            raise RefusalError(
                "BADARG",
                f"SCAN has no option '{text(option[:64])}'; there are MATCH, COUNT and TYPE string, set, hash",
            )
    return Asked(cursor, count, pattern)


class Glob:
    """A pattern. What is between its stars has a fixed length, and the first place where it fits is as good as any: so there is never
    anything to take back, and no pattern takes longer than its length times the key's.
    """

    def __init__(self, pieces: list[list[bytes]]) -> None:
        """`pieces`: regular expressions of one byte each, and a star between two lists of them."""
        self._first, *self._between = [re.compile(b"".join(each), re.DOTALL) for each in pieces]
        self._last = self._between.pop() if self._between else None
        self._last_size = len(pieces[-1])

    def fullmatch(self, key: bytes) -> bool:
        """Whether the whole key is as the pattern says."""
        if self._last is None:
            return self._first.fullmatch(key) is not None
        found = self._first.match(key)
        for each in self._between:
            if found is None:
                return False
            found = each.search(key, found.end())
        end = len(key) - self._last_size
        return found is not None and found.end() <= end and self._last.match(key, end) is not None


def glob(pattern: bytes) -> Glob:
    r"""Redis' patterns: `*`, `?`, `[a-z]`, `[^a]`, and `\` before a character that is to stand for itself. Raises RefusalError."""
    if len(pattern) > PATTERN_MAX:
        raise RefusalError(
            "BADARG", f"the pattern has {len(pattern)} bytes; at most {PATTERN_MAX} are allowed"
        )
    pieces: list[list[bytes]] = [[]]
    at = 0
    while at < len(pattern):
        one = pattern[at : at + 1]
        at += 1
        if one == b"*":
            pieces.append([])
        elif one == b"[":
            made, at = _class(pattern, at)
            pieces[-1].append(made)
        elif one == b"\\" and at < len(pattern):
            pieces[-1].append(re.escape(pattern[at : at + 1]))
            at += 1
        else:
            pieces[-1].append(b"." if one == b"?" else re.escape(one))
    return Glob(pieces)


def _class(pattern: bytes, at: int) -> tuple[bytes, int]:
    """The class that begins behind a `[`, and where it ends; without `]` at the end of all. A range that goes backwards is turned round."""
    negated = pattern[at : at + 1] == b"^"
    at += negated
    members: list[bytes] = []
    while at < len(pattern) and pattern[at : at + 1] != b"]":
        if pattern[at : at + 1] == b"\\" and at + 1 < len(pattern):
            at += 1
        if pattern[at + 1 : at + 2] == b"-" and at + 2 < len(pattern):
            low, high = sorted((pattern[at : at + 1], pattern[at + 2 : at + 3]))
            members.append(b"%b-%b" % (re.escape(low), re.escape(high)))
            at += 3
        else:
            members.append(re.escape(pattern[at : at + 1]))
            at += 1
    if not members:
        return (b"." if negated else b"(?!)"), at + 1  # anything but nothing; nothing at all
    return b"[%b%b]" % (b"^" if negated else b"", b"".join(members)), at + 1


def _partitions(node: Node, op: Op, asked: Asked) -> Flow:
    found: list[Value] = []
    partition, end = asked.begin, min(asked.begin + PARTITIONS_MAX, PARTITIONS)
    while partition < end and len(found) < asked.least:
        keys = yield from _keys(node, op, partition)
        found += [key for key in keys if asked.pattern is None or asked.pattern.fullmatch(key)]
        partition += 1
    op.more = [b"%d" % (partition % PARTITIONS), found]
    op.answer()


def _keys(node: Node, op: Op, partition: int) -> Any:
    """The live keys of one partition, in order."""
    bucket, plan = op.bucket, node.view.plan(partition, op.bucket.n)
    newest: dict[bytes, Record] = {}
    after: bytes | None = None
    while True:
        ask = Tell(
            Scan,
            plan.replicas,
            (bucket.name, partition, plan.epoch, after, PAGE_RECORDS, True),
            lambda answers: enough(answers, plan, bucket),
        )
        yield ask
        pages: list[Page] = list(ask.answers.values())
        ends = [page.records[-1].key for page in pages if not page.done]
        after = min(ends) if ends else None
        for page in pages:
            for record in (
                bare(bucket.kind, each) for each in page.records
            ):  # not every version of a node does
                if after is None or record.key <= after:
                    kept = absorb(bucket.kind, newest.get(record.key), record)
                    newest[record.key] = newest[record.key] if kept is None else kept
        if after is None:
            return [key for key, record in sorted(newest.items()) if alive(bucket, record, op.wall_ms)]
        if node.view.since(partition) != plan.epoch:
            raise GaveUpError("STALE", "the ring changed during the scan; give the same cursor again")


def enough(answers: Iterable[str], plan: Plan, bucket: BucketConfig) -> bool:
    """Have as many answered as a read waits for, of every set of replicas that a read asks?"""
    return all(sum(name in answers for name in names) >= min(bucket.r, len(names)) for names in plan.reads)


def alive(bucket: BucketConfig, record: Record, wall_ms: float) -> bool:
    """Would a read find something at this time?"""
    if bucket.kind == "cas":
        return opened(record.value).value is not None
    if bucket.kind in ("siblings", "crdt") and record.value is not None:
        kind, state = decode(record.value)
        return bool(kind.values(state))
    return record.value is not None and not record.tag.expired(wall_ms)
