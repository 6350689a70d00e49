"""Siblings and CRDTs: an update is made by one replica, the actor, and joined into the others.

    update   ──Apply──► the actor, which makes a dot and syncs   ──Store state──► the others, W in all
    remove   ──Query──► R: which dots are there                  ──Store delta──► all, W
    read     ──Query──► R, answer the join                       ──Repair join──► those that lack some of it

The actor is this node if it holds a replica, else the first one that it does not suspect: the change is forwarded, once, and never
forwarded on. Rejected: that any node may be an actor. Either it keeps a copy of keys it holds no replica of, or it takes
a new actor for each update, and contexts grow without end.

A removal needs no dot. It goes to all replicas as a delta that covers the dots seen, also to those that have not met
them yet; so none is ever deferred (riak_dt #99). It reads a quorum first, since it must know which dots they are.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from kvstore import crdt
from kvstore.causal import Causal, dots_of, removal
from kvstore.crdt import Change
from kvstore.events import NO_TAG
from kvstore.flows.steps import Ask, Flow, GaveUpError, Issue, Op
from kvstore.messages import Query, Repair, Store
from kvstore.messages_causal import Apply, OtherLife

if TYPE_CHECKING:
    from kvstore.work import Work


def read(op: Op) -> Flow:
    """The join of R replicas."""
    work: Work = op.more
    ask = Ask(Query, op.replicas, op.r)
    yield ask
    _show(op, _joined(work, ask, op.bugs))
    repair = op.bucket.read_repair
    if repair == "blocking":
        whole = crdt.encode(work.kind, work.state)
        holders = sum(reply.value == whole for reply in ask.answers.values())
        if op.w > holders and work.state != work.kind.empty():
            yield Ask(Repair, _others(ask, whole), op.w - holders, NO_TAG, whole)
    op.answer()
    if repair == "async":
        yield ask.rest()
        whole = crdt.encode(work.kind, _joined(work, ask, op.bugs))
        stale = tuple(r for r, reply in ask.answers.items() if reply.value != whole)
        if stale and whole != _empty(work):
            yield Ask(Repair, stale, 0, NO_TAG, whole)


def write(op: Op) -> Flow:
    """A whole value, where the type has one: a sibling for all that the client's context does not cover."""
    work: Work = op.more
    assert op.value is not None
    if work.kind.name == "lww-register":
        yield from _write_last(op, work, op.value)
        return
    if work.kind.name != "mv-register":
        raise GaveUpError(
            "WRONGCLASS", f"the type {work.kind.name} is not written as a whole; use its own commands"
        )
    work.change = Change("put", (op.value,), seen=None if work.seen is None else work.seen.pack())
    yield from update(op)


def update(op: Op) -> Flow:
    """Let an actor make `change`, then make its state known to W replicas in all."""
    work: Work = op.more
    assert work.change is not None
    actor = _choose(op, work)
    yield from _apply(op, work, actor)
    others = tuple(replica for replica in op.replicas if replica != actor)
    ask = Ask(Store, others, max(op.w - 1, 0), NO_TAG, crdt.encode(work.kind, work.state))
    yield ask
    op.acks = 1 + len(ask.answers)
    op.answer()


def delete(op: Op) -> Flow:
    """Remove all that was seen: what the client's context covers, or without one what R replicas show."""
    work: Work = op.more
    if work.kind.name == "lww-register":
        yield from _write_last(op, work, None)
        return
    if not isinstance(work.state, Causal):
        raise GaveUpError("WRONGCLASS", f"a {work.kind.name} cannot be deleted: its replicas only ever add")
    if work.seen is not None and work.select is dots_of:
        op.existed = True
        yield from _cover(op, work, Causal(work.seen))
        return
    ask = Ask(Query, op.replicas, op.r)
    yield ask
    state = _joined(work, ask, op.bugs)
    if work.seen is not None and not work.seen.within(state.context):
        yield ask.rest()
        state = _joined(work, ask, op.bugs)
        if not work.seen.within(state.context):
            raise GaveUpError("CTXUNSEEN", "read the key again and pass the context of that read")
    dots = [dot for dot in work.select(state.store) if work.seen is None or work.seen.covers(dot)]
    op.existed = bool(dots)
    if dots:
        yield from _cover(op, work, removal(dots))
    else:
        op.answer()


