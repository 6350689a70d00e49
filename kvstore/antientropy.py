"""Anti-entropy: replicas compare trees, one peer at a time, and hand each other what they lack.

    every `anti_entropy_ms`, with the next peer that seems alive:
        roots of all partitions both hold ──► those that differ: 32 branches ──► 32 leaves each ──► keys
        then my newer records go over, and theirs are fetched; `absorb` merges both ways

Rule 1. A comparison never decides anything: records travel and `kvstore.absorb` merges them, so a comparison of trees that
        changed meanwhile costs bytes and no more.
Rule 2. Only what is durable is handed over, or agreed upon: answers wait for the commit of all that the tree counts.
Rule 3. A partition on which this node agreed with *every* other replica, in comparisons begun after a tombstone was
        durable here, has that tombstone everywhere. `agreed_since` is what the purge rests on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from kvstore.buckets import Buckets
from kvstore.config import NodeConfig
from kvstore.events import NO_TAG, CorruptRecord, Record, Tag, size_of
from kvstore.forest import STATES, Forest, Grove
from kvstore.merkle import FANOUT, differing
from kvstore.messages import Message
from kvstore.messages_repair import Fetch, Handoff, TreeBranches, TreeKeys, TreeLeaves, TreeRoots
from kvstore.overlay import Overlay
from kvstore.replica import Moment
from kvstore.ring import PARTITIONS
from kvstore.slices import BYTES_EACH, SLICE, Schedule, Slices, cost, stepwise
from kvstore.view import View

PAGE = 512  # records that one message asks for
KEYS_BYTES = 64 << 10  # of keys that one message names, about: one may have as many
HANDOFF_BYTES = 64 << 10  # records in one message, about


def _cost_of(record: Record) -> int:
    return 1 + size_of([record]) // BYTES_EACH


class AntiEntropy:
    """Compares this node's records with its peers'."""

    def __init__(
        self,
        config: NodeConfig,
        view: View,
        overlay: Overlay,
        buckets: Buckets,
        moment: Moment,
        forest: Forest,
        *,
        send: Callable[[str, Message], None],
        schedule: Schedule,
        slices: Slices,
        alive: Callable[[str], bool],
    ) -> None:
        self.rounds = 0
        self.handed = 0  # records sent because a comparison found them missing
        self.bytes_sent = 0
        self._config = config
        self._view = view
        self._overlay = overlay
        self._buckets = buckets
        self._moment = moment
        self._forest = forest
        self._send = send
        self._schedule = schedule
        self._slices = slices
        self._alive = alive
        self._next = 0
        self._agreed: dict[tuple[str, int, str], float] = {}
        self._at_work: dict[str, int] = {}  # peer: jobs that name its keys, or hand them over

    # ---- who and when ----

    def start(self) -> None:
        """Begin to compare, every `anti_entropy_ms` from now on."""
        if self._config.anti_entropy_ms > 0:
            self._schedule(self._moment.clock.mono_ms + self._config.anti_entropy_ms, self._round)

    def _round(self) -> None:
        self.start()
        peers = sorted(self._view.peers)
        for _ in peers:
            peer = peers[self._next % len(peers)]
            self._next += 1
            if self._alive(peer):
                self.compare(peer)
                return

    def compare(self, peer: str) -> None:
        """Compare everything shared with a peer."""
        self.rounds += 1
        work = [
            (bucket.name, partition)
            for bucket in self._buckets.opened.values()
            for partition, replicas in enumerate(self._view.preferences(bucket.n))
            if peer in replicas and self._config.name in replicas
        ]
        epoch, began_ms = self._view.epoch, self._moment.clock.mono_ms

        def tell(ready: list[tuple[str, int]]) -> None:
            roots: dict[str, dict[int, int]] = {}
            for bucket, partition in ready:
                roots.setdefault(bucket, {})[partition] = self.grove(bucket, partition).tree.root
            for bucket, each in roots.items():
                self._say(peer, TreeRoots(epoch, bucket, began_ms, each), 16 * len(each))

        self._slices.begin(partial(self._build, epoch, work, tell))

    def _build(
        self,
        epoch: int,
        work: list[tuple[str, int]],
        then: Callable[[list[tuple[str, int]]], None],
        left: int,
    ) -> int:
        """A job: build what trees are missing, and `then` do what is to be done with them."""
        if epoch != self._view.epoch:
            return left
        ready = list[tuple[str, int]]()
        while work and left > 0:
            while self._forest.get(*work[-1]) is None and left > 0:
                left -= cost(self._overlay.grow(*work[-1], left, left * BYTES_EACH))
            if self._forest.get(*work[-1]) is not None:
                ready.append(work.pop())
        if ready:
            then(ready)
        return 0 if work else left

    def grove(self, bucket: str, partition: int) -> Grove:
        """The trees of a partition, built at once if need be."""
        while (grove := self._forest.get(bucket, partition)) is None:
            self._overlay.grow(bucket, partition, SLICE)
        return grove

    def agreed_since(self, bucket: str, partition: int) -> float:
        """Begin (mono ms) of the oldest of the newest comparisons in which each other replica agreed; -inf if one never did."""
        others = self._view.preferences(self._buckets.opened[bucket].n)[partition]
        since = [
            self._agreed.get((bucket, partition, each), float("-inf"))
            for each in others
            if each != self._config.name
        ]
        return min(since, default=float("inf"))

    # ---- the comparison, top down ----

    def roots(self, src: str, message: TreeRoots) -> None:
        """Answer which partitions differ."""
        if message.epoch != self._view.epoch or message.bucket not in self._buckets.opened:
            return
        work = [(message.bucket, partition) for partition in message.roots if 0 <= partition < PARTITIONS]

        def tell(ready: list[tuple[str, int]]) -> None:
            same, branches, size = [], {}, 0
            for bucket, partition in ready:
                tree = self.grove(bucket, partition).tree
                if tree.root == message.roots[partition]:
                    same.append(partition)
                else:
                    branches[partition] = tree.branches()
                    size += 8 * FANOUT
            self._say(src, TreeBranches(message.bucket, message.began_ms, tuple(same), branches), size)

        self._slices.begin(partial(self._build, message.epoch, work, tell))

    def branches(self, src: str, message: TreeBranches) -> None:
        """Note what is the same; say the leaves under the branches that differ."""
        if message.bucket not in self._buckets.opened:
            return
        for partition in message.same:
            self._agreed[message.bucket, partition, src] = message.began_ms
        leaves = {}
        for partition, theirs in message.branches.items():
            tree = self.grove(message.bucket, partition).tree
            below = {branch: tree.leaves(branch) for branch in differing(tree.branches(), theirs)}
            if below:
                leaves[partition] = below
        if leaves and not self._at_work.get(src):
            size = sum(8 * FANOUT * len(below) for below in leaves.values())
            self._say(src, TreeLeaves(message.bucket, leaves), size)

    def leaves(self, src: str, message: TreeLeaves) -> None:
        """Name the keys in the leaves that differ."""
        if message.bucket in self._buckets.opened and not self._at_work.get(src):
            self._work(src, self._naming(src, message))

    def _naming(self, src: str, message: TreeLeaves) -> Iterator[int]:
        epoch = self._view.epoch
        for partition, branches in message.leaves.items():
            if self._view.epoch != epoch:
                return
            grove = self.grove(message.bucket, partition)
            wrong = tuple(
                branch * FANOUT + place
                for branch, theirs in branches.items()
                for place in differing(grove.tree.leaves(branch), theirs)
            )
            for page, here in grove.pages_in(wrong, KEYS_BYTES):
                keys = list[tuple[bytes, int, Tag]]()
                for key, entry in here:
                    version, spent = self._version(message.bucket, key)
                    keys.append((key, entry, version))
                    yield spent
                size = sum(len(key) + 32 for key, _, _ in keys)
                named = TreeKeys(message.bucket, {partition: tuple(page)}, {partition: tuple(keys)})
                self._say(src, named, size)

    def keys(self, src: str, message: TreeKeys) -> None:
        """Hand over what is newer here, and ask for what is newer there; both ways where versions are not ordered."""
        bucket = self._buckets.opened.get(message.bucket)
        if bucket is not None:
            self._work(src, self._sorting(src, message, ordered=bucket.kind not in STATES))

    def _sorting(self, src: str, message: TreeKeys, *, ordered: bool) -> Iterator[int]:
        epoch = self._view.epoch
        for partition, leaves in message.leaves.items():
            if self._view.epoch != epoch:
                return
            theirs = {key: (entry, tag) for key, entry, tag in message.keys.get(partition, ())}
            mine = dict(self.grove(message.bucket, partition).keys_in(leaves))
            over: list[bytes] = []
            back: list[bytes] = []
            for key in sorted(mine.keys() | theirs.keys()):
                if key not in theirs:
                    over.append(key)
                elif key not in mine:
                    back.append(key)
                elif mine[key] != theirs[key][0]:
                    version, spent = self._version(message.bucket, key)
                    newer = version > theirs[key][1]
                    if newer or not ordered:
                        over.append(key)
                    if not newer or not ordered:
                        back.append(key)
                    yield spent
            self._ask_for(src, message.bucket, back)
            yield from self._handing(src, message.bucket, over)

    def _ask_for(self, src: str, bucket: str, keys: list[bytes]) -> None:
        """A bounded message at a time."""
        batch, size = list[bytes](), 0
        for key in keys:
            batch.append(key)
            size += len(key) + 2
            if size >= KEYS_BYTES or len(batch) == PAGE:
                self._say(src, Fetch(bucket, tuple(batch)), size)
                batch, size = [], 0
        if batch:
            self._say(src, Fetch(bucket, tuple(batch)), size)

    def _version(self, bucket: str, key: bytes) -> tuple[Tag, int]:
        """The version here, and what it cost to read it."""
        try:
            record, _ = self._overlay.get(bucket, key)
        except CorruptRecord:
            record = None
        return (NO_TAG, 1) if record is None else (record.tag, _cost_of(record))

    def fetch(self, src: str, message: Fetch) -> None:
        """Hand over the keys asked for, as far as they are here."""
        if message.bucket in self._buckets.opened:
            self._work(src, self._handing(src, message.bucket, message.keys))

    def _handing(self, dst: str, bucket: str, keys: Sequence[bytes]) -> Iterator[int]:
        """Send these records, a bounded message at a time, once they are durable."""
        batch: list[Record] = []
        size = 0
        for key in keys:
            try:
                record, _ = self._overlay.get(bucket, key)
            except CorruptRecord:
                record = None
            if record is None:
                yield 1
                continue
            batch.append(record)
            size += len(key) + len(record.value or b"") + 32
            if size >= HANDOFF_BYTES or len(batch) == SLICE:
                self._hand(dst, batch, size)
                batch, size = [], 0
            yield _cost_of(record)
        if batch:
            self._hand(dst, batch, size)

    def _work(self, peer: str, steps: Iterator[int]) -> None:
        """Do it in slices. Nothing more is begun with that peer until it is done: the same keys would be named again."""
        self._at_work[peer] = self._at_work.get(peer, 0) + 1
        self._slices.begin(stepwise(steps, partial(self._worked, peer)))

    def _worked(self, peer: str) -> None:
        self._at_work[peer] -= 1

    def _hand(self, dst: str, batch: list[Record], size: int) -> None:
        self.handed += len(batch)
        self._say(dst, Handoff(0, tuple(batch)), size)

    def _say(self, dst: str, message: Message, size: int) -> None:
        """Rule 2: after the commit of everything written so far."""
        self.bytes_sent += size
        self._send(dst, message)
