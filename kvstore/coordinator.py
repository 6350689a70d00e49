"""The coordinator's half of every protocol: runs flows until their client has its answer.

    launch ──► flow ──Ask──► Query/Store to the replicas (this node may be one) ──► answers
                ▲                                                                     │
                └──────────────── resumed when its quorum is met ─────────────────────┘

Rule 1. Flows are resumed here and nowhere else. What they yield is in `kvstore.flows.steps`.
Rule 2. Once an op has put a mutation into a message, its client never gets a definite error (`_fail`).
Rule 3. No tag is used before the clock lease that covers it is durable (`_issue`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvstore.absorb import clock_in
from kvstore.caspaxos import Ballots
from kvstore.config import NodeConfig, majority
from kvstore.document import META
from kvstore.errors import definite
from kvstore.events import Effect, Failure, Meta, Record, Tag, Value
from kvstore.flows import steps
from kvstore.flows.steps import Ask, Durable, Flow, GaveUpError, Issue, Op, Pause, Tell, Turn
from kvstore.hlc import HybridClock
from kvstore.holds import Holds
from kvstore.lines import Lines
from kvstore.messages import (
    BucketReply,
    Message,
    Query,
    QueryReply,
    Refused,
    Repair,
    Stale,
    Store,
    StoreReply,
)
from kvstore.messages_cas import Accept, Accepted, Nack, Prepare, Promise
from kvstore.messages_causal import Applied, OtherLife
from kvstore.messages_ring import RingAnswer
from kvstore.overlay import Overlay
from kvstore.replica import Moment
from kvstore.sloppy import count_hints, widen
from kvstore.view import Plan, View, union

LEASE = "clock_lease"
RESEND_MS = 100.0  # an op that others may wait for asks those who are silent again


class Coordinator:
    """Runs the ops of one node's clients.

    `send(dst, message)` sends at once, `hold(ticket, action)` acts after a commit, `schedule(at_ms, what)`
    makes a call then, or `expire(op)` at an op's deadline.
    """

    def __init__(
        self,
        config: NodeConfig,
        view: View,
        hlc: HybridClock,
        overlay: Overlay,
        moment: Moment,
        ballots: Ballots,
        incarnation: int,
        *,
        send: Callable[[str, Message], None],
        hold: Callable[[int, Callable[[], None]], None],
        emit: Callable[[Effect], None],
        schedule: Callable[[float, Op | Callable[[], None]], None],
    ) -> None:
        self.running = 0  # ops in progress
        self.failures = 0
        self.timeouts = 0
        self.alive: Callable[[str], bool] = lambda peer: True  # given by the node: whom it does not suspect,
        self.missed: Callable[[str, Record], None] = lambda replica, record: (
            None
        )  # and who hears of missed writes
        self._config = config
        self._name = config.name
        self._view = view
        self._hlc = hlc
        self._overlay = overlay
        self._moment = moment
        self._incarnation = incarnation
        self._send = send
        self._hold = hold
        self._emit = emit
        self._schedule = schedule
        self._ballots = ballots
        self._lines = Lines()
        self._holds = Holds(view)
        self._asks: dict[int, Ask] = {}
        self._requests = incarnation << 32  # unique over all lives of this node
        self._lease = hlc.lease  # the newest one written, durable or not
        self._forgetful = "hlc.not_persisted" in config.bugs
        self._lenient = "strict_counts_hints" in config.bugs

    def begin_life(self, incarnation: int) -> None:
        """Tags, ballots and requests are of this incarnation from now on."""
        self._incarnation = incarnation
        self._requests = incarnation << 32
        self._ballots.begin_life(incarnation)

    # ---- flows ----

    def launch(
        self, op: Op, flow: Callable[[Op], Flow], report: Callable[[Op, Value], None], timeout_ms: float = 0.0
    ) -> None:
        """Coordinate an op; `report` gets its value or Failure, once. Check `max_requests` before."""
        self.running += 1
        op.bugs = self._config.bugs
        op.ballots = self._ballots
        op.holds = self._holds
        op.report = report
        op.wall_ms = self._moment.clock.wall_ms
        op.deadline = self._moment.clock.mono_ms + (timeout_ms or self._config.request_timeout_ms)
        op.flow = flow(op)
        self._schedule(op.deadline, op)
        self._resume(op)

    def _resume(self, op: Op, value: Any = None, error: GaveUpError | None = None) -> None:
        flow = op.flow
        assert flow is not None
        op.waiting = None
        try:
            while True:
                step = flow.send(value) if error is None else flow.throw(error)
                value = error = None
                if type(step) is Issue:
                    try:
                        value = self._issue(op, step.after)
                    except GaveUpError as refused:
                        error = refused
                        continue
                    if value is None:
                        return  # until the lease is durable
                elif type(step) is Turn:
                    if not self._lines.enter(op):
                        return  # until the one before is done
                    self.nudge(op)
                elif type(step) is Durable:
                    if step.ticket > self._overlay.committed:
                        self._hold(step.ticket, lambda: None if op.done else self._resume(op))
                        return
                elif type(step) is Pause:
                    self._call_later(step.ms, op, self._resume)
                    return
                elif not self._ask(op, step):  # type: ignore[arg-type]
                    return
        except StopIteration:
            self._end(op)
        except GaveUpError as gave_up:
            self._fail(op, gave_up.code, gave_up.text)

    def _call_later(self, ms: float, op: Op, call: Callable[[Op], None]) -> None:
        at = self._moment.clock.mono_ms + ms
        self._schedule(at, lambda: None if op.done else call(op))

    def nudge(self, op: Op) -> None:
        """Ask those who are silent once more, now and then while the op lasts. Doubles do no harm."""
        ask = op.waiting
        if ask is not None:
            message = self._message(op, ask, ask.request)
            for replica in ask.silent():
                self._send(replica, message)
            ask.tries += 1
            self._check(ask)  # it may wait for somebody who is suspected since
        self._call_later(RESEND_MS, op, self.nudge)

    def _ask(self, op: Op, ask: Ask) -> bool:
        """Send a question; True if the flow need not wait."""
        if not ask.request:
            wants = ask.need or ask.patient
            request = 0
            if wants:
                request = ask.request = self._requests = self._requests + 1
            ask.op = op
            plan = op.plan
            if plan is not None and type(ask) is not Tell:
                now = self._view.plan(op.partition, op.bucket.n)
                if now is not plan or len(now.writes) > 1:
                    self._aim(op, ask, now)
            message = self._message(op, ask, request)
            for replica in ask.replicas:
                if replica not in ask.aside:
                    self._send(replica, message)
            if op.bucket.sloppy and type(message) is Store:
                for stand_in, notice in widen(ask, message, self._view, self.alive):
                    self._send(stand_in, notice)
            if self._lenient and wants and type(message) is Store:
                count_hints(ask, message, self.alive, self.missed)
            if not wants:
                return True
        elif ask.complete:
            return True
        op.waiting = ask
        self._asks[ask.request] = ask
        return False

    def _aim(self, op: Op, ask: Ask, now: Plan) -> None:
        """Put a question to the replicas that are in force now, a majority of every set of them."""
        whole = ask.replicas is op.replicas
        fixed = op.plan is now
        op.plan, op.replicas = now, now.replicas
        if ask.make is not None or (not ask.need and not ask.patient):
            return  # it is for those it names
        if not whole:
            if fixed and len(now.writes) == 1:
                return
            ask.need = op.w
        sets = (
            now.reads if ask.kind is Query else now.writes
        )  # a promise must bind the old and the new replicas
        ask.replicas = now.replicas if len(sets) == 1 and len(now.writes) == 1 else union(sets)
        if op.partition == META:
            ask.sets = tuple((nodes, majority(len(nodes))) for nodes in sets)
        elif len(sets) > 1:
            ask.sets = tuple((nodes, min(ask.need, len(nodes))) for nodes in sets)

    def replan(self) -> None:
        """The ring has changed: ask again what was asked of replicas that are not in force any more."""
        for ask in list(self._asks.values()):
            op = ask.op
            assert op is not None
            if (
                op.plan is None
                or type(ask) is Tell
                or ask.patient
                or self._view.plan(op.partition, op.bucket.n) is op.plan
            ):
                continue
            if ask.make is not None and not ask.stale:
                continue  # what it asks for must not be done twice; an answer, or a refusal, is on its way
            del self._asks[ask.request]
            if ask.kind is Prepare or ask.kind is Accept:
                self._resume(op, error=GaveUpError("STALE", "the ring has changed", replanned=True))
                continue
            if ask.kind is Query and ask.replicas is not op.replicas:
                ask.replicas = op.replicas
            self._ask(op, ask.again())

    def stale(self, message: Stale) -> None:
        """A replica did nothing, for our epoch is over. What is asked again anyhow needs no more; see `replan`."""
        ask = self._asks.get(message.request)
        if type(ask) is Tell and ask.op is not None:
            del self._asks[ask.request]
            self._resume(ask.op, error=GaveUpError("STALE", "the ring has moved on"))
        elif ask is not None and ask.make is not None:
            ask.stale = True
            self.replan()

    def _message(self, op: Op, ask: Ask, request: int) -> Message:
        kind = ask.kind
        epoch = 0 if op.plan is None else op.plan.epoch  # none: the question is not about a key
        left_ms = op.deadline - self._moment.clock.mono_ms
        if kind is Query:
            writes = op.bucket.mode == "register"  # the clock orders
            hlc = self._hlc.peek(self._moment.clock.wall_ms) if writes else 0
            return Query(request, op.bucket.name, op.key, op.partition, epoch, left_ms, hlc)
        if kind is Prepare:
            return Prepare(request, op.bucket.name, op.key, op.partition, epoch, left_ms, ask.tag)
        if type(ask) is Tell:
            return ask.kind(request, *ask.body)
        op.mutated = True
        if kind is Accept:
            op.stored = ask
            return Accept(
                request,
                op.bucket.name,
                op.key,
                op.partition,
                epoch,
                left_ms,
                ask.tag,
                ask.value,
                ask.then,
            )
        if kind is Store or kind is Repair:
            op.stored = ask
            return kind(request, op.bucket.name, op.key, op.partition, epoch, left_ms, ask.tag, ask.value)
        if ask.make is not None:
            return ask.make(request, epoch, left_ms)  # type: ignore[return-value]
        return kind(request, op.bucket)  # type: ignore[call-arg,arg-type]

    def version(self, src: str, message: QueryReply | StoreReply) -> None:
        """A replica told a version."""
        seen = message.tag.latest
        ask = self._asks.get(message.request)
        if type(message) is QueryReply and ask is not None and ask.op is not None:
            seen = max(seen, clock_in(ask.op.bucket, message.tag, message.value))
        if seen > self._hlc.last and self._hlc.credible(seen, self._moment.clock.wall_ms):
            self._hlc.observe(seen)  # a later write through this node must beat what it has seen
        if ask is not None and ask.answer(src, message):
            self._check(ask)

    def answer(self, src: str, message: Promise | Accepted | BucketReply | Applied | RingAnswer) -> None:
        """An answer to a question that is not about a version."""
        ask = self._asks.get(message.request)
        if ask is not None and ask.answer(src, message):
            self._check(ask)

    def refusal(self, src: str, message: Refused | Nack | OtherLife) -> None:
        """A replica refused one."""
        ask = self._asks.get(message.request)
        if ask is not None and ask.refuse(src, message):
            self._check(ask)

    def _check(self, ask: Ask) -> None:
        op = ask.op
        assert op is not None
        if ask.patient:
            if ask.complete:
                del self._asks[ask.request]
                self._resume(op)
        elif ask.satisfied if ask.sets is not None else len(ask.answers) >= ask.need:
            del self._asks[ask.request]
            self._resume(op)
        elif ask.hopeless or ask.overtaken(self.alive):
            del self._asks[ask.request]
            self._resume(op, error=steps.refused_by(ask))

    def _issue(self, op: Op, after: int | None) -> Tag | None:
        """A new tag, or None: the op is resumed with it once the lease that covers it is durable."""
        wall_ms = self._moment.clock.wall_ms
        if after is None and self._config.clock == "wall":
            return Tag(self._hlc.bare(wall_ms), self._config.name, self._incarnation)
        if after and not self._hlc.credible(after, wall_ms):
            raise GaveUpError("CLOCKSKEW", "a replica holds a version too far ahead of this node's clock")
        tag = Tag(
            self._hlc.now(wall_ms, after or 0), self._config.name, 0 if self._forgetful else self._incarnation
        )
        self.renew()
        if self._forgetful or self._hlc.covered(tag.hlc):
            return tag
        self._hold(self._overlay.ticket, lambda: None if op.done else self._resume(op, tag))
        return None

    def renew(self) -> None:
        """Extend the clock lease if it runs low."""
        if self._forgetful:
            return
        lease = self._hlc.wanted(self._moment.clock.wall_ms, self._lease)
        if lease is None:
            return
        self._lease = lease
        write = self._overlay.write_meta(Meta(LEASE, b"%d" % lease))
        self._emit(write)
        self._hold(write.ticket, lambda: setattr(self._hlc, "lease", max(self._hlc.lease, lease)))

    # ---- the end of an op ----

    def _fail(self, op: Op, code: str, text: str) -> None:
        """Rule 2 lives here."""
        self._end(op)
        if op.answered:
            return
        op.answered = True
        self.failures += 1
        if op.mutated and definite(code):
            code, text = "INDEFINITE", f"{text}; it may yet take effect"
        op.report(op, Failure(code, text))

    def _end(self, op: Op) -> None:
        op.done = True
        if op.stored is not None:
            self._look_after(op, op.stored)
        op.flow = None  # op and generator refer to each other; spare the garbage collector
        self.running -= 1
        if op.turn:
            next_op = self._lines.leave(op)
            if next_op is not None:
                self.nudge(next_op)
                self._resume(next_op)

    def _look_after(self, op: Op, ask: Ask) -> None:
        """Replicas that did not acknowledge, and are suspected or had all the time there was, missed the write."""
        late = self._moment.clock.mono_ms >= op.deadline
        for replica in steps.owed(ask):
            if replica != self._name and ask.need and (late or not self.alive(replica)):
                self.missed(replica, Record(op.bucket.name, op.key, ask.tag, ask.value))

    def expire(self, op: Op) -> None:
        """The deadline of an op has passed."""
        ask = op.waiting
        if ask is not None:
            del self._asks[ask.request]
            if ask.patient:
                self._resume(op)
                return
        self.timeouts += 1
        why = "storage, or an operation on the same key before this one, has not answered in time"
        code = "NOQUORUM" if op.writes and not op.mutated else "TIMEOUT"
        self._resume(op, error=GaveUpError(code, why if ask is None else ask.lacking()))
