"""The replica's half of an update in the classes `siblings` and `crdt`: make a change as an actor, exactly once.

    Apply ──► this life? ──► a double? ──► actor ──► delta joined to the state ──► Write ──commit──► Applied
                  │              │           │
               OtherLife      ignored     a fresh epoch if the old one may have been forgotten (`kvstore.actors`);
                                          waits for its lease

Rule 1. A dot is shown to nobody before its record is durable: a crash must not give it out again. In a bucket that does not wait
        for that, no actor outlives its node's life, for the next life may have forgotten dots.
Rule 2. A request is judged once. A double finds its number and is dropped, also after a refusal; so a refusal by the
        actor is final, and the coordinator may call it definite.
Rule 3. A request id is believed only by a replica that has not forgotten anything, or has been told everything: under the name of an actor that has
        carried out one with an id before, or after all replicas were asked.
Rule 4. What all replicas of a key make apart from each other, and one more that is lost and replaced, must fit in a frame once it is joined, or it
        could never be told any more. So each may make its share of that, and refuses what would be more before anything is written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from kvstore import crdt
from kvstore.actors import Actors, Rng
from kvstore.buckets import Buckets
from kvstore.causal import Causal, Dot, dots_of
from kvstore.config import BucketConfig
from kvstore.crdt import Actor, Change
from kvstore.crdt.base import ChangeError
from kvstore.crdt.counter import Counter
from kvstore.durability import Durability
from kvstore.events import CorruptRecord, Effect, Record, Tag
from kvstore.messages import Message, Refused
from kvstore.messages_causal import Applied, Apply, OtherLife
from kvstore.overlay import Overlay
from kvstore.replica import Replica

REMEMBERED = 4096  # requests per coordinator; one that is older than all of them is refused
STATES_BYTES = 15 << 20  # rule 4: a frame has 16 MiB
UNSEEN = "this replica must first hear from all others"


def value_max(bucket: BucketConfig, configured: int) -> int:
    """Bytes that a value of the bucket may have, and the state of a key that is joined with others: rule 4. `configured` is `max_value_bytes`."""
    joined = bucket.kind in ("siblings", "crdt") and bucket.type != "lww-register"
    return min(configured, STATES_BYTES // (bucket.n + 1)) if joined else configured


class Seen:
    """The requests of one coordinator, whose numbers grow: a window of them, and the highest that fell out of it."""

    __slots__ = ("_known", "_order", "forgotten")

    def __init__(self) -> None:
        self.forgotten = 0
        self._known: set[int] = set()
        self._order: deque[int] = deque()

    def first_time(self, request: int) -> bool:
        """Take note of a request; False if it is, or may be, a double."""
        if request in self._known or request <= self.forgotten:
            return False
        self._known.add(request)
        self._order.append(request)
        if len(self._order) > REMEMBERED:
            gone = self._order.popleft()
            self._known.discard(gone)
            self.forgotten = max(self.forgotten, gone)
        return True


class Updates:
    """Handles Apply. `send(dst, message, ticket)` sends once the ticket is committed."""

    def __init__(
        self,
        name: str,
        replica: Replica,
        overlay: Overlay,
        buckets: Buckets,
        actors: Actors,
        rng: Rng,
        bytes_max: int,
        *,
        send: Callable[[str, Message, int], None],
        hold: Callable[[int, Callable[[], None]], None],
        emit: Callable[[Effect], None],
    ) -> None:
        self._name = name
        self._replica = replica
        self._overlay = overlay
        self._buckets = buckets
        self._actors = actors
        self._rng = rng
        self._bytes_max = bytes_max
        self._send = send
        self._hold = hold
        self._emit = emit
        self._life = 0
        self._seen: dict[str, Seen] = {}
        self._reuses = "dot.per_key_counter_reuse" in buckets.bugs

    def apply(self, src: str, message: Apply) -> None:
        """Make the change, or say why not."""
        if not self._life:
            self._life = 1 + int(self._rng.random() * (1 << 53))
        if message.life != self._life:
            self._send(src, OtherLife(message.request, self._life), 0)
            return
        if self._replica.early(src, message):
            return  # not judged yet
        seen = self._seen.get(src)
        if seen is None:
            seen = self._seen[src] = Seen()
        if seen.first_time(message.request) and not self._replica.refused(src, message, 0):
            self._perform(src, message)

    def _perform(self, src: str, message: Apply) -> None:
        try:
            done = self._changed(message)
        except (CorruptRecord, ChangeError) as error:
            code = "NOQUORUM" if isinstance(error, CorruptRecord) else "BADARG"
            self._send(src, Refused(message.request, code, str(error)), 0)
            return
        if done is None:
            self._lease(lambda: self._perform(src, message))
        else:
            self._send(src, done[0], done[1])

    def _changed(self, message: Apply) -> tuple[Applied | Refused, int] | None:
        """The answer and the ticket it waits for; None: only once a new lease is durable."""
        bucket = self._buckets.opened.get(message.bucket) or self._replica.spoken_of(message.bucket)
        if bucket is None or bucket.type not in crdt.TYPES:
            return Refused(message.request, "NOQUORUM", f'bucket "{message.bucket}" is not open here'), 0
        record, ticket = self._overlay.get(message.bucket, message.key)
        kind = crdt.TYPES[bucket.type]
        state = kind.empty() if record is None or record.value is None else crdt.decode(record.value)[1]
        change = message.change
        lasting = bucket.lasting
        actor, fresh = self._actor(record, kind.top, state, change, lasting)
        if actor is None:
            return None
        if change.rid and isinstance(kind, Counter):
            if (fresh or not kind.requests(state, actor)) and not message.complete:
                return Refused(message.request, "CTXUNSEEN", UNSEEN), 0
            if kind.knows(state, change.rid):
                return Applied(message.request, crdt.encode(kind, state)), ticket
        delta = kind.update(state, change, actor)
        after = crdt.encode(kind, kind.join(state, delta, crdt.NO_BUGS))
        limit = value_max(bucket, self._bytes_max)
        if len(after) > limit:
            raise ChangeError(
                f"the key would hold {len(after)} bytes with its context; at most {limit} are allowed"
            )
        revision = 1 if record is None else record.tag.hlc + 1
        made = Record(message.bucket, message.key, Tag(revision, *actor), after)
        write = self._overlay.write(made, lasting)
        self._emit(write)
        dots: tuple[Dot, ...] = tuple(dots_of(delta.store)) if isinstance(delta, Causal) else ()
        return Applied(message.request, after, dots), write.told_after

    def _actor(
        self,
        record: Record | None,
        top: Callable[[object, Actor], int],
        state: object,
        change: Change,
        lasting: Durability,
    ) -> tuple[Actor | None, bool]:
        """Under which name, and whether it is a new one; None: no epoch is left before the next lease."""
        if self._reuses:
            return (self._name, 0), False
        known = self._actors.ours if lasting.awaited else self._actors.of_this_life
        if record is not None and record.tag.node == self._name and known(record.tag.incarnation):
            own = (self._name, record.tag.incarnation)
            if change.context.top(own) <= top(state, own):
                return own, False
        epoch = self._actors.fresh()
        self._lease_ahead()
        return (None if epoch is None else (self._name, epoch)), True

    def _lease_ahead(self) -> None:
        meta = self._actors.renew()
        if meta is not None:
            write = self._overlay.write_meta(meta)
            self._emit(write)
            self._hold(write.ticket, self._actors.leased)

    def _lease(self, then: Callable[[], None]) -> None:
        """Go on when what is on its way is durable."""
        self._lease_ahead()
        self._hold(self._overlay.ticket, then)
