"""Random schedules of class cas while a partition gets new replicas: the store's own nodes, whole, on a network that the seed commands.

    one key, four epochs of one partition (`rings.documents`), clients at any node, each knowing whatever epoch it knows
    seed ──► which links are open for now ──► which of the messages on them comes next, twice or never
             which client begins what ──► when the driver goes on ──► which copies go round ──► who restarts

Before the walk *ghosts* propose, two or three: clients whose node dies half way, each with promises of one majority and accepts of some,
interleaved. That is where walks go wrong, and clients alone seldom get there.

The driver is the explorer: it goes on when `barred` lets it, and when all who have to stream say that they have. What clients see is
judged by `monitor`. One run is one seed.
"""

from __future__ import annotations

import random
from typing import Any

from msgspec import Struct

from kvstore.document import barred, newcomers, packed, pullers
from kvstore.events import Command, Committed, Deliver, Effect, Failure, Fired, Reply, Send, SetTimer, Write
from kvstore.messages_repair import Fetch
from kvstore.messages_ring import RING_BUCKET, Pull, Pulled, RingOffer, RingReply, RingWant
from tests.explorers.monitor import Call, Monitor
from tests.explorers.moves_ghost import GHOST, Ghost
from tests.explorers.moves_node import BUCKET, KEY, Machine
from tests.explorers.rings import documents

LAYOUTS = (("ABC", "ABD"), ("ABC", "ADE"), ("ABC", "DBC"), ("AB", "ABC"), ("ABC", "AB"))
DRIVER = "driver"
GHOSTS_MAX = 3
OPS = 2  # of clients, while the partition moves


