"""Scrubbing: read everything again, mend from peers what does not match its checksum, and drop values that have expired.

    every `scrub_ms` one partition:  scan ──► Damaged(key) ──► ask the other replicas ──► merge ──► write anew
    a read meets a damaged record ────────────┘
                                     scan ──► a deadline is long over ──► the version stays, as a tombstone; its value goes

A damaged record answers ERROR, never "not found": it could have been the newest. It may be written anew only from enough
of the *others* that any acknowledged write is among them: an acknowledged write is at w replicas, this one perhaps among
them, so n - w + 1 of the others always meet it (Protocol-Aware Recovery, FAST'18, says why a majority with the damaged one
counted in is not enough). Where that failed, it rests a while: two nodes that both lost a record would else send each other
on, at each question of the other, without end.

What cannot be mended so (two of three replicas have lost it) is told (`unreadable`), for a change of members that needs it waits. Either one of the others
comes back, or an operator gives it up (`forget`), which only a person can decide: a write may be lost with it.

A value is dropped `max_clock_skew_ms` after its deadline, so that no node whose clock is that far behind misses it; replicas need not do so
at the same time, for the version is the same (`kvstore.flows.expiry`). The tombstone ends as any other (`kvstore.purge`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from kvstore.absorb import absorb
from kvstore.acceptor import PROMISES
from kvstore.buckets import Buckets
from kvstore.config import BucketConfig, NodeConfig
from kvstore.events import (
    NO_TAG,
    TOP_TAG,
    CorruptRecord,
    Damaged,
    Effect,
    Erase,
    Failure,
    Log,
    Record,
    Value,
)
from kvstore.flows.steps import Ask, Flow, Op
from kvstore.messages import Query
from kvstore.overlay import Overlay
from kvstore.replica import Moment
from kvstore.ring import PARTITIONS, partition_of
from kvstore.slices import Page, Reading, Slices
from kvstore.view import View

UNMENDED_MAX = 1_000  # remembered, to be told
SHOWN_MAX = 16
REST_MS = 1_000.0  # of a record that could not be mended
KINDS = frozenset(
    {"lww", "register", "siblings", "crdt"}
)  # cas also lost a promise; only a new ballot mends that


def ask_others(op: Op) -> Flow:
    """Ask enough of the other replicas; `op.waiting` holds what each said."""
    ask = Ask(Query, op.replicas, op.r)
    yield ask
    op.waiting = ask
    op.answer()


class Scrub:
    """Finds and mends damaged records of one node."""

    def __init__(
        self,
        config: NodeConfig,
        view: View,
        overlay: Overlay,
        buckets: Buckets,
        moment: Moment,
        *,
        emit: Callable[[Effect], None],
        schedule: Callable[[float, Callable[[], None]], None],
        slices: Slices,
        launch: Callable[[Op, Callable[[Op], Flow], Callable[[Op, Value], None]], None],
    ) -> None:
        self.found = 0
        self.mended = 0
        self.dropped = 0  # values whose deadline was over
        self._config = config
        self._view = view
        self._overlay = overlay
        self._buckets = buckets
        self._moment = moment
        self._emit = emit
        self._schedule = schedule
        self._slices = slices
        self._launch = launch
        self._partition = 0
        self.left = 0  # partitions that `all` has still to read
        self._mending: set[tuple[str, bytes]] = set()
        self._unmended: dict[tuple[str, bytes], None] = {}  # as far as it was tried

    def start(self) -> None:
        """Begin to scrub, a partition at a time."""
        if self._config.scrub_ms > 0:
            self._schedule(self._moment.clock.mono_ms + self._config.scrub_ms, self._next)

    def _next(self) -> None:
        self.start()
        places = [(bucket, self._partition) for bucket in self._buckets.opened]
        self._slices.begin(Reading(self._overlay.reader, iter(places), self._look))
        self._partition = (self._partition + 1) % PARTITIONS

    def all(self) -> None:
        """Read every partition again, unless that is being done; `left` of them still."""
        if not self.left:
            self.left = PARTITIONS
            self._slices.begin(Reading(self._overlay.reader, self._places(), self._look))

    def _places(self) -> Iterator[tuple[str, int]]:
        for partition in range(PARTITIONS):
            for bucket in list(self._buckets.opened):
                yield bucket, partition
            self.left -= 1

    def _look(self, bucket: str, partition: int, page: Page) -> None:
        spent = list[Record]()
        over_ms = self._moment.clock.wall_ms - self._config.max_clock_skew_ms
        for each in page:
            if isinstance(each, Damaged):
                self.mend(each.bucket, each.key)
            elif each.value is not None and each.tag.expired(over_ms) and self._newest(each):
                spent.append(Record(each.bucket, each.key, each.tag, None))
        if spent:
            self.dropped += len(spent)
            self._emit(self._overlay.write_rows(spent))

    def _newest(self, stored: Record) -> bool:
        record, _ = self._overlay.get(stored.bucket, stored.key)
        return record is not None and record.tag == stored.tag

    def mend(self, name: str, key: bytes) -> None:
        """Ask the others for a damaged record, unless that is being done, or failed just now."""
        bucket = self._buckets.opened.get(name)
        if len(self._unmended) < UNMENDED_MAX:
            self._unmended[name, key] = None
        if bucket is None or bucket.kind not in KINDS or (name, key) in self._mending:
            return
        self.found += 1
        self._mending.add((name, key))
        partition_ = partition_of(key)
        plan = self._view.plan(partition_, bucket.n)
        need = max(bucket.n - bucket.w + 1, 1)
        if any(need > len(self._others(nodes)) for nodes in plan.reads):
            text = f"key {key!r} of bucket {name} is damaged, and no other replicas can vouch for it"
            self._emit(Log(text, "damaged"))
            self._rest(name, key)
            return
        op = Op(bucket, key, partition_, self._others(plan.replicas), lambda op: None)
        op.r = need
        op.plan = plan
        self._launch(op, ask_others, partial(self._answered, bucket))

    def unreadable(self) -> list[tuple[str, bytes]]:
        """Some of the records that are damaged still, in the order in which they were met: (bucket, key)."""
        for place in list(self._unmended)[:SHOWN_MAX]:
            try:
                self._overlay.reader.get(*place)
            except CorruptRecord:
                continue
            del self._unmended[place]
        return list(self._unmended)[:SHOWN_MAX]

    def told(self) -> str:
        """The same for people; "" if there is none."""
        places = self.unreadable()
        if not places:
            return ""
        name, key = places[0]
        more = f" and {len(self._unmended) - 1} more" if len(self._unmended) > 1 else ""
        return f"key {key[:64]!r} of bucket {name.removeprefix(PROMISES)}{more}"

    def forget(self, name: str, key: bytes) -> tuple[int, int]:
        """Give up what is damaged of a key, as an operator asks: how many rows are gone, how many were there in memory and are written anew.

        Whoever does so says: what this replica alone has acknowledged, or with one that is lost, may be lost.
        """
        gone, again = list[Erase | Record](), list[Erase | Record]()
        for place in ((name, key), (PROMISES + name, key)):
            try:
                self._overlay.reader.get(*place)
            except CorruptRecord:
                try:
                    record, _ = self._overlay.look(*place)
                except CorruptRecord:
                    record = None
                if record is None:
                    gone.append(Erase(*place, TOP_TAG))
                else:
                    again.append(record)
        if gone or again:
            self._emit(self._overlay.write_rows([*gone, *again]))
            self._emit(
                Log(f"key {key!r} of bucket {name} was damaged and is given up, as asked", "forgotten")
            )
        return len(gone), len(again)

    def _others(self, nodes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(each for each in nodes if each != self._config.name)

    def _rest(self, name: str, key: bytes) -> None:
        until_ms = self._moment.clock.mono_ms + REST_MS
        self._schedule(until_ms, lambda: self._mending.discard((name, key)))

    def _answered(self, bucket: BucketConfig, op: Op, value: Value) -> None:
        if isinstance(value, Failure) or op.waiting is None:
            self._rest(bucket.name, op.key)  # then the next scrub or read tries again
            return
        self._mending.discard((bucket.name, op.key))
        try:
            self._overlay.get(bucket.name, op.key)
        except CorruptRecord:
            pass
        else:
            return  # it was written, or given up, since they were asked: what they said may be older
        best: Record | None = None
        for reply in op.waiting.answers.values():
            if reply.tag != NO_TAG:
                theirs = Record(bucket.name, op.key, reply.tag, reply.value)
                best = absorb(bucket.kind, best, theirs) or best
        rows: list[Erase | Record] = [Erase(bucket.name, op.key, TOP_TAG)]
        if best is not None:
            rows.append(best)
        self._emit(self._overlay.write_rows(rows))
        self._emit(
            Log(
                f"key {op.key!r} of bucket {bucket.name} was damaged and is mended from its replicas",
                "mended",
            )
        )
        self.mended += 1
