"""Sloppy quorums: while owners of a key are suspected, nodes beyond its preference list stand in for them (Dynamo, section 4.6).

    a, b, c own the key; this node suspects b and c          d, e follow on the ring
       ──Store──────────────► a, b, c      ◄── a
       ──StandIn(for b)─────► d            ◄── d: durable there, as a hint for b; handed over when b answers d again
       W = 2: acknowledged, by one owner

What it gains: a write is accepted wherever W nodes can be reached. What it gives up: R + W > N means nothing any more. Readers ask the
owners, and on the other side of a partition R owners may answer that never heard of the write: an acknowledged write is not
read, until the hint is handed over, and it is lost with the stand-in's disk, or beyond the limits of `kvstore.hints`. So it is an option of
the modes that promise convergence (eventual) or, without it, that quorums meet (quorum), and refused in all others. Reads are strict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kvstore.events import Record
from kvstore.flows.steps import Ask
from kvstore.messages import Store, StoreReply
from kvstore.messages_repair import StandIn
from kvstore.ring import walk
from kvstore.view import View


def stand_ins(
    view: View, partition: int, owners: tuple[str, ...], alive: Callable[[str], bool]
) -> dict[str, str]:
    """Who stands in for whom: for each suspected owner the next node clockwise that is not suspected, stays, and owns nothing of this."""
    away = [owner for owner in owners if not alive(owner)]
    if not away:
        return {}
    nodes = walk(view.document.owners, partition, len(view.members))
    free = (node for node in nodes if node not in owners and alive(node) and node != view.departing)
    return dict(zip(free, away, strict=False))


def widen(ask: Ask, store: Store, view: View, alive: Callable[[str], bool]) -> Iterator[tuple[str, StandIn]]:
    """Let stand-ins count in this question; what to send them. Not while the partition moves: then sets of owners are counted."""
    if ask.sets is not None:
        return
    owners = tuple(node for node in ask.replicas if node not in ask.aside)
    ask.aside = stand_ins(view, store.partition, owners, alive)
    ask.replicas = (*owners, *ask.aside) if ask.aside else ask.replicas
    for node, owner in ask.aside.items():
        yield (
            node,
            StandIn(
                store.request,
                store.bucket,
                store.key,
                store.partition,
                store.epoch,
                store.deadline_ms,
                store.tag,
                store.value,
                owner,
            ),
        )


def count_hints(
    ask: Ask, store: Store, alive: Callable[[str], bool], missed: Callable[[str, Record], None]
) -> None:
    """The seeded bug `strict_counts_hints`: a hint kept here is as good as the owner's word."""
    for owner in ask.replicas:
        if owner not in ask.aside and not alive(owner):
            missed(owner, Record(store.bucket, store.key, store.tag, store.value))
            ask.answer(owner, StoreReply(store.request, store.tag))