class Run:
    """One seed."""

    def __init__(self, seed: int, without: str = "") -> None:
        rng = self.rng = random.Random(seed)
        self.without = without
        self.quiet = (
            rng.random() < 0.6
        )  # no client while the partition moves, and one of the old replicas away meanwhile
        self.layout = rng.choice(LAYOUTS if not self.quiet or rng.random() < 0.3 else LAYOUTS[:1])
        self.documents = documents(*self.layout)
        self.names = sorted({*self.layout[0], *self.layout[1]})
        self.machines = {name: Machine(name, self.names, self.documents[0], without) for name in self.names}
        self.now_ms = 0.0
        self.pool: list[tuple[str, str, Struct]] = []
        self.monitor = Monitor()
        self.calls: dict[tuple[str, int], tuple[int, str]] = {}
        self.begun = self.request = 0
        self.at = 0  # the driver's epoch, from 0
        self.adopted: set[str] = set()
        self.pulled: set[str] = set()
        self.copies = self.quiet or rng.random() < 0.5
        self.crashes = rng.random() < 0.2
        self.away = rng.choice(self.layout[0]) if self.quiet else ""
        self.open = set(self.names) - {self.away}
        for machine in self.machines.values():
            self.perform(machine, machine.start(0.0))

    # ---- the schedule ----

    def play(self, steps: int = 150) -> bool:
        """Whether what clients saw is linearizable."""
        self.haunt()
        for _ in range(steps):
            self.turn()
            if self.monitor.violated:
                return False
        if not self.quiet:
            self.open = set(self.names)
        self.give_up_reads()
        return self.asked_at_last()

    def turn(self) -> None:
        """One thing happens."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.08 and self.quiet:
            self.drive()
        elif draw < 0.05:
            self.open = set(rng.sample(self.names, rng.randint(2, len(self.names))))
        elif draw < 0.08 and self.begun < OPS + GHOSTS_MAX:
            self.begin(rng.choice(self.names), rng.choice(("read", "cas", "cas", "write")))
        elif draw < 0.17 and self.at < 3:
            self.drive()
        elif draw < (0.25 if self.quiet else 0.19) and self.copies:
            self.copy()
        elif draw < 0.252 and self.crashes:
            self.restart(self.machines[rng.choice(self.names)])
        elif draw < 0.3:
            self.wake()
        else:
            self.fly()

    def asked_at_last(self) -> bool:
        """The rest of the walk in peace, then a read at two nodes: with one of the replicas away, and another one."""
        for _ in range(400):
            if self.at == 3:
                break
            self.drive()
            self.settle()
        if self.at == 3:
            self.open = set(self.names)
            self.pool.clear()  # what is still on its way is lost
            self.drive()
            self.settle()
            order = self.rng.sample(self.layout[1], len(self.layout[1]))
            for away in sorted(order, key=lambda name: name != self.away):
                self.open = set(self.names) - {away}
                self.begin(next(name for name in self.layout[1] if name != away), "read")
                self.settle(3)
                if self.monitor.violated:
                    return False
                self.give_up_reads()
        return True

    def settle(self, rounds: int = 1) -> None:
        """Everything that can be delivered is."""
        for _ in range(rounds):
            for _ in range(300):
                if not self.fly():
                    break
            self.wake()

    # ---- ghosts ----

    def haunt(self) -> None:
        """Two or three proposals at the old replicas, in any order of their parts."""
        ghosts = [
            Ghost(number, self.rng, self.quiet) for number in range(1, self.rng.randint(2, GHOSTS_MAX) + 1)
        ]
        self.begun = GHOSTS_MAX
        for ghost in ghosts:
            self.monitor = self.monitor.begin(Call(ghost.number, "cas", (None, ghost.value)))
        parts = [ghost for ghost in ghosts for _ in range(2 * len(self.layout[0]))]
        self.rng.shuffle(parts)
        for ghost in parts:
            name = self.rng.choice(self.layout[0])
            message = ghost.next(name, len(self.layout[0]))
            if message is not None:
                machine = self.machines[name]
                for effect in self.perform(machine, machine.step(self.now_ms, Deliver(GHOST, message))):
                    ghost.told(name, effect)
            if ghost.chosen and not ghost.ended:
                ghost.ended = True
                self.monitor = self.monitor.end(ghost.number, ghost.took)

    # ---- clients ----

    def begin(self, name: str, kind: str) -> None:
        """An operation at a node, whatever epoch that has adopted."""
        number = self.begun = self.begun + 1
        value = b"%d" % number
        args: dict[str, tuple[bytes, ...]] = {
            "read": (b"GET", KEY), "write": (b"SET", KEY, value), "cas": (b"SET", KEY, value, b"NX"),
        }  # fmt: skip
        argument = {"read": None, "write": value, "cas": (None, value)}[kind]
        self.monitor = self.monitor.begin(Call(number, kind, argument))
        self.calls[name, number] = number, kind
        machine = self.machines[name]
        self.perform(machine, machine.step(self.now_ms, Command(number, 1, args[kind])))

    def give_up_reads(self) -> None:
        """Reads without an answer tell nothing; the monitor need not think of them."""
        for place, (number, kind) in list(self.calls.items()):
            if kind == "read":
                del self.calls[place]
                self.monitor = self.monitor.never(number)

    def answered(self, name: str, reply: Reply) -> None:
        """A change that failed may have taken effect, or may yet."""
        call = self.calls.pop((name, reply.conn), None)
        if call is None:
            return
        number, kind = call
        if isinstance(reply.value, Failure):
            if kind == "read":
                self.monitor = self.monitor.never(number)
        else:
            answer: Any = {"read": reply.value, "write": None, "cas": reply.value is not None}[kind]
            self.monitor = self.monitor.end(number, answer)

    # ---- nodes, network, time ----

    def perform(self, machine: Machine, effects: list[Effect]) -> list[Struct]:
        """Do as the node says; writes are durable at once. What it says to ghosts."""
        heard: list[Struct] = []
        for effect in effects:
            if isinstance(effect, Write):
                machine.disk.commit(effect.rows)
                heard += self.perform(machine, machine.step(self.now_ms, Committed(effect.ticket)))
            elif isinstance(effect, Send) and effect.dst == GHOST:
                heard.append(effect.message)
            elif isinstance(effect, Send):
                self.send(machine.name, effect.dst, effect.message)
            elif isinstance(effect, SetTimer):
                machine.timers.append((self.now_ms + effect.delay_ms, effect.timer))
            elif isinstance(effect, Reply):
                self.answered(machine.name, effect)
        return heard

    def send(self, src: str, dst: str, message: Struct) -> None:
        """Into the pool; what nodes would drive by themselves is left to the explorer."""
        if dst == DRIVER:
            if isinstance(message, RingReply) and message.epoch == self.documents[self.at].epoch:
                self.adopted.add(src)
            elif isinstance(message, Pulled):
                self.pulled.add(src)
        elif not isinstance(message, Pull | RingWant) and getattr(message, "bucket", "") != RING_BUCKET:
            self.pool.append((src, dst, message))

    def fly(self) -> bool:
        """Deliver one of the messages on open links, now and then twice; whether there was one."""
        there = [
            at
            for at, (src, dst, _) in enumerate(self.pool)
            if dst in self.open and src in {*self.open, DRIVER}
        ]
        if not there:
            return False
        at = self.rng.choice(there)
        src, dst, message = self.pool[at]
        if self.rng.random() > 0.05:
            self.pool[at] = self.pool[-1]
            self.pool.pop()
        machine = self.machines[dst]
        self.perform(machine, machine.step(self.now_ms, Deliver(src, message)))
        return True

    def wake(self) -> None:
        """The next timer of all runs out."""
        waiting = [(at, name, timer) for name, each in self.machines.items() for at, timer in each.timers]
        if waiting:
            at, name, timer = min(waiting)
            if at < 1e9:
                self.now_ms = max(self.now_ms, at)
                machine = self.machines[name]
                machine.timers.remove((at, timer))
                self.perform(machine, machine.step(self.now_ms, Fired(timer)))

    def copy(self) -> None:
        """Anti-entropy hands over what it may find missing, to a newcomer most of all."""
        src, dst = self.rng.sample(self.names, 2)
        fresh = newcomers(self.documents[1], 0, 3)
        if fresh and self.rng.random() < 0.7:
            src, dst = self.rng.choice(self.layout[0]), self.rng.choice(fresh)
        machine = self.machines[src]
        fetch = Deliver(dst, Fetch(BUCKET.name, (KEY,)))
        self.perform(machine, machine.step(self.now_ms, fetch))

    def restart(self, machine: Machine) -> None:
        """Its clients never hear again."""
        self.calls = {place: call for place, call in self.calls.items() if place[0] != machine.name}
        self.perform(machine, machine.start(self.now_ms))

    # ---- the driver ----

    def drive(self) -> None:
        """Offer and ask to stream again, or go a step on if that may be."""
        document = self.documents[self.at]
        if self.at and self.without != "join.no_barrier" and not barred(document, 0, 3, self.adopted):
            self.ask_all(self.names, lambda: RingOffer(self.request, packed(document), []))
            return
        if self.at == 1 and self.without != "no_streaming":
            left = [name for name in pullers(document, 0, 3) if name not in self.pulled]
            if left:
                self.ask_all(left, lambda: Pull(self.request, {0: document.since[0]}))
                return
        if self.at < 3:
            self.at += 1
            self.adopted = set()

    def ask_all(self, names: list[str], message: Any) -> None:
        for name in names:
            if self.rng.random() < 0.5:
                self.request += 1
                self.pool.append((DRIVER, name, message()))
