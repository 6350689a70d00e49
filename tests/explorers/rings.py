"""Random schedules of ABD while a partition gets new replicas, by the store's own flows, documents, views and quorums.

Nodes deliver, lose and reorder; coordinators may know any earlier epoch; the driver goes on when `barred` lets it, and
newcomers merge what `sources` asks for. One run is one seed. A rule that is left out is named as in `kvstore.bugs`, and
`no_streaming` besides.
"""

from __future__ import annotations

import random
from functools import cache
from typing import Any, NamedTuple, cast

from kvstore.config import bucket
from kvstore.coordinator import Coordinator
from kvstore.document import Change, Document, Member, advanced, barred, newcomers, sources
from kvstore.events import NO_TAG, Tag
from kvstore.flows import register
from kvstore.flows.steps import Ask, Issue, Op
from kvstore.messages import Query, QueryReply, StoreReply
from kvstore.ring import PARTITIONS
from kvstore.view import View
from tests.explorers.monitor import Call, Monitor

BUCKET = bucket("b", "register")
LAYOUTS = (("ABC", "ABD"), ("ABC", "ADE"), ("AB", "ABC"), ("ABC", "AB"))
WORK = (1, 2, "r", 3, "r", "r", "r")


class Message(NamedTuple):
    what: str  # query, store, answer, stale, offer, adopted, scan, page
    src: str
    dst: str
    number: int  # of the question
    epoch: int
    tag: Tag = NO_TAG
    value: bytes | None = None


@cache
def views(old: str, new: str, bugs: frozenset[str]) -> list[View]:
    """What a node makes of each of the four epochs; only looked at."""
    return [View("z", document, bugs) for document in documents(old, new)]


@cache
def documents(old: str, new: str) -> list[Document]:
    """The four epochs of one partition's walk."""
    names = sorted({*old, *new})
    owners = tuple(old[p % len(old)] for p in range(PARTITIONS))
    wanted = tuple(new[p % len(new)] for p in range(PARTITIONS))
    members = tuple(Member(name, "") for name in names)
    start = Document(
        1, "", members, owners, (1,) * (PARTITIONS + 1), ("A",), Change("rebalance", ""), wanted,
        (0, *[3] * PARTITIONS), ("A",),
    )  # fmt: skip
    one = advanced(start, [], [0])
    two = advanced(one, [0], [])
    return [start, one, two, advanced(two, [0], [])]


