"""A few nodes in one process: a network that can lose, double and reorder, disks that can crash, clocks that lie.

Two ways to drive it. `run()` delivers everything in an order drawn from the seed. Or a test picks each message by
hand (`deliver("a", "b", Store)`), which is how the schedules of the papers are replayed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

import msgspec

from kvstore.config import BucketConfig, NodeConfig, bucket, node_config
from kvstore.engine_memory import MemoryEngine
from kvstore.events import (
    Clock,
    Command,
    Committed,
    Deliver,
    Effect,
    Event,
    Failure,
    Fired,
    Halt,
    Log,
    Meta,
    Reply,
    Send,
    SetTimer,
    Snapshot,
    Snapshotted,
    Value,
    Write,
)
from kvstore.messages import Message, Ping, Pong, Repair, Store
from kvstore.messages_cas import Accept
from kvstore.node import Node
from kvstore.ring import Ring


@dataclass
class _Sync:
    """Commit everything staged when its turn comes."""

    firm: bool = False  # and make durable what nobody waits for


@dataclass
class Flight:
    src: str
    dst: str
    message: Message


@dataclass
class Machine:
    disk: MemoryEngine
    node: Node | None = None
    ticket: int = 0
    life: int = 0
    offset_ms: float = 0.0
    snapshots: list[MemoryEngine] = field(default_factory=list)


@dataclass
class Network:
    loss: float = 0.0
    double: float = 0.0
    delay_ms: float = 5.0
    cut: set[tuple[str, str]] = field(default_factory=set)


class Cluster:
    def __init__(
        self,
        names: str = "abc",
        default: BucketConfig | None = None,
        *,
        seed: int = 0,
        by_hand: bool = False,
        first_start: bool = False,
        **options: object,
    ) -> None:
        self.rng = random.Random(seed)
        self.by_hand = by_hand
        self.network = Network()
        self.now_ms = 0.0
        self.flights: list[Flight] = []
        self.replies: dict[tuple[str, int], Value] = {}
        self.logs: list[str] = []
        self.stored: list[Store | Repair | Accept] = []
        self._queue: list[tuple[float, int, str, int, Event | _Sync]] = []
        self._order = 0
        self._conn = 0
        self.ring = Ring.striped(names)
        peers = {name: f"{name}:7100" for name in names}
        self.options = options
        default = default or bucket("default", n=min(3, len(names)))
        self.configs: dict[str, NodeConfig] = {
            name: node_config(name, peers, default=default, **options) for name in names
        }
        self.machines = {name: Machine(MemoryEngine()) for name in names}
        for name in names:
            if not first_start:  # not its first start: nobody has to witness it
                self.machines[name].disk.commit([Meta("incarnation", b"0")])
            self.boot(name)

    # ---- machines ----

    def add(self, name: str) -> None:
        """A machine that is no member yet."""
        known = next(iter(self.configs.values()))
        peers = {each: f"{each}:7100" for each in self.configs}
        self.configs[name] = node_config(name, peers, default=known.default, joining=True, **self.options)
        self.machines[name] = Machine(MemoryEngine())
        self.boot(name)

    def wipe(self, name: str) -> None:
        """An empty disk."""
        self.machines[name].disk.wipe()

    def boot(self, name: str, *, replace: bool = False) -> None:
        machine = self.machines[name]
        machine.life += 1
        machine.ticket = 0
        config = msgspec.structs.replace(self.configs[name], replace=replace)
        machine.node = Node(config, machine.disk, random.Random(machine.life))
        self._perform(name, machine.node.start(self._clock(name)))
        if self.by_hand:
            self.commit(name)

    def crash(self, name: str) -> None:
        """Power off: nothing unsynced survives."""
        self.machines[name].node = None
        self.machines[name].disk.crash(self.rng)

    def node(self, name: str) -> Node:
        node = self.machines[name].node
        assert node is not None
        return node

    def _clock(self, name: str) -> Clock:
        return Clock(self.now_ms, 1_000_000.0 + self.now_ms + self.machines[name].offset_ms)

    # ---- driving ----

    def step(self, name: str, event: Event | _Sync) -> None:
        node = self.machines[name].node
        if isinstance(event, _Sync):
            if event.firm:
                self.machines[name].disk.stage(())
            self.machines[name].disk.sync()  # group commit: everything staged so far
            event = Committed(self.machines[name].ticket)
        if node is not None:
            self._perform(name, node.step(self._clock(name), event))

    def send(self, name: str, *args: bytes | str | int) -> tuple[str, int]:
        """A command on a connection of its own; `replies` gets its answer under the handle returned."""
        self._conn += 1
        encoded = tuple(a if isinstance(a, bytes) else str(a).encode() for a in args)
        self.step(name, Command(self._conn, 1, encoded))
        return name, self._conn

    def ask(self, name: str, *args: bytes | str | int) -> Value:
        """The answer to a command, running everything until it comes."""
        handle = self.send(name, *args)
        self.run(until=handle)
        return self.replies[handle]

    def run(self, until: tuple[str, int] | None = None, for_ms: float = 60_000.0) -> None:
        end_ms = self.now_ms + for_ms
        while self._queue and self._queue[0][0] <= end_ms and (until is None or until not in self.replies):
            self.now_ms, _, name, life, event = heappop(self._queue)
            if life in (0, self.machines[name].life) and self.machines[name].node is not None:
                self.step(name, event)

    def idle(self, for_ms: float) -> None:
        """Let time pass."""
        self.run(for_ms=for_ms)
        self.now_ms += for_ms

    def commit(self, name: str) -> None:
        machine = self.machines[name]
        machine.disk.sync()
        self.step(name, Committed(machine.ticket))

    def deliver(self, src: str, dst: str, kind: type, *, keep: bool = False) -> None:
        """By hand: deliver the oldest message of that kind, commit what it writes."""
        flight = next(f for f in self.flights if (f.src, f.dst) == (src, dst) and type(f.message) is kind)
        if not keep:
            self.flights.remove(flight)
        self.step(dst, Deliver(src, flight.message))
        self.commit(dst)

    def _perform(self, name: str, effects: list[Effect]) -> None:
        machine = self.machines[name]
        for effect in effects:
            if isinstance(effect, Send):
                self._send(Flight(name, effect.dst, effect.message))
            elif isinstance(effect, Write):
                assert effect.ticket == machine.ticket + 1
                machine.ticket = effect.ticket
                machine.disk.stage(effect.rows, loose=not effect.awaited)
                if not self.by_hand:
                    gather_ms = effect.within_ms if effect.awaited else 0.0
                    self._later(name, gather_ms + self.rng.uniform(0.5, 3.0), _Sync())
                if not effect.awaited and effect.within_ms < 1e9:
                    self._later(name, effect.within_ms, _Sync(firm=True))
            elif isinstance(effect, SetTimer):
                self._later(name, effect.delay_ms, Fired(effect.timer))
            elif isinstance(effect, Reply):
                assert (name, effect.conn) not in self.replies, "answered twice"
                self.replies[name, effect.conn] = effect.value
            elif isinstance(effect, Snapshot):
                machine.snapshots.append(machine.disk.copied(effect))
                self._later(name, 5.0, Snapshotted(effect.label, place=effect.label))
            elif isinstance(effect, Log | Halt):
                self.logs.append(effect.text)

    def _send(self, flight: Flight) -> None:
        if isinstance(flight.message, Store | Repair | Accept):
            self.stored.append(flight.message)
        if self.by_hand:
            if not isinstance(flight.message, Ping | Pong):
                self.flights.append(flight)
            return
        net = self.network
        copies = 1 + (self.rng.random() < net.double)
        for _ in range(copies):
            if (flight.src, flight.dst) not in net.cut and self.rng.random() >= net.loss:
                delay_ms = self.rng.uniform(0.1, net.delay_ms)
                self._later(flight.dst, delay_ms, Deliver(flight.src, flight.message))

    def _later(self, name: str, delay_ms: float, event: Event | _Sync) -> None:
        self._order += 1
        life = 0 if isinstance(event, Deliver) else self.machines[name].life
        heappush(self._queue, (self.now_ms + delay_ms, self._order, name, life, event))


def failed(value: Value) -> str | None:
    """The code of a failure, None for an answer."""
    return value.code if isinstance(value, Failure) else None


def integer(value: Value) -> int:
    """An answer that has to be a whole number."""
    assert isinstance(value, int), value
    return value


def fields(value: Value) -> dict[str, Any]:
    """An answer that has to be a map."""
    assert isinstance(value, dict), value
    return value


def items(value: Value) -> list[Any]:
    """An answer that has to be a list."""
    assert isinstance(value, list), value
    return value
