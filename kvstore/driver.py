"""The driver: takes a change of the ring from step to step. Any node can, and when one stops another goes on.

    until nothing changes:   offer the document, wait until enough have adopted it          (`document.barred`)
                             newcomers to partitions at BOTH_OLD stream them
                             those partitions go a step on, others begin: one change of the document, by CASPaxos

All state is in the document, so a driver may stop at any moment and two may run at once: each step is a change on
condition of the epoch it was planned at. Who drives is a matter of speed only: the first of the document's holders that
is heard.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from kvstore.caspaxos import KEEP, Keep
from kvstore.config import BucketConfig, majority
from kvstore.document import (
    BOTH_OLD,
    META,
    NEW,
    ChangeError,
    Document,
    advanced,
    barred,
    moving,
    packed,
    pullers,
    startable,
    unpacked,
)
from kvstore.envelope import Envelope
from kvstore.events import Failure, Log, Value
from kvstore.flows import cas
from kvstore.flows.steps import Flow, GaveUpError, Op, Pause, Tell
from kvstore.messages_ring import RING_BUCKET, RING_KEY, Pull, RingOffer

if TYPE_CHECKING:
    from kvstore.node import Node

ROUND_TIMEOUT_MS: Final = 5_000.0
_POLL_MS: Final = 2.0
_HANDOVER_POLL_MS: Final = 100.0

Alter = Callable[[Document], Document]


class Driver:
    """Changes the document, and drives what it has begun."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._driving: Op | None = None
        self._hasty = "join.no_barrier" in node.config.bugs

    # ---- one change of the document ----

    def change(self, alter: Alter, report: Callable[[Op, Value], None], timeout_ms: float = 0.0) -> None:
        """Bring about `alter(document)`, agreed on by the document's holders, and adopt it. `alter` may raise ChangeError."""
        op = self._op(lambda op: op.value)
        self._node.coordinator.launch(op, lambda op: self._altered(op, alter), report, timeout_ms)

    def _op(self, shape: Callable[[Op], Value]) -> Op:
        plan = self._node.view.plan(META, 1)
        need = majority(len(plan.replicas))
        bucket = BucketConfig(RING_BUCKET, "cas", len(plan.replicas), need, need, "none")
        op = Op(bucket, RING_KEY, META, plan.replicas, shape, writes=True)
        op.plan = plan
        return op

    def _altered(self, op: Op, alter: Alter) -> Flow:
        refusal: list[str] = []
        document = yield from self._agreed(op, alter, refusal)
        if refusal:
            op.shape = lambda op: Failure("BADARG", refusal[0])
        else:
            op.value = b"%d" % document.epoch
            while self._node.view.epoch < document.epoch:  # whoever has the answer sees the change in STATUS
                yield Pause(_POLL_MS)
        op.answer()

    def _agreed(self, op: Op, alter: Alter, refusal: list[str]) -> Flow:
        node = self._node

        def effect(state: Envelope) -> tuple[bytes | None, int] | Keep:
            before = node.view.document if state.value is None else unpacked(state.value)
            refusal.clear()
            try:
                after = alter(before)
            except ChangeError as error:
                refusal.append(str(error))
                return KEEP
            return KEEP if after is before else (packed(after), after.epoch)

        op.effect = effect
        request = yield from cas.proposed(op)
        document = node.view.document
        if request.state.value is not None:
            document = unpacked(request.state.value)
            node.membership.learn(document)
        return document

    # ---- driving ----

    def tick(self) -> None:
        """Drive, if there is something to drive and it is for us to do it. Call it now and then."""
        node, document = self._node, self._node.view.document
        if document.change is None or self._driving is not None:
            return
        first = next((name for name in document.acceptors if node.reachable(name)), "")
        if first != node.name and (node.name in document.acceptors or first):
            return
        op = self._driving = self._op(lambda op: None)
        node.coordinator.launch(op, self._drive, self._stopped, ROUND_TIMEOUT_MS)
        if not op.done and not op.turn:
            node.coordinator.nudge(op)

    def _stopped(self, op: Op, value: Value) -> None:
        self._driving = None
        if isinstance(value, Failure):
            told = ((name, self._node.upkeep.told(name, "UNREADABLE")) for name in self._node.view.members)
            why = "".join(f"; {name} cannot read {what}" for name, what in told if what)
            self._node.emit(Log(f"the change of the ring waits: {value.text}{why}", "change"))
        elif self._node.view.document.change is not None:
            self._node.soon(self.tick)

    def _drive(self, op: Op) -> Flow:
        """One round."""
        node = self._node
        document = node.view.document
        counts = node.buckets.counts()
        others = tuple(name for name in document.names if name != node.name)
        walking = moving(document)
        if not self._hasty:
            enough = partial(self._barrier, document, counts, walking)
            if others and not enough({}):
                yield Tell(RingOffer, others, node.membership.offer_body(), enough)
        yield from self._stream(document, [p for p in walking if document.steps[p] == BOTH_OLD], counts)
        starting = startable(document, counts, node.config.transfers_max)
        if not starting and all(step == NEW or p in walking for p, step in enumerate(document.steps)):
            yield from self._handed_over(op)

        def advance(now: Document) -> Document:
            return advanced(now, walking, starting) if now.epoch == document.epoch else now

        agreed = yield from self._agreed(op, advance, [])
        while node.view.epoch < agreed.epoch:
            yield Pause(_POLL_MS)
        for name in others:
            node.send(name, node.membership.offer_message(0))
        op.answer()

    def _handed_over(self, op: Op) -> Flow:
        """Before the last step: whoever goes may keep, in a sloppy bucket, all there is of an acknowledged write."""
        node, goes = self._node, self._node.view.departing
        while goes and not node.upkeep.handed_over(goes):
            if node.moment.clock.mono_ms + _HANDOVER_POLL_MS >= op.deadline:
                raise GaveUpError("TIMEOUT", f"{goes} still hands over what it keeps for others")
            yield Pause(_HANDOVER_POLL_MS)

    def _barrier(
        self, document: Document, counts: tuple[int, ...], walking: list[int], answers: dict[str, Any]
    ) -> bool:
        adopted = {*answers, self._node.name}
        return all(barred(document, partition, n, adopted) for partition in walking for n in counts)

    def _stream(self, document: Document, partitions: list[int], counts: tuple[int, ...]) -> Flow:
        nodes = sorted({node for p in partitions for n in counts for node in pullers(document, p, n)})
        if nodes:
            epochs = {p: document.since[p] for p in partitions}
            yield Tell(Pull, tuple(nodes), (epochs,), lambda answers: len(answers) == len(nodes))