class Run:
    """One seed."""

    def __init__(self, seed: int, bugs: frozenset[str] = frozenset(), loss: float = 0.0) -> None:
        self.rng = random.Random(seed)
        self.bugs, self.loss = bugs, loss
        old, new = self.rng.choice(LAYOUTS)
        self.documents = documents(old, new)
        self.names = sorted({*old, *new})
        self.views = views(old, new, bugs)
        self.epochs = dict.fromkeys(self.names, 0)  # what each node has adopted, from 0
        self.held: dict[str, tuple[Tag, bytes | None]] = dict.fromkeys(self.names, (NO_TAG, None))
        self.pool: list[Message] = []
        self.monitor = Monitor()
        self.asks: dict[int, tuple[int, Op, Ask, int]] = {}
        self.number = self.begun = self.clock = 0
        self.at = 0  # the driver's epoch, from 0
        self.adopted: set[str] = set()
        self.pulls: dict[str, dict[str, Message]] = {}
        self.pulled: set[str] = set()

    # ---- the schedule ----

    def play(self, steps: int = 250) -> bool:
        """Whether what clients saw is linearizable."""
        for _ in range(steps):
            draw = self.rng.random()
            if self.begun < len(WORK) and draw < 0.06:
                self.begin(WORK[self.begun])
            elif self.at < 3 and draw < 0.14:
                self.drive()
            elif self.pool:
                message = self.pool.pop(self.rng.randrange(len(self.pool)))
                if self.rng.random() >= self.loss:
                    self.deliver(message)
            if self.monitor.violated:
                return False
        return True

    def begin(self, what: int | str) -> None:
        """A client's operation, at a coordinator that may be behind."""
        number = self.begun
        self.begun += 1
        call = Call(number, "read") if what == "r" else Call(number, "write", what)
        self.monitor = self.monitor.begin(call)
        epoch = self.rng.randint(0, self.at)
        plan = self.views[epoch].plan(0, 3)
        need = {"r": min(BUCKET.r, len(plan.replicas)), "w": min(BUCKET.w, len(plan.replicas))}
        op = Op(
            BUCKET,
            b"k",
            0,
            plan.replicas,
            lambda op: None,
            value=None if what == "r" else b"%d" % int(what),
            writes=what != "r",
        )
        op.r, op.w, op.plan = need["r"], need["w"], plan
        op.report = lambda op, value: self.answered(number, op)
        op.flow = register.read(op) if what == "r" else register.write(op)
        self.resume(number, op, epoch)

    def answered(self, number: int, op: Op) -> None:
        read = not op.writes
        self.monitor = self.monitor.end(
            number, (None if op.value is None else int(op.value)) if read else None
        )

    # ---- a coordinator ----

    def resume(self, number: int, op: Op, epoch: int, value: Any = None) -> None:
        try:
            while True:
                step = op.flow.send(value)
                if not isinstance(step, Issue):
                    self.ask(number, op, cast(Ask, step), epoch)
                    return
                self.clock = max(self.clock, step.after or 0) + 1
                value = Tag(self.clock, f"z{number}", 1)
        except StopIteration:
            op.done = True

    def ask(self, number: int, op: Op, ask: Ask, epoch: int) -> None:
        plan = self.views[epoch].plan(0, 3)
        Coordinator._aim(cast(Any, None), op, ask, plan)
        self.number += 1
        self.asks[self.number] = (number, op, ask, epoch)
        what = "query" if ask.kind is Query else "store"
        for replica in ask.replicas:
            self.pool.append(Message(what, "", replica, self.number, plan.epoch, ask.tag, ask.value))

    def told(self, message: Message) -> None:
        """An answer, or STALE."""
        found = self.asks.get(message.number)
        if found is None:
            return
        number, op, ask, epoch = found
        if message.what == "stale":
            epoch = max(epoch, message.epoch - 1)
            del self.asks[message.number]
            if ask.kind is Query:
                ask.replicas = op.replicas
            self.ask(number, op, ask.again(), epoch)
            return
        reply = QueryReply(0, message.tag, message.value) if ask.kind is Query else StoreReply(0, message.tag)
        ask.answer(message.src, reply)
        if ask.satisfied:
            del self.asks[message.number]
            self.resume(number, op, epoch)

    # ---- a replica ----

    def deliver(self, message: Message) -> None:
        if not message.dst:
            self.told(message)
            return
        if message.what == "adopted":
            if message.epoch == self.documents[self.at].epoch:
                self.adopted.add(message.src)
            return
        name = message.dst
        careless = message.what == "scan" and "join.source_not_adopted" in self.bugs
        if message.what != "page" and not careless:
            self.epochs[name] = max(self.epochs[name], message.epoch - 1)
        since = self.documents[self.epochs[name]].since[0]
        if message.what == "offer":
            self.pool.append(Message("adopted", name, "driver", 0, message.epoch))
        elif message.what == "page":
            self.merge(name, message)
        elif message.what == "scan":
            tag, value = self.held[name]
            self.pool.append(Message("page", name, message.src, 0, message.epoch, tag, value))
        elif message.epoch < since and "join.no_epoch_reject" not in self.bugs:
            self.pool.append(Message("stale", name, "", message.number, since))
        else:
            if message.what == "store":
                self.held[name] = max(self.held[name], (message.tag, message.value), key=lambda held: held[0])
            tag, value = self.held[name]
            self.pool.append(Message("answer", name, "", message.number, 0, tag, value))

    # ---- the driver and the newcomers ----

    def drive(self) -> None:
        """Send offers and scans again, or go a step on if that may be."""
        document = self.documents[self.at]
        if self.at and "join.no_barrier" not in self.bugs and not barred(document, 0, 3, self.adopted):
            self.spread("offer", document)
            return
        if self.at == 1 and "no_streaming" not in self.bugs:
            fresh = [node for node in newcomers(document, 0, 3) if node not in self.pulled]
            for node in fresh:
                there, _ = sources(document, 0, 3, node)
                for source in there:
                    self.pool.append(Message("scan", node, source, 0, document.epoch))
            if fresh:
                return
        self.at += 1
        self.adopted = set()

    def spread(self, what: str, document: Document) -> None:
        for name in self.names:
            if self.rng.random() < 0.5:
                self.pool.append(Message(what, "", name, 0, document.epoch))

    def merge(self, name: str, message: Message) -> None:
        if name in self.pulled:
            return
        pages = self.pulls.setdefault(name, {})
        pages[message.src] = message
        _, need = sources(self.documents[1], 0, 3, name)
        if len(pages) >= (1 if "join.stream_from_one" in self.bugs else need):
            best = max(pages.values(), key=lambda page: page.tag)
            self.held[name] = max(self.held[name], (best.tag, best.value), key=lambda held: held[0])
            self.pulled.add(name)
