"""One node: a state machine that turns events into effects. See `kvstore.events` for both.

    Command ──► session ──► coordinator ──► messages to replicas, itself among them
    Deliver ──► replica (requests), coordinator (answers)
    Fired ────► deadlines of ops, heartbeats          Committed ──► what waited for durability

Rule 1. What must not precede durability is kept under its ticket in `_held`, until `Committed`.
Rule 2. Nothing is coordinated before this life's incarnation and clock lease are durable.
Rule 3. A message to this node itself takes the same way as any other, without the network.
Rule 4. One timer is outstanding, for the earliest deadline; ops that are done are skipped. Every part of the
        node that does something later gives `schedule` an instant and a call.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Protocol

from kvstore import (
    commands,
    commands_admin,
    commands_cas,
    commands_causal,
    commands_cluster,
    commands_login,
    commands_scan,
    commands_session,
    commands_slots,
    session,
)
from kvstore.acceptor import Acceptor
from kvstore.actors import META as ACTORS
from kvstore.actors import Actors
from kvstore.birth import Births
from kvstore.buckets import META as BUCKETS
from kvstore.buckets import Buckets
from kvstore.caspaxos import Ballots
from kvstore.config import NodeConfig
from kvstore.coordinator import LEASE, Coordinator
from kvstore.driver import Driver
from kvstore.events import (
    Clock,
    Closed,
    Command,
    Committed,
    Deliver,
    Drain,
    Effect,
    Event,
    Failure,
    Fired,
    Meta,
    Reader,
    Reply,
    Send,
    SetTimer,
    Snapshotted,
    Value,
    Verified,
)
from kvstore.flows.steps import Op
from kvstore.forest import Forest
from kvstore.hlc import HybridClock
from kvstore.membership import DOCUMENT, Membership, born
from kvstore.messages import Message
from kvstore.overlay import Overlay
from kvstore.replica import Moment, Replica
from kvstore.ring import Ring
from kvstore.routes import routes
from kvstore.slices import Slices
from kvstore.snapshots import INCARNATION, Snapshots, life_before
from kvstore.transfer import Transfer
from kvstore.updates import Updates
from kvstore.upkeep import Upkeep
from kvstore.users import permitted
from kvstore.view import View

_FILLED_BY = (  # importing them fills session.TABLE
    commands,
    commands_admin,
    commands_cas,
    commands_causal,
    commands_cluster,
    commands_login,
    commands_scan,
    commands_session,
    commands_slots,
)

TICK_MS = 1.0  # timers are no finer than this
_NEVER = float("inf")
STOPPING = Failure("LOADING", "this node is stopping; nothing was done, send it to another node")


def _ignore(src: str, message: Any) -> None:
    """What a node that is not born does about most messages."""


class Rng(Protocol):
    """The part of random.Random a node uses."""

    def random(self) -> float:
        """A number in [0, 1)."""


class Node:
    """A member of the store. `start` once, then `step` for each event; perform the effects in order."""

    def __init__(self, config: NodeConfig, reader: Reader, rng: Rng) -> None:
        self.config = config
        self.view = View(config.name, born(config, reader.meta(DOCUMENT)), config.bugs)
        self.name = config.name
        self.reader = reader
        self.rng = rng
        self.moment = Moment()
        self.slices = Slices(self.moment, self.schedule)
        self.ready = False
        self.draining = False
        self.incarnation = life_before(reader) + 1
        self.buckets = Buckets(config, reader.meta(BUCKETS))
        self.sessions: dict[int, session.Session] = {}
        self.commands_seen = 0
        self._forgetful = "hlc.not_persisted" in config.bugs
        self._eager = "ack_before_fsync" in config.bugs
        hlc = HybridClock(0 if self._forgetful else int(reader.meta(LEASE) or 0), config.max_clock_skew_ms)
        self.overlay = Overlay(reader, Forest(config.cluster.encode(), self._kind_of, config.bugs))
        self.replica = Replica(
            self.view, hlc, self.overlay, self.buckets, self.moment,
            bugs=config.bugs, send=self.send_after, emit=self.emit,
        )  # fmt: skip
        self.acceptor = Acceptor(
            self.overlay, config.bugs, refused=self.replica.refused, send=self.send_after, emit=self.emit,
            lasting=self.buckets.lasting,
        )  # fmt: skip
        self.replica.acceptor = self.acceptor
        self.lives: dict[str, int] = {}  # of the replicas, as they told: see `kvstore.messages_causal`
        self.updates = Updates(
            self.name, self.replica, self.overlay, self.buckets, Actors(reader.meta(ACTORS), rng), rng,
            config.max_value_bytes, send=self.send_after, hold=self.hold, emit=self.emit,
        )  # fmt: skip
        self.coordinator = Coordinator(
            config,
            self.view,
            hlc,
            self.overlay,
            self.moment,
            Ballots(self.name, self.incarnation, rng, lambda: int(self.moment.clock.wall_ms)),
            self.incarnation,
            send=self.send,
            hold=self.hold,
            emit=self.emit,
            schedule=self.schedule,
        )
        self.membership = self.replica.membership = Membership(self)
        self.transfer = Transfer(self)
        self.replica.unbound = self.transfer.refuses
        self.driver = Driver(self)
        self.snapshots = Snapshots(self)
        self.upkeep = Upkeep(self)
        self.coordinator.alive, self.coordinator.missed = self.upkeep.alive, self.upkeep.missed
        self.replica.damaged = self.upkeep.scrub.mend
        self.replica.careless = "read_error_as_notfound" in config.bugs
        self._out: list[Effect] = []
        self._local: deque[Message] = deque()  # to this node itself
        self._held: dict[int, list[Callable[[], None]]] = {}
        self._early: list[Command] = []  # came before `ready`
        self._deadlines: list[tuple[float, int, Op | Callable[[], None]]] = []  # a heap
        self._order = 0
        self._timer = 0
        self._timer_at = _NEVER
        self._events: dict[type, Callable[[Any], None]] = {
            Command: self._command, Closed: self._closed, Fired: self._fired, Committed: self._committed,
            Drain: self._drain, Verified: self._verified, Snapshotted: self.snapshots.taken,
        }  # fmt: skip
        self.births = Births(self)
        self._messages = routes(self)

    @property
    def ring(self) -> Ring:
        """The owners of the epoch adopted."""
        return self.view.ring

    # ---- the border ----

    def start(self, clock: Clock) -> list[Effect]:
        """Begin a life, once it is sure that this is no disk that was lost (`kvstore.birth`). Call once, first."""
        self.moment.clock = clock
        self._out = []
        if self.births.needed(self.reader.meta(INCARNATION)):
            self._messages = defaultdict(lambda: _ignore, self.births.handlers())
            self.births.begin()
        else:
            self.begin_life(self.incarnation)
        return self._out

    def begin_life(self, incarnation: int) -> None:
        """Make the incarnation and a clock lease durable, then serve."""
        self.incarnation = incarnation
        self.coordinator.begin_life(incarnation)
        self.upkeep.gossip.begin_life(incarnation)
        self.emit(self.overlay.write_meta(Meta(INCARNATION, b"%d" % incarnation)))
        self.coordinator.renew()
        self.membership.start()
        self._messages = routes(self)
        self.hold(self.overlay.ticket, self._begin)

    def step(self, clock: Clock, event: Event) -> list[Effect]:
        """What the node does about one event."""
        self.moment.clock = clock
        out = self._out = []
        if type(event) is Deliver:
            message = event.message
            self._messages[type(message)](event.src, message)
        else:
            self._events[type(event)](event)
        local = self._local
        while local:
            message = local.popleft()
            self._messages[type(message)](self.name, message)
        return out

    def _begin(self) -> None:
        self.ready = True
        self.upkeep.start()
        early, self._early = self._early, []
        for command in early:
            self._command(command)

    # ---- sending, now or after a commit ----

    def emit(self, effect: Effect) -> None:
        """Add an effect to this step's."""
        self._out.append(effect)

    def deliver(self, src: str, message: Message) -> None:
        """Let this node see a message that has waited for something."""
        self._messages[type(message)](src, message)

    def send(self, dst: str, message: Message) -> None:
        """Send a message, to this node itself too."""
        if dst == self.name:
            self._local.append(message)
        else:
            self._out.append(Send(dst, message))

    def send_after(self, dst: str, message: Message, ticket: int) -> None:
        """Send it once that write is durable."""
        if ticket > self.overlay.committed and not self._eager:
            self.hold(ticket, lambda: self.send(dst, message))
        elif dst == self.name:
            self._local.append(message)
        else:
            self._out.append(Send(dst, message))

    def send_settled(self, dst: str, message: Message) -> None:
        """Send it once everything written so far is durable."""
        if self._eager:
            self.send(dst, message)
        else:
            self.hold_all(lambda: self.send(dst, message))

    def hold_all(self, action: Callable[[], None]) -> None:
        """Act once everything written so far is durable; at once if it is."""
        if self.overlay.loose:
            self.emit(self.overlay.barrier())
        if self.overlay.ticket > self.overlay.committed:
            self.hold(self.overlay.ticket, action)
        else:
            action()

    def hold(self, ticket: int, action: Callable[[], None]) -> None:
        """Act once that write, which is not durable yet, is."""
        held = self._held.get(ticket)
        if held is None:
            self._held[ticket] = [action]
        else:
            held.append(action)

    def _committed(self, event: Committed) -> None:
        first = self.overlay.committed + 1
        self.overlay.commit(event.ticket)
        for ticket in range(first, event.ticket + 1):
            for action in self._held.pop(ticket, ()):
                action()

    # ---- clients ----

    def _command(self, command: Command) -> None:
        if not self.ready and not self.births.may_ask(command.args):
            self._early.append(command)
            return
        client = self.sessions.get(command.conn)
        if client is None:
            client = self.sessions[command.conn] = session.Session(command.conn, self.config)
        if client.busy:
            if len(client.queue) < session.QUEUE_MAX:
                client.queue.append(command)
            else:
                failure = Failure("OVERLOADED", "too many commands wait on this connection")
                self._out.append(Reply(command.conn, command.request, failure))
            return
        self._run(client, command)

    def _drain(self, event: Drain) -> None:
        self.draining = True
        early, self._early = self._early, []
        self._out += [Reply(command.conn, command.request, STOPPING) for command in early]
        latest = self.moment.clock.mono_ms + self.config.request_timeout_ms
        for at, _, what in list(self._deadlines):
            if type(what) is Op and at > latest:  # it had a TIMEOUT of its own
                what.deadline = latest
                self.schedule(latest, what)

    def _run(self, client: session.Session, command: Command) -> None:
        if self.draining and not commands_session.asks_token(command.args):
            self._out.append(Reply(client.conn, command.request, STOPPING))
            return
        self.commands_seen += 1
        client.busy = True
        client.request = command.request
        value = session.dispatch(self, client, command.args)
        if not isinstance(value, session.Later):
            client.busy = False
            self._out.append(Reply(client.conn, command.request, value))

    def respond(self, client: session.Session, value: Value) -> None:
        """Answer the command the session is busy with, and begin its next."""
        if client.closed:
            return
        self._out.append(Reply(client.conn, client.request, value))
        client.busy = False
        for command in client.due() if client.queue else ():
            self._run(client, command)

    def _verified(self, event: Verified) -> None:
        client = self.sessions.get(event.conn)
        if client is not None:  # it may have gone meanwhile
            commands_login.verified(self, client, event.good)

    def may(self, conn: int, args: tuple[bytes, ...]) -> bool:
        """Whether this connection may give a command that the server answers itself."""
        client = self.sessions.get(conn)
        if client is None:
            return self.config.open_to_all
        return client.authenticated and (client.may is None or permitted(client.may, args))

    def _closed(self, event: Closed) -> None:
        client = self.sessions.pop(event.conn, None)
        if client is not None:
            client.closed = True
            client.queue.clear()
        self._early = [command for command in self._early if command.conn != event.conn]

    # ---- time ----

    def schedule(self, at: float, what: Op | Callable[[], None]) -> None:
        """At that instant of the monotonic clock (ms) expire the op, or make the call."""
        self._order += 1
        heappush(self._deadlines, (at, self._order, what))
        if at < self._timer_at:
            self._arm(at)

    def _arm(self, at: float) -> None:
        self._timer += 1
        self._timer_at = at
        delay_ms = max(at - self.moment.clock.mono_ms, 0.0)
        self._out.append(SetTimer(self._timer, -(-delay_ms // TICK_MS) * TICK_MS))

    def _fired(self, event: Fired) -> None:
        if event.timer != self._timer:
            return
        self._timer_at = _NEVER
        now, heap = self.moment.clock.mono_ms, self._deadlines
        while heap:
            at, _, what = heap[0]
            if at > now and not (type(what) is Op and what.done):
                break
            heappop(heap)
            if type(what) is not Op:
                what()  # type: ignore[operator]
            elif not what.done and what.deadline > now:  # it has been put off
                self.schedule(what.deadline, what)
            elif not what.done:
                self.coordinator.expire(what)
        if heap and heap[0][0] < self._timer_at:
            self._arm(heap[0][0])

    def _kind_of(self, bucket: str) -> str | None:
        found = self.buckets.opened.get(bucket)
        return None if found is None else found.kind

    def soon(self, call: Callable[[], None]) -> None:
        """Make the call in a step of its own."""
        self.schedule(self.moment.clock.mono_ms, call)

    def reachable(self, peer: str) -> bool:
        """Whether a peer is not suspected. For people, never for safety."""
        return peer == self.name or (self.ready and self.upkeep.heard(peer))
