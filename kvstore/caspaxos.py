"""CASPaxos: a register that a majority agrees on, changed by functions of its value (Rystsov 2018).

    proposer                        acceptors A B C, each with a Slot on disk: promised, accepted, value
       │ ── prepare b ───────────►   below promised or accepted: nack      else promised = b
       │ ◄─ promise (accepted, value)
       │    value of the greatest accepted ballot among a quorum; new = change(value)
       │ ── accept b, new ───────►   below promised or accepted: nack      else accepted = b, value = new
       │ ◄─ accepted                 a quorum: new is *chosen*, and every later prepare meets it

There is no log and no leader. Keys of `cas` buckets and the cluster's meta register are such registers; this file
knows neither. An acceptor is `prepare` and `accept` on a Slot; a proposer is the flow `propose`.

Rule 1. What an acceptor answers is on disk before the answer leaves.
Rule 2. A change that changes nothing (a read, a failed condition) is an operation too: it is answered only when the
        state it saw is known to be chosen. Either every promise told the same accepted ballot, or it is accepted anew.
        Otherwise a write that reached a minority is seen by one reader and missed by the next (CASSANDRA-12126).
Rule 3. An accept that found no quorum may yet be chosen, by any later proposer that meets it. The next round first asks
        `change.settled` whether it was; "no such thing" is answered only when that is sure: when the state without it is
        accepted under a higher ballot, for until then the earlier accept lies in wait at some acceptor.
Rule 4. One ballot carries one value. Ballots are never used twice: (counter, node, incarnation).
Rule 5. An accept may ask for the promise of the proposer's next ballot: who accepts both has answered the next prepare, and told
        that nothing newer is accepted. The proposer's next change is one round (`Held`), once: Rystsov 2018, section 2.2.1.
        What changes nothing is accepted anew under such a ballot, for since then it may have been overtaken.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import count
from typing import Any, Final, NamedTuple, Protocol

from kvstore.errors import FORGOTTEN
from kvstore.events import NO_TAG, Tag
from kvstore.flows.steps import Ask, GaveUpError, Pause

BACKOFF_MS_MIN: Final = 2.0
BACKOFF_MS_MAX: Final = 64.0


class Keep:
    """The type of KEEP."""


KEEP: Final = Keep()  # what a change answers that changes nothing


# ---- the acceptor ------------------------------------------------------------------------------------------


class Slot(NamedTuple):
    """What one acceptor has on disk for one register. Ballots are Tags: (counter, node, incarnation)."""

    promised: Tag = NO_TAG
    accepted: Tag = NO_TAG
    value: bytes | None = None

    @property
    def floor(self) -> Tag:
        """The smallest ballot it still takes: what a nack tells."""
        return max(self.promised, self.accepted)


def prepare(slot: Slot, ballot: Tag) -> Slot | None:
    """The slot that promises to take nothing below `ballot`; None: nack. The same slot: nothing to write."""
    if ballot < slot.floor:
        return None
    return slot if ballot == slot.promised else slot._replace(promised=ballot)


def accept(slot: Slot, ballot: Tag, value: bytes | None, then: Tag = NO_TAG) -> Slot | None:
    """The slot that holds `value` under `ballot`, and promises `then`; None: nack. The same slot: nothing to write.

    What it has accepted already it still holds, whatever it has promised since.

    A copy of an accepted state that comes by another way (repair, hint, stream) is a late accept, and nothing else:
    it loses against a higher promise.
    """
    if ballot == slot.accepted:
        return slot if then <= slot.promised else slot._replace(promised=then)
    if ballot < slot.floor:
        return None
    return Slot(max(slot.promised, then), ballot, value)


# ---- the proposer ------------------------------------------------------------------------------------------


class Random(Protocol):
    """The part of random.Random a proposer uses."""

    def random(self) -> float:
        """A number in [0, 1)."""


class Ballots:
    """Ballots and pauses of one life of one node. `incarnation` must be durable before the first ballot leaves."""

    __slots__ = ("_counter", "_incarnation", "_now", "_requests", "_rng", "node")

    def __init__(self, node: str, incarnation: int, rng: Random, now: Callable[[], int] = lambda: 0) -> None:
        self.node = node
        self._incarnation = incarnation
        self._rng = rng
        self._now = (
            now  # some clock: a ballot near it seldom is below another node's. It spares rounds, never safety
        )
        self._counter = 0
        self._requests = incarnation << 32

    def begin_life(self, incarnation: int) -> None:
        """Ballots and request numbers are of this incarnation from now on."""
        self._incarnation = incarnation
        self._requests = incarnation << 32

    def next(self, after: Tag = NO_TAG) -> Tag:
        """A ballot greater than `after` and all issued before."""
        self._counter = max(self._counter + 1, after.hlc + 1, self._now())
        return Tag(self._counter, self.node, self._incarnation)

    def number(self) -> int:
        """A number for a request of this node's own, greater than all before, those of earlier lives too."""
        self._requests += 1
        return self._requests

    def backoff_ms(self, tries: int) -> float:
        """How long to stay away after losing for the `tries`-th time (from 0): random, doubling, 2 to 64 ms."""
        ceiling = min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2.0 ** (tries + 1))
        return BACKOFF_MS_MIN + (ceiling - BACKOFF_MS_MIN) * self._rng.random()


