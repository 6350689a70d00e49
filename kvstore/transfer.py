"""Streaming: how a newcomer gets the records of a partition, and how an old replica gives them. Who stays pulls too if
the replicas become fewer (`kvstore.document.pullers`).

    driver ── Pull(p, e) ──► newcomer ── Scan(p, e, after) ──► every old replica
                                │ ◄── Page of so many that every acknowledged write is among them
                                │     merge each record, by the rule of its class; go on behind the last key covered
                                └── durable ──► Pulled

Rule 1. A source answers at the partition's epoch only, which it has adopted: from then on no write of an earlier epoch is
acknowledged by it, so what it has not told cannot be completed with its help. (Without this: 3 of 500,000 schedules.)
Rule 2. A source answers when everything it has written is durable, and from what is durable.
Rule 3. A page counts up to the smallest last key of those who answered: every key is covered by enough sources.
Rule 4. A record a source cannot read makes its page no answer; the source tries to mend it, and tells of it (`kvstore.scrub`).

Rule 5. A newcomer may have promised a proposer of this epoch a ballot above that of a record it is given, and such a late accept
loses (`kvstore.acceptor`). Its stream is done only when the newcomer has had that key's state accepted anew, by a majority of the old
and of the new replicas. Without this, a promise that came to nothing made an acknowledged write invisible to the new replicas.

Rule 6. Of class `cas` promises come first, and until they have a newcomer takes no copy of a state, from wherever it comes. A ballot that
a quorum has promised never to take would else find takers among the newcomers, and look chosen (docs/decisions/0010,
`tests/kvstore/test_moving_promises.py`).

Rule 7. Where a write may be acknowledged by fewer than a majority, every replica that goes hands over all it holds, for some of it may be nowhere
else. It is waited for as long as it is not suspected: the promise of such buckets does not reach beyond a lost node.

Rule 8. A stream may take as long as it moves: each page puts its deadline off. One that stands still is given up, and begun anew by whoever
asks for it again.

Rule 9. A newcomer takes a version too far ahead of its clock too, and its own clock does not follow: some replica's clock allowed it, and it may be
acknowledged. Passed over, it would be held by fewer than a majority once the move is done.

Tombstones travel as records do.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from kvstore.acceptor import PROMISES
from kvstore.config import ATOMIC, BucketConfig
from kvstore.document import BOTH_OLD, leavers, newcomers, pullers, sources
from kvstore.envelope import Envelope, opened, sealed
from kvstore.events import CorruptRecord, Damaged, Failure, Log, Record, full
from kvstore.flows import cas
from kvstore.flows.steps import Durable, Flow, Op, Pause, Tell
from kvstore.messages import Refused
from kvstore.messages_ring import RING_BUCKET, Page, Pull, Pulled, Scan
from kvstore.ring import partition_of

if TYPE_CHECKING:
    from kvstore.node import Node

PAGE_RECORDS: Final = 128
BARE_BYTES: Final = 8 << 20  # read for a page of bare records
PAGE_BYTES: Final = 512 << 10  # and the record with which a page has them: even the largest fits in a frame
BARED: Final = ("lww", "register", "cas")  # of other kinds a bare record is whole
BYTES_PER_MS: Final = 8 * 1024  # 8 MiB/s
STANDSTILL_MS: Final = 60_000.0  # rule 8
_BUCKET: Final = BucketConfig(RING_BUCKET, "cas", 1, 1, 1, "none")


def bare(kind: str, record: Record) -> Record:
    """The record with as much of its value as says whether there is one. Equal records, equal bare ones."""
    if record.value is None or kind not in BARED:
        return record
    value: bytes = b""
    if kind == "cas":
        state = opened(record.value)
        value = sealed(Envelope(state.version, None if state.value is None else b""))
    return Record(record.bucket, record.key, record.tag, value)


class Transfer:
    """Both ends of streaming at one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._pulls: set[tuple[int, int]] = set()  # (partition, epoch) of the streams that run
        self._waiting: dict[
            str, tuple[int, set[tuple[int, int]]]
        ] = {}  # driver: its request, and what is left
        self._done: dict[int, int] = {}  # partition: the epoch at which it was streamed, in this life
        self._bound: dict[tuple[str, int], int] = {}  # (bucket, partition): the epoch of the promises here
        self._careless = "join.source_not_adopted" in node.config.bugs
        self._one = "join.stream_from_one" in node.config.bugs

    # ---- a source ----

    def scan(self, src: str, message: Scan) -> None:
        """Give a page."""
        node, view = self._node, self._node.view
        epoch = view.since(message.partition)
        if message.epoch > epoch and not self._careless:
            node.membership.ahead(src, message)
        elif message.epoch < epoch:
            node.membership.refuse_stale(src, message.request)
        elif view.blank(message.partition):
            node.send(src, Refused(message.request, "NOQUORUM", "this replica has lost its data"))
        else:
            node.hold_all(lambda: self._give(src, message))

    def _give(self, src: str, message: Scan) -> None:
        bucket = self._node.buckets.opened.get(message.bucket)
        kind = "" if bucket is None else bucket.kind
        most = BARE_BYTES if message.bare and kind in BARED else PAGE_BYTES
        rows = self._node.reader.scan(message.bucket, message.partition, message.after, message.limit, most)
        records = [row for row in rows if not isinstance(row, Damaged)]
        if len(records) < len(rows):
            for row in rows:
                if isinstance(row, Damaged):
                    self._node.upkeep.scrub.mend(row.bucket, row.key)
            self._node.send(src, Refused(message.request, "NOQUORUM", "an unreadable record"))
        else:
            if message.bare:
                records = [bare(kind, each) for each in records]
            self._node.send(src, Page(message.request, records, not full(rows, message.limit, most)))

    # ---- a newcomer ----

    def pull(self, src: str, message: Pull) -> None:
        """Begin to stream what is not here yet, and note who waits for it; who asks asks again."""
        view = self._node.view
        if not self._node.births.confirmed():
            return
        for partition, epoch in message.epochs.items():
            mine = view.since(partition)
            if epoch > mine:
                self._node.membership.ahead(src, message)
                return
            if epoch < mine:
                self._node.membership.refuse_stale(src, message.request)
                return
        left = {
            (p, epoch) for p, epoch in message.epochs.items() if self._done.get(p) != epoch and self._mine(p)
        }
        self._waiting[src] = (message.request, left)
        for partition, epoch in sorted(left):
            if (partition, epoch) not in self._pulls:
                self._begin(partition, epoch)
        self._tell()

    def _mine(self, partition: int) -> bool:
        node = self._node
        document = node.view.document
        return any(node.name in pullers(document, partition, n) for n in node.buckets.counts())

    def refuses(self, name: str, key: bytes) -> bool:
        """Rule 6: whether a copy of a state must not be taken yet."""
        view = self._node.view
        document = view.document
        bucket = self._node.buckets.opened.get(name) or self._node.replica.spoken_of(name)
        if document.change is None or bucket is None or bucket.kind != "cas":
            return False
        partition = partition_of(key)
        return (
            document.step(partition) == BOTH_OLD
            and self._node.name in newcomers(document, partition, bucket.n)
            and self._bound.get((name, partition)) != view.since(partition)
        )

    def _begin(self, partition: int, epoch: int) -> None:
        self._pulls.add((partition, epoch))
        op = Op(_BUCKET, b"", partition, (), lambda op: None)
        op.more = {}  # rule 5: (bucket's name, key) of what lost, and the bucket
        coordinator = self._node.coordinator
        coordinator.launch(op, lambda op: self._stream(op, epoch), partial(self._ended, epoch), STANDSTILL_MS)
        if not op.done:
            coordinator.nudge(op)

    def _ended(self, epoch: int, op: Op, value: Any) -> None:
        """A stream is over, one way or the other; or the next key of it is to be accepted anew."""
        if op.existed and op.more:
            self._accept_anew(epoch, op)
            return
        self._pulls.discard((op.partition, epoch))
        if op.existed:
            self._done[op.partition] = epoch
            for _, left in self._waiting.values():
                left.discard((op.partition, epoch))
            self._tell()

    def _accept_anew(self, epoch: int, stream: Op) -> None:
        """Rule 5, for one key."""
        view = self._node.view
        (_, key), bucket = stream.more.popitem()
        plan = view.plan(stream.partition, bucket.n)
        op = Op(bucket, key, stream.partition, plan.replicas, lambda op: None)
        op.plan = plan

        def ended(op: Op, value: Any) -> None:
            stream.existed = type(value) is not Failure and view.since(stream.partition) == epoch
            self._ended(epoch, stream, value)

        # It has a client's time: with too many replicas dead it would wait, and is better begun anew.
        self._node.coordinator.launch(op, cas.confirm, ended)

    def _tell(self) -> None:
        for dst, (request, left) in list(self._waiting.items()):
            if not left:
                del self._waiting[dst]
                self._node.send(dst, Pulled(request))

    def _stream(self, op: Op, epoch: int) -> Flow:
        node, partition = self._node, op.partition
        document = node.view.document
        for bucket in node.buckets.known():
            if node.name not in pullers(document, partition, bucket.n):
                continue
            there, need = sources(document, partition, bucket.n, node.name)
            if self._one:
                need = min(need, 1)
            if not need and not there:
                node.emit(
                    Log(f"bucket {bucket.name}, partition {partition}: its only replica is lost", "lost")
                )
                continue
            for name in self._streamed(bucket) if need else ():
                yield from self._records(op, bucket, name, epoch, there, need)
                if name != bucket.name:
                    self._bound[bucket.name, partition] = epoch
            for leaver in leavers(document, partition, bucket.n) if bucket.mode not in ATOMIC else ():
                if node.upkeep.alive(leaver):
                    yield from self._records(op, bucket, bucket.name, epoch, (leaver,), 0)
        if node.overlay.loose:
            node.emit(node.overlay.barrier())
        yield Durable(node.overlay.ticket)
        op.existed = node.view.since(partition) == epoch
        op.answer()

    def _streamed(self, bucket: BucketConfig) -> tuple[str, ...]:
        """What is streamed of a bucket, in this order: rule 6."""
        return (PROMISES + bucket.name, bucket.name) if bucket.kind == "cas" else (bucket.name,)

    def _records(
        self, op: Op, bucket: BucketConfig, name: str, epoch: int, there: tuple[str, ...], need: int
    ) -> Flow:
        """Stream from `need` of these nodes; 0: from all who are not suspected and can read what they hold."""
        after: bytes | None = None
        acceptor = self._node.replica.acceptor
        while self._node.view.since(op.partition) == epoch:
            body = (name, op.partition, epoch, after, PAGE_RECORDS)
            ask = Tell(Scan, there, body, lambda answers: len(answers) >= need)
            if not need:
                ask.enough = partial(self._no_more, ask)
            yield ask
            op.deadline = self._node.moment.clock.mono_ms + STANDSTILL_MS
            pages: list[Page] = list(ask.answers.values())
            ends = [page.records[-1].key for page in pages if not page.done]
            end = min(ends) if ends else None
            size = 0
            for page in pages:
                for record in page.records:
                    if end is None or record.key <= end:
                        self._merge(record)
                        if bucket.kind == "cas" and name == bucket.name and acceptor.lacks(record):
                            op.more[name, record.key] = bucket
                        size += len(record.key) + len(record.value or b"") + 64
            if end is None:
                return
            after = end
            yield Pause(size / BYTES_PER_MS)

    def _no_more(self, ask: Tell, answers: dict[str, Any]) -> bool:
        """Whether everybody asked has answered, or will not."""
        alive = self._node.upkeep.alive
        return all(name in answers or name in ask.refusals or not alive(name) for name in ask.replicas)

    def _merge(self, record: Record) -> None:
        try:
            self._node.replica.take_in(record, streamed=True)
        except CorruptRecord as error:
            self._node.emit(Log(f"streaming met an unreadable record: {error}", "damaged"))