def _write_last(op: Op, work: Work, value: bytes | None) -> Flow:
    """The type lww-register needs no actor, only a tag."""
    tag = yield Issue()
    ask = Ask(Store, op.replicas, op.w, tag, crdt.encode(work.kind, (tag, value)))
    yield ask
    op.existed, op.acks = True, len(ask.answers)
    op.answer()


def _cover(op: Op, work: Work, delta: Causal) -> Flow:
    ask = Ask(Store, op.replicas, op.w, NO_TAG, crdt.encode(work.kind, delta))
    yield ask
    op.acks = len(ask.answers)
    op.answer()


# ---- the actor -----------------------------------------------------------------------------------------------------


def _choose(op: Op, work: Work) -> str:
    """Who makes the dot. A request with an id goes to the same replica as long as that is one, for its first try may have been there.

    Of all replicas it is the one with the highest hash of id and name (Thaler, Ravishankar 1998), so whoever comes or goes moves no other's requests.
    """
    assert work.change is not None
    rid = work.change.rid
    if rid:
        return max(op.replicas, key=lambda name: blake2b(name.encode() + b"\0" + rid, digest_size=8).digest())
    if work.name in op.replicas:
        return work.name
    return next(filter(work.reachable, op.replicas), op.replicas[0])


def _apply(op: Op, work: Work, actor: str) -> Flow:
    """Have the change made. A refusal by the actor is final, so it is definite: see `kvstore.updates`, rule 2."""
    complete, tries = False, 0
    while True:
        tries += 1
        ask = _question(op, work, actor, complete)
        before = op.mutated
        try:
            yield ask
            break
        except GaveUpError as gave_up:
            reply = ask.refusals.get(actor)
            if reply is None:
                raise
            op.mutated = before
            if type(reply) is OtherLife and tries < 4:
                work.lives[actor] = reply.life
            elif gave_up.code == "CTXUNSEEN" and not complete:
                yield from _tell_all(op, work, actor)
                complete = True
            else:
                raise
    reply = ask.answers[actor]
    work.state, work.dots = crdt.decode(reply.state)[1], reply.dots


def _question(op: Op, work: Work, actor: str, complete: bool) -> Ask:
    change, life = work.change, work.lives.get(actor, 0)
    assert change is not None

    def make(request: int, epoch: int, left_ms: float) -> Apply:
        return Apply(request, op.bucket.name, op.key, op.partition, epoch, left_ms, life, change, complete)

    return Ask(Apply, (actor,), 1, make=make)


def _tell_all(op: Op, work: Work, actor: str) -> Flow:
    """Join every replica's state into the actor's, which does not know what was done elsewhere: only then may a request be tried.

    Both questions are for those they name, also while the partition moves.
    """

    def look(request: int, epoch: int, left_ms: float) -> Query:
        return Query(request, op.bucket.name, op.key, op.partition, epoch, left_ms, 0)

    before = op.mutated
    ask = Ask(Apply, op.replicas, len(op.replicas), make=look)
    try:
        yield ask
    except GaveUpError:
        op.mutated = before
        raise
    state = crdt.encode(work.kind, _joined(work, ask, op.bugs))

    def tell(request: int, epoch: int, left_ms: float) -> Repair:
        return Repair(request, op.bucket.name, op.key, op.partition, epoch, left_ms, NO_TAG, state)

    yield Ask(Apply, (actor,), 1, make=tell)


# ---- states --------------------------------------------------------------------------------------------------------


def _joined(work: Work, ask: Ask, bugs: frozenset[str]) -> Any:
    """The join of the answers."""
    kind = work.kind
    state = kind.empty()
    for reply in ask.answers.values():
        if reply.value is not None:
            state = kind.join(state, crdt.decode(reply.value)[1], bugs)
    return state


def _empty(work: Work) -> bytes:
    return crdt.encode(work.kind, work.kind.empty())


def _others(ask: Ask, whole: bytes) -> tuple[str, ...]:
    return tuple(r for r in ask.replicas if r not in ask.answers or ask.answers[r].value != whole)


def _show(op: Op, state: Any) -> None:
    work: Work = op.more
    work.state = state
    values = work.kind.values(state)
    op.value = values[0] if values else None