class Held(NamedTuple):
    """A quorum has promised `ballot`, and no ballot below it can be accepted by them that is newer than `value`. Good for one use."""

    ballot: Tag
    value: bytes | None


class Change(Protocol):
    """What an operation does to the register, and how it recognises itself in it."""

    def apply(self, value: bytes | None) -> bytes | Keep | None:
        """The next state, or KEEP. `value` None: never written. Called anew in each round that gets so far."""

    def settled(self, value: bytes | None) -> bool | None:
        """Whether an earlier `apply` of this change is in the past of this state; None: it cannot be told."""


def same_ballot(ask: Ask, ballot: Tag) -> bool:
    """Every promise told this accepted ballot: a quorum holds that state, so it is chosen."""
    return all(reply.tag == ballot for reply in ask.answers.values())


def propose(
    change: Change,
    ballots: Ballots,
    prepare: Callable[[Tag], Ask],
    accept: Callable[[Tag, bytes | None, Tag], Ask],
    *,
    held: Held | None = None,
    hold: Callable[[Held], None] | None = None,
    chosen: Callable[[Ask, Tag], bool] = same_ballot,
    bugs: frozenset[str] = frozenset(),
) -> Generator[Ask | Pause, Any, bytes | None]:
    """Bring `change` about; returns the state that was chosen, and the change knows what it made of it.

    `prepare` and `accept` make the questions. An answer to a prepare has the acceptor's accepted ballot as `tag` and
    its state as `value`; a refusal that is a nack has the acceptor's floor as `ballot`. `chosen` says whether the
    promises prove the greatest accepted ballot chosen. `held` spares the first prepare; `hold` is given what spares the next one,
    if this node made the last change too. Raises GaveUpError: refused, out of time, or FORGOTTEN.
    """
    after, sent = NO_TAG, False
    for tries in count():
        if tries:
            yield Pause(ballots.backoff_ms(tries - 1))
        value: bytes | None
        if held is not None:
            ballot, value = held
            known, mine, held = False, True, None
        else:
            ballot = ballots.next(after)
            ask = prepare(ballot)
            try:
                yield ask
            except GaveUpError as gave_up:
                after = _highest_nack(ask, gave_up)
                continue
            best = max(ask.answers.values(), key=lambda reply: reply.tag)
            value = best.value
            known, mine = chosen(ask, best.tag), best.tag.node == ballots.node
        settled = sent and _settled(change, value, bugs)
        unsure = sent and not settled and "cas.retry_reports_second_outcome" not in bugs
        new = KEEP if settled else change.apply(value)
        if not isinstance(new, Keep):
            value, sent = new, True
        elif (known and not unsure) or "cas.fail_no_accept" in bugs:
            return value
        then = ballots.next(ballot) if mine and hold is not None else NO_TAG
        ask = accept(ballot, value, then)
        try:
            yield ask
            if hold is not None and then != NO_TAG:
                hold(Held(then, value))
            return value
        except GaveUpError as gave_up:
            after = _highest_nack(ask, gave_up)
    raise AssertionError("counting has no end")


def _settled(change: Change, value: bytes | None, bugs: frozenset[str]) -> bool:
    if "cas.retry_reports_second_outcome" in bugs:
        return False
    settled = change.settled(value)
    if settled is None:
        raise GaveUpError(FORGOTTEN, "an earlier attempt may have taken effect, too many changes ago to tell")
    return settled


def _highest_nack(ask: Ask, gave_up: GaveUpError) -> Tag:
    """The ballot to beat. Raises `gave_up` again when it was for neither a nack nor a new ring that the question failed."""
    if gave_up.replanned:
        return NO_TAG
    ballots: list[Tag] = [refusal.ballot for refusal in ask.refusals.values() if hasattr(refusal, "ballot")]
    if not ballots or not (ask.hopeless or ask.outbid):
        raise gave_up
    return max(ballots)
