"""Random schedules of class cas: the store's own flows, proposers and acceptors, with messages lost, late and doubled.

    each turn one of:   a client begins an operation · a question or an answer arrives, once or twice, or is lost ·
                        a proposer comes back from its pause · a client gives up (its operation may yet take effect) ·
                        an acceptor crashes and comes back with what is on disk

Each client has a coordinator of its own, so nothing but the protocol keeps them apart.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from kvstore import caspaxos
from kvstore.caspaxos import Ballots, Held, Slot
from kvstore.config import bucket
from kvstore.events import NO_TAG
from kvstore.flows import cas
from kvstore.flows.steps import Ask, GaveUpError, Op, Pause, Turn
from kvstore.messages import Query, QueryReply
from kvstore.messages_cas import Accepted, Nack, Prepare, Promise
from tests.explorers.monitor import Call, Monitor

REPLICAS = ("A", "B", "C")
BUCKET = bucket("b", "cas")


class Acceptor:
    """One replica: the slot on disk, and the promise it remembers if its disk does not."""

    def __init__(self, forgetful: bool, heedless: bool) -> None:
        self.slot = Slot()
        self.heedless = heedless  # of the next promise an accept asks for
        self.forgetful = forgetful

    def crash(self) -> None:
        """Keep what is on disk."""
        if self.forgetful:
            self.slot = self.slot._replace(promised=NO_TAG)

    def handle(self, ask: Ask) -> Any:
        """The answer to a question."""
        if ask.kind is Query:
            return QueryReply(0, self.slot.accepted, self.slot.value)
        prepares = ask.kind is Prepare
        new = (
            caspaxos.prepare(self.slot, ask.tag)
            if prepares
            else caspaxos.accept(self.slot, ask.tag, ask.value, NO_TAG if self.heedless else ask.then)
        )
        if new is None:
            return Nack(0, self.slot.floor)
        self.slot = new
        return Promise(0, new.accepted, new.value) if prepares else Accepted(0, ask.tag)


class Hand:
    """What a coordinator holds for the one key: `kvstore.holds` without a ring."""

    def __init__(self) -> None:
        self.held: Held | None = None

    def put(self, op: Op, held: Held) -> None:
        """For the next change."""
        self.held = held

    def take(self, op: Op) -> Held | None:
        """Once."""
        held, self.held = self.held, None
        return held


class Schedule:
    """One run. `violated` says how it ended."""

    def __init__(self, seed: int, bugs: frozenset[str], clients: int = 3, ops: int = 7) -> None:
        self.rng = random.Random(seed)
        self.bugs = bugs
        self.monitor = Monitor()
        self.acceptors = {
            name: Acceptor("cas.promise_not_persisted" in bugs, "cas.next_not_promised" in bugs)
            for name in REPLICAS
        }
        self.holds = [Hand() for _ in range(clients)]
        self.ballots = [Ballots(f"n{client}", 1, self.rng) for client in range(clients)]
        self.busy: list[Op | None] = [None] * clients
        self.flights: list[tuple[Ask, str, Any]] = []  # question, replica, its answer once there is one
        self.pausing: list[Op] = []
        self.left = ops
        self.loss = self.rng.choice([0.05, 0.2, 0.4])

    @property
    def violated(self) -> bool:
        """Run to the end, or to the first answer that nothing explains."""
        while self.left or self.flights or self.pausing:
            self._turn()
            if self.monitor.violated:
                return True
            if not self.left and not any(self.busy):
                return False
        return False

    def _turn(self) -> None:
        rng = self.rng
        idle = [client for client, op in enumerate(self.busy) if op is None]
        roll = rng.random()
        if self.left and idle and roll < 0.15:
            self._begin(rng.choice(idle))
        elif self.pausing and roll < 0.3:
            op = self.pausing.pop(int(rng.random() * len(self.pausing)))
            if not op.done:
                self._resume(op)
        elif 0.3 <= roll < 0.306 and any(self.busy):
            op = rng.choice([op for op in self.busy if op is not None])
            self._resume(op, GaveUpError("TIMEOUT", "the client gave up"))
        elif 0.31 <= roll < 0.33:
            self.acceptors[rng.choice(REPLICAS)].crash()
        elif self.flights:
            self._fly()
        elif not self.pausing and any(self.busy):
            op = next(op for op in self.busy if op is not None)
            self._resume(op, GaveUpError("TIMEOUT", "everything was lost"))

    def _fly(self) -> None:
        at = int(self.rng.random() * len(self.flights))
        ask, replica, answer = self.flights[at]
        if self.rng.random() >= 0.05:  # else it comes twice
            self.flights[at] = self.flights[-1]
            self.flights.pop()
        if self.rng.random() < self.loss:
            return
        if answer is None:
            self.flights.append((ask, replica, self.acceptors[replica].handle(ask)))
            return
        op = ask.op
        assert op is not None
        if op.waiting is not ask:
            return
        if isinstance(answer, Nack):
            if ask.refuse(replica, answer) and ask.hopeless:
                self._resume(op, GaveUpError("NOQUORUM", "nacks"))
        elif ask.answer(replica, answer) and ask.satisfied:
            self._resume(op)

    def _begin(self, client: int) -> None:
        rng, number = self.rng, self.left
        self.left -= 1
        kind = rng.choice(["read", "write", "cas", "cas"])
        argument: Any = number
        op = Op(BUCKET, b"k", 0, REPLICAS, lambda op: None)
        if kind == "read":
            argument, flow = None, cas.read
        elif kind == "write":
            op.value, flow = b"%d" % number, cas.write
        else:
            old = rng.choice([None, *range(number + 1, number + 3)])
            argument, flow = (old, number), cas.change
            op.effect = _if_value(None if old is None else b"%d" % old, b"%d" % number)
        self.monitor = self.monitor.begin(Call(number, kind, argument))
        op.bugs = self.bugs
        op.ballots = self.ballots[client]
        op.holds = self.holds[client]  # type: ignore[assignment]
        op.report = lambda op, _: self._answer(number, kind, op)
        op.index = client
        self.busy[client] = op
        op.flow = flow(op)
        self._resume(op)

    def _answer(self, number: int, kind: str, op: Op) -> None:
        if kind == "read":
            answer: Any = None if op.value is None else int(op.value)
        else:
            assert op.change is not None
            answer = op.change.took_effect if kind == "cas" else None
        self.monitor = self.monitor.end(number, answer)

    def _resume(self, op: Op, error: GaveUpError | None = None) -> None:
        op.waiting = None
        try:
            while True:
                step = op.flow.send(None) if error is None else op.flow.throw(error)
                error = None
                if isinstance(step, Turn):
                    continue
                if isinstance(step, Pause):
                    self.pausing.append(op)
                    return
                assert isinstance(step, Ask)
                step.op, op.waiting = op, step
                self.flights += [(step, replica, None) for replica in step.replicas]
                return
        except (StopIteration, GaveUpError):
            op.done = True
            self.busy[op.index] = None


def _if_value(old: bytes | None, new: bytes) -> Any:
    return lambda state: (new, 0) if state.value == old else caspaxos.KEEP


def violations(seeds: Iterable[int], bugs: frozenset[str]) -> list[int]:
    """The seeds whose schedule is not linearizable."""
    return [seed for seed in seeds if Schedule(seed, bugs).violated]
