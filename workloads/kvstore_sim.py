"""The store in the simulator: a node's effects become calls of the simulated machine.

    on_message, on_request, timers ──► Node.step ──► effects ──► env.send, env.reply, env.after
                                  Write ──► CommitQueue ──► MemoryEngine.stage, one commit at a time ──► Committed

The commit takes a drawn time, and what arrives meanwhile forms the next one, as in the real server. A crash is a power cut: it keeps
a drawn prefix of what was staged and of what was committed without an fsync (`kvstore.durability`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.system import SimulatedEnv
from kvstore.commit_queue import CommitQueue
from kvstore.config import NodeConfig
from kvstore.engine_memory import MemoryEngine
from kvstore.events import (
    Clock,
    Closed,
    Command,
    Committed,
    Deliver,
    Drain,
    Effect,
    Event,
    Fired,
    Halt,
    Log,
    Reply,
    Send,
    SetTimer,
    Snapshot,
    Snapshotted,
    UseProtocol,
    Write,
)
from kvstore.node import Node
from kvstore.points import FSYNC, points_of
from kvstore.resp import as_parsed
from kvstore.view import View

COMMIT_MS_MIN: Final = 0.2
COMMIT_MS_MAX: Final = 1.0
SNAPSHOT_MS: Final = 5.0
_NEVER: Final = float("inf")


class StoreNode:
    """One life of a store node in the simulator: `harness.system.SimulatedNode`."""

    def __init__(self, config: NodeConfig, env: SimulatedEnv) -> None:
        self._env, self._config = env, config
        self._engine: MemoryEngine = env.disk.setdefault("engine", MemoryEngine())
        self._node = Node(config, self._engine, env.rng)
        self._protocols: dict[int, int] = {}
        self._queue = CommitQueue()
        self._ticket = 0  # the newest that is staged
        self._wake_ms = _NEVER  # when a timer calls `_wake`
        self._committing = False

    def start(self) -> None:
        """Begin a life on what the disk holds."""
        clock = self._clock()
        self._perform(self._node.start(clock), clock.mono_ms)

    def on_message(self, src: str, message: object) -> None:
        """A peer's message."""
        env = self._env
        clock = Clock(*env.clock_ms())
        effects = self._node.step(clock, Deliver(src, message))  # type: ignore[arg-type]
        if len(effects) == 1 and type(effects[0]) is Send:  # nearly always: an answer
            env.send(effects[0].dst, effects[0].message)
            if env.awaited:
                self._tell_points(effects)
        elif effects:
            self._perform(effects, clock.mono_ms)

    def on_request(self, conn: int, request: int, command: Sequence[bytes]) -> None:
        """A client's command."""
        self._step(Command(conn, request, tuple(command)))

    def on_close(self, conn: int) -> None:
        """A client has gone."""
        self._protocols.pop(conn, None)
        self._step(Closed(conn))

    def on_stop(self) -> float:
        """SIGTERM: as `kvstore.server` does it, which is over once every operation is."""
        self._step(Drain())
        return self._config.request_timeout_ms / 1000

    def on_crash(self) -> int:
        """Power cut: of what is staged, a drawn prefix stays."""
        return self._engine.crash(self._env.rng)

    @property
    def view(self) -> View:
        """The ring as it knows it."""
        return self._node.view

    def state(self) -> Mapping[str, Any]:
        """What there is to know of it, for those who look into a run that stands still."""
        node, records = self._node, sorted(self._engine.look().items())
        return {
            "epoch": node.view.epoch,
            "serves": node.ready and not node.draining,
            "operations": node.coordinator.running,
            "records": {
                f"{bucket}/{key.decode(errors='replace')}": record.value for (bucket, key), record in records
            },
        }

    def _clock(self) -> Clock:
        return Clock(*self._env.clock_ms())

    def _step(self, event: Event) -> None:
        clock = Clock(*self._env.clock_ms())
        effects = self._node.step(clock, event)
        if effects:
            self._perform(effects, clock.mono_ms)

    def _perform(self, effects: list[Effect], now_ms: float) -> None:
        env = self._env
        for effect in effects:
            kind = type(effect)
            if kind is Send:
                env.send(effect.dst, effect.message)  # type: ignore[union-attr]
            elif kind is Write:
                self._queue.add(effect, now_ms)  # type: ignore[arg-type]
            elif kind is Reply:
                self._reply(effect)  # type: ignore[arg-type]
            elif kind is SetTimer:
                env.after(effect.delay_ms, self._fired, effect.timer)  # type: ignore[union-attr]
            elif kind is Log or kind is Halt:  # a node that halts says so, and is silent from then on
                env.log(effect.text)  # type: ignore[union-attr]
            elif kind is UseProtocol:
                self._protocols[effect.conn] = effect.version  # type: ignore[union-attr]
            elif kind is Snapshot:
                env.after(SNAPSHOT_MS, self._snapshot, effect)
        if env.awaited:
            self._tell_points(effects)
        if self._queue.due_ms != _NEVER and not self._committing:
            self._begin_commit(now_ms)

    def _tell_points(self, effects: Sequence[Effect]) -> None:
        """Somebody waits for a node to come to a point."""
        for point in points_of(effects):
            self._env.reach(point)

    def _reply(self, reply: Reply) -> None:
        version = self._protocols.get(reply.conn, 2)
        self._env.reply(reply.conn, reply.request, as_parsed(reply.value, version))

    def _snapshot(self, snapshot: Snapshot) -> None:
        self._env.disk[f"snapshot {snapshot.label}"] = self._engine.copied(snapshot)
        self._step(Snapshotted(snapshot.label, place=snapshot.label))

    def _fired(self, timer: int) -> None:
        self._step(Fired(timer))

    def _begin_commit(self, now_ms: float) -> None:
        due_ms = self._queue.due_ms
        if self._committing or due_ms == _NEVER:
            return
        if due_ms > now_ms:
            if due_ms < self._wake_ms:
                self._wake_ms = due_ms
                self._env.after(due_ms - now_ms, self._wake)
            return
        batch = self._queue.take(now_ms)
        for rows in [write.rows for write in batch.writes] or [()]:
            self._engine.stage(rows, loose=batch.loose)
        self._ticket = batch.ticket
        self._committing = True
        self._env.reach(FSYNC)
        delay_ms = COMMIT_MS_MIN + (COMMIT_MS_MAX - COMMIT_MS_MIN) * self._env.rng.random()
        self._env.after(delay_ms + self._env.disk_stall_ms(), self._end_commit)

    def _wake(self) -> None:
        due_ms, self._wake_ms = self._wake_ms, _NEVER  # the clock may show a hair less
        self._begin_commit(max(due_ms, self._env.clock_ms()[0]))

    def _end_commit(self) -> None:
        if refused := self._env.disk_refuses():  # as in `kvstore.server`: a failed sync is final
            self._env.end(f"Storage failed ({refused}), so the node must stop.")
            return
        self._engine.sync()
        self._committing = False
        self._step(Committed(self._ticket))
        self._begin_commit(self._env.clock_ms()[0])
