"""A register per key that can be changed on condition: CASPaxos (`kvstore.caspaxos`), linearizable.

    change   ──Prepare──► majority: the newest state      read   ──Query──► majority: all hold one accepted ballot? answer
             ──Accept───► majority: the next state               otherwise as a change that changes nothing

A read that meets one ballot at a majority has met a chosen state, and no acknowledged one can be newer: two messages of
latency, no promise and nothing to write. Every other operation is two rounds and two commits, or one when this node made the
last two changes of the key: the second brought the promise for the third along (`kvstore.holds`).

Changes of one key through one node wait for each other (`Turn`), so a node never outbids itself. Two nodes may; both then
stay away for a random while that doubles.
"""

from __future__ import annotations

from kvstore.caspaxos import KEEP, Keep, propose, same_ballot
from kvstore.config import majority
from kvstore.envelope import Effect, Envelope, Request, Rid, opened
from kvstore.errors import CASFAIL
from kvstore.events import NO_TAG, Failure, Tag
from kvstore.flows.steps import Ask, Flow, GaveUpError, Op, Turn, holders, newest
from kvstore.messages import Query
from kvstore.messages_cas import Accept, Prepare

INT_MAX = (1 << 63) - 1


# ---- flows -------------------------------------------------------------------------------------------------


def read(op: Op) -> Flow:
    """The value and its version."""
    ask = Ask(Query, op.replicas, op.r)
    yield ask
    best = newest(ask)
    chosen = not op.moving and holders(ask, best.tag) >= majority(len(op.replicas))
    if chosen or "cas.read_no_accept" in op.bugs:
        found = opened(best.value)
    else:
        op.effect = _look
        request = yield from proposed(op)
        found = request.state
    op.value, op.tag = found.value, _version(found.version)
    op.answer()


def change(op: Op) -> Flow:
    """Bring `op.effect` about, once, however often its request id is tried."""
    op.change = request = yield from proposed(op)
    op.tag = _version(request.version if request.took_effect else request.state.version)
    op.answer()


def write(op: Op) -> Flow:
    """Write `op.value`."""
    assert op.value is not None
    op.effect = put(op.value)
    yield from change(op)


def delete(op: Op) -> Flow:
    """Leave a state without a value."""
    op.effect = remove
    op.change = request = yield from proposed(op)
    op.existed = bool(request.result)
    op.tag = _version(request.version if request.took_effect else request.state.version)
    op.answer()


def confirm(op: Op) -> Flow:
    """Have the state accepted anew, as it is, while the partition moves."""
    op.effect = _look
    yield from proposed(op)
    op.answer()


def proposed(op: Op) -> Flow:
    """Bring `op.effect` about; returns the Request."""
    yield Turn()
    ballots = op.ballots
    rid = op.rid
    if rid is None or "retry.duplicate_apply" in op.bugs:
        rid = Rid(b"!" + ballots.node.encode(), ballots.number())
    assert op.effect is not None
    request = Request(rid, op.effect)

    def prepare(ballot: Tag) -> Ask:
        return Ask(Prepare, op.replicas, op.r, ballot)

    def accept(ballot: Tag, value: bytes | None, then: Tag) -> Ask:
        op.accepting = Ask(Accept, op.replicas, op.w, ballot, value, then=then)
        return op.accepting

    def chosen(ask: Ask, ballot: Tag) -> bool:
        return not op.moving and same_ballot(ask, ballot)

    holds = op.holds
    if holds is None:
        yield from propose(request, ballots, prepare, accept, chosen=chosen, bugs=op.bugs)
    else:
        held = holds.take(op)
        yield from propose(
            request, ballots, prepare, accept, chosen=chosen, bugs=op.bugs,
            held=held, hold=lambda new: holds.put(op, new),
        )  # fmt: skip
    op.acks = 0 if op.accepting is None else len(op.accepting.answers)
    return request


def _version(version: int) -> Tag:
    """A key's count of changes, as clients see it."""
    return Tag(version, "", 0) if version else NO_TAG


# ---- what operations make of a state ------------------------------------------------------------------------


def _look(state: Envelope) -> Keep:
    return KEEP


def put(value: bytes) -> Effect:
    """Write."""
    return lambda state: (value, 0)


def put_if(value: bytes, *, there: bool) -> Effect:
    """Write if there is a value (`there`), or if there is none."""
    return lambda state: (value, 0) if (state.value is not None) is there else KEEP


def put_at(value: bytes, version: int | None) -> Effect:
    """Write if the key is at this version; None: if there is no value."""

    def effect(state: Envelope) -> tuple[bytes | None, int] | Keep:
        holds = state.value is None if version is None else state.version == version
        return (value, 0) if holds else KEEP

    return effect


def remove(state: Envelope) -> tuple[bytes | None, int] | Keep:
    """Delete; counts 1 if there was a value."""
    return KEEP if state.value is None else (None, 1)


def add(number: int) -> Effect:
    """Add to the whole number that the value is, 0 if there is none; results in the sum."""

    def effect(state: Envelope) -> tuple[bytes | None, int]:
        try:
            total = (0 if state.value is None else _integer(state.value)) + number
        except ValueError:
            raise GaveUpError("ERR", "value is not an integer or out of range") from None
        if not -INT_MAX - 1 <= total <= INT_MAX:
            raise GaveUpError("ERR", "increment or decrement would overflow")
        return b"%d" % total, total

    return effect


def append(suffix: bytes, size_max: int) -> Effect:
    """Append; results in the length."""

    def effect(state: Envelope) -> tuple[bytes | None, int]:
        value = (state.value or b"") + suffix
        if len(value) > size_max:
            raise GaveUpError(
                "BADARG", f"the value would have {len(value)} bytes; at most {size_max} are allowed"
            )
        return value, len(value)

    return effect


def _integer(text: bytes) -> int:
    """As a counter writes it, and in no other way: as in Redis no spaces, no plus, no zeros in front. Raises ValueError."""
    number = int(text) if len(text) <= 20 else 0
    if b"%d" % number != text:
        raise ValueError
    return number


def cas_failure(op: Op) -> Failure:
    """The condition was false, at a point in the order of all operations."""
    assert op.change is not None
    return Failure(CASFAIL, f"the key is at version {op.change.state.version}")
