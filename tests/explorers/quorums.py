"""Every interleaving of a few operations on three replicas, breadth first, driving the store's own flows.

    begin(client)              its next operation is called and asks all replicas
    reach(client, ask, A)      replica A handles that question, and its answer arrives at once

An answer that waits changes nothing that the coordinator or a replica knows, so "handled and answered" as one step loses no
outcome; a question that has not reached a replica may do so at any later time, after its operation's end too, or never.
Flows cannot be copied, so a state is reached by playing its steps again; states that look alike are visited once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from kvstore.absorb import absorb
from kvstore.config import BucketConfig
from kvstore.events import NO_TAG, Record, Tag
from kvstore.flows import lww, register
from kvstore.flows.steps import Ask, Flow, Issue, Op
from kvstore.messages import Query, QueryReply, StoreReply
from tests.explorers.monitor import Call, Monitor, Regular

REPLICAS = ("A", "B", "C")
Step = tuple[Any, ...]


class Setting(NamedTuple):
    """What is explored. `programs`: each client's operations, an int is a write and "r" a read. `clocks`: each client's, None: perfect ones.
    `promise`: what its clients are to see.
    """

    bucket: BucketConfig
    programs: tuple[tuple[int | str, ...], ...]
    clocks: tuple[int, ...] | None = None
    bugs: frozenset[str] = frozenset()
    promise: Monitor | Regular = Monitor()


class World:
    """One state."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.monitor = setting.promise
        self.replicas: dict[str, Record | None] = dict.fromkeys(REPLICAS)
        self.asks: list[tuple[int, Ask]] = []
        self.begun = [0] * len(setting.programs)
        self.busy = [False] * len(setting.programs)
        self.issued = 0

    def steps(self) -> Iterator[Step]:
        """What can happen next."""
        for client, program in enumerate(self.setting.programs):
            if not self.busy[client] and self.begun[client] < len(program):
                yield ("begin", client)
        for at, (_, ask) in enumerate(self.asks):
            for replica in ask.replicas:
                if replica not in ask.answers and not (ask.kind is Query and ask.op.done):  # type: ignore[union-attr]
                    yield ("reach", at, replica)

    def do(self, step: Step) -> None:
        """Let it happen."""
        if step[0] == "begin":
            self._begin(step[1])
        else:
            self._reach(*self.asks[step[1]], step[2])

    def key(self) -> object:
        """What tells states apart."""
        asks = tuple(
            (client, ask.kind.__name__, ask.tag, ask.value, tuple(sorted(ask.answers.items(), key=str)) if not ask.op.done else tuple(sorted(ask.answers)))  # type: ignore[union-attr]
            for client, ask in self.asks
            if not (ask.kind is Query and ask.op.done)  # type: ignore[union-attr]
            and not ask.complete
        )  # fmt: skip
        held = tuple(None if each is None else (each.tag, each.value) for each in self.replicas.values())
        return held, asks, tuple(self.begun), tuple(self.busy), self.monitor, self.issued

    def _begin(self, client: int) -> None:
        what = self.setting.programs[client][self.begun[client]]
        number = 10 * client + self.begun[client]
        self.begun[client] += 1
        self.busy[client] = True
        writes = isinstance(what, int)
        self.monitor = self.monitor.begin(
            Call(number, "write" if writes else "read", what if writes else None)
        )
        op = Op(self.setting.bucket, b"k", 0, REPLICAS, lambda op: None)
        op.value = b"%d" % what if isinstance(what, int) else None
        op.bugs = self.setting.bugs
        op.report = lambda op, _: self._answer(client, number, op, writes)
        rules = register if self.setting.bucket.mode == "register" else lww
        flow: Callable[[Op], Flow] = rules.write if writes else rules.read
        op.flow = flow(op)
        self._resume(client, op, None)

    def _answer(self, client: int, number: int, op: Op, writes: bool) -> None:
        self.busy[client] = False
        value = None if writes or op.value is None else int(op.value)
        self.monitor = self.monitor.end(number, value)

    def _resume(self, client: int, op: Op, sent: Any) -> None:
        try:
            while True:
                step = op.flow.send(sent)
                sent = None
                if isinstance(step, Issue):
                    sent = self._issue(client, step.after)
                    continue
                assert isinstance(step, Ask)
                assert step.need, "no flow here sends what it does not wait for"
                step.op = op
                op.waiting = step
                self.asks.append((client, step))
                return
        except StopIteration:
            op.done, op.waiting = True, None

    def _issue(self, client: int, after: int | None) -> Tag:
        clocks = self.setting.clocks
        self.issued += clocks is None
        return Tag(max(self.issued if clocks is None else clocks[client], (after or 0) + 1), f"n{client}", 1)

    def _reach(self, client: int, ask: Ask, replica: str) -> None:
        held = self.replicas[replica]
        tag, value = (NO_TAG, None) if held is None else (held.tag, held.value)
        if ask.kind is Query:
            ask.answer(replica, QueryReply(0, tag, value))
        else:
            kept = absorb(self.setting.bucket.kind, held, Record("b", b"k", ask.tag, ask.value))
            if kept is not None:
                self.replicas[replica] = kept
            ask.answer(replica, StoreReply(0, max(tag, ask.tag)))
        op = ask.op
        assert op is not None
        if op.waiting is ask and len(ask.answers) >= ask.need:
            op.waiting = None
            self._resume(client, op, None)


def replayed(setting: Setting, steps: tuple[Step, ...]) -> World:
    """The state after these steps."""
    world = World(setting)
    for step in steps:
        world.do(step)
    return world


def explore(setting: Setting) -> tuple[int, list[str] | None]:
    """The number of states, and the shortest violation as sentences; None: every state was visited and none is one."""
    frontier: list[tuple[Step, ...]] = [()]
    seen = {World(setting).key()}
    while frontier:
        following = []
        for path in frontier:
            for step in list(replayed(setting, path).steps()):
                world = replayed(setting, (*path, step))
                if world.monitor.violated:
                    return len(seen), told(setting, (*path, step))
                key = world.key()
                if key not in seen:
                    seen.add(key)
                    following.append((*path, step))
        frontier = following
    return len(seen), None


def told(setting: Setting, steps: tuple[Step, ...]) -> list[str]:
    """The steps as sentences."""
    world, lines = World(setting), []
    for step in steps:
        before = world.monitor.running
        if step[0] == "begin":
            what = setting.programs[step[1]][world.begun[step[1]]]
            line = f"client {step[1]} begins {'a read' if what == 'r' else f'write {what}'}"
        else:
            client, ask = world.asks[step[1]]
            value = "" if ask.kind is Query else f" {ask.value!r}"
            line = f"client {client}'s {ask.kind.__name__}{value} reaches {step[2]}"
        world.do(step)
        if len(world.monitor.running) < len(before) + (step[0] == "begin"):
            line += ", and its client has its answer"
        lines.append(line)
    return lines
