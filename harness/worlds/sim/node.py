"""One simulated machine: its process, disk, clock and log, and what a crash does to each.

    running ──pause──► stopped ──resume──► running        what happens meanwhile is held, then runs in order
       └──────kill──────────┴──► gone ──start──► running  a new pid, a new incarnation; only `disk` is left

A crash runs nothing of the node: no cleanup, no `finally`. The incarnation is marked dead, so that timers and messages
that still point at it fall on the floor.
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from harness.system import KernelNode, SimulatedNode, SimulatedSystem
from harness.worlds.disk_trouble import LYING, REFUSALS, DiskTrouble
from harness.worlds.sim.loop import SimLoop
from harness.worlds.sim.memory import Reclaim
from harness.worlds.sim.net import Network
from harness.worlds.sim.quota import Quota

PID_FIRST = 1000
WHOLE = DiskTrouble("")
PAUSED: Final = "paused"
WALL_EPOCH_MS = 1_700_000_000_000.0  # what every wall clock shows at virtual time zero, but for its offset


class Incarnation:
    """What one start of a node may touch: `harness.system.SimulatedEnv`."""

    __slots__ = ("_agenda", "_loop", "_machine", "alive", "awaited", "disk", "node", "reply", "rng", "send")

    def __init__(self, machine: SimMachine) -> None:
        self._machine = machine
        self._loop = machine.loop
        self._agenda = machine.loop.agenda
        self.send = partial(machine.network.send, machine.name)  # (dst, message): hand it to the network
        self.reply = machine.on_reply  # (conn, request, value): answer a client's request
        self.alive = True
        self.node = machine.name
        self.rng = machine.rng
        self.disk = machine.disk
        self.awaited = machine.awaited

    def clock_ms(self) -> tuple[float, float]:
        """Virtual monotonic time, and this node's wall clock."""
        mono_ms = self._agenda.now * 1000
        return mono_ms, WALL_EPOCH_MS + mono_ms + self._machine.clock_offset_ms

    def after(self, delay_ms: float, call: Callable[..., None], *args: Any) -> None:
        """Call later, unless the node has crashed meanwhile."""
        self._agenda.post(delay_ms / 1000, self._run, call, args)

    def _run(self, call: Callable[..., None], args: tuple[Any, ...]) -> None:
        if not self.alive:
            return
        if self._machine.stops:
            self._machine.held.append((call, args))
        else:
            call(*args)

    def reach(self, point: str) -> None:
        """The node has come to a point: tell who waits for it, who goes on once this event is over."""
        waiting = self.awaited.get(point)
        if waiting is not None and not waiting.done():
            waiting.set_result(self.node)

    def disk_refuses(self) -> str:
        """The error that a write to the disk gets now; nothing if it is taken."""
        return self._machine.disk_refuses

    def disk_stall_ms(self) -> float:
        """How much longer a write takes: it comes at any time of a stall. Drawn only where a disk is slow."""
        stall_ms = self._machine.disk_trouble.stall_ms
        return stall_ms * self.rng.random() if stall_ms else 0.0

    @property
    def unplugged(self) -> bool:
        """Whether the machine's link is gone."""
        return self._machine.unplugged

    def hang_up(self, conn: int) -> None:
        """Close a client's connection."""
        self._machine.on_hang_up(conn)

    def at_end(self, call: Callable[[], object]) -> None:
        """Call once the run is over."""
        self._loop.at_close.append(call)

    def end(self, text: str) -> None:
        """The process ends by itself."""
        self._machine.note(text)
        self._machine.last_words = text
        self._machine.on_end(self.node)

    def log(self, text: str) -> None:
        """A line in the node's log, with the virtual time."""
        self._machine.note(text)


class SimMachine:
    """A machine that runs one node of the system."""

    def __init__(
        self,
        name: str,
        *,
        loop: SimLoop,
        network: Network,
        rng: random.Random,
        system: SimulatedSystem,
        on_reply: Callable[[int, int, Any], None],
        awaited: Mapping[str, asyncio.Future[str | None]],
        on_end: Callable[[str], object],
        on_hang_up: Callable[[int], object],
    ) -> None:
        self.name, self.loop, self.network, self.rng = name, loop, network, rng
        self.on_reply, self.on_end, self.on_hang_up = on_reply, on_end, on_hang_up
        self.awaited = awaited
        self.disk: dict[str, Any] = {}
        self.disk_trouble = WHOLE
        self._kept: dict[str, Any] | None = None  # of a disk that lies: what is on it in truth
        self._snapshot: dict[str, Any] | None = None
        self.clock_offset_ms = 0.0
        self.stops = set[str]()  # what keeps the process from running: PAUSED, quota.SHARE, memory.MEMORY
        self.quota = Quota(loop, self.stops, self.go_on)
        self.reclaim = Reclaim(loop, self.stops, self.go_on)
        self.held: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.lines: list[str] = []
        self.ends: list[dict[str, Any]] = []
        self.last_words = ""  # of a process that ends by itself
        self.asked = "KILL"  # by what another would be ended
        self.pid: int | None = None
        self.unplugged = False
        self.lost_on_arrival = 0  # messages that came while no process was there, or no cable
        self._pid_next = PID_FIRST
        self._system = system
        self._env: Incarnation | None = None
        self._process: SimulatedNode | None = None
        self._kernel: KernelNode | None = None  # the same, if it is one
        self._refusal: Callable[[Any], Any] | None = getattr(system, "refusal", None)
        network.attach(name, self.on_message)
        network.on_reset[name] = self.on_reset

    @property
    def disk_refuses(self) -> str:
        """The error that a write to its disk gets; nothing if it is taken."""
        return REFUSALS.get(self.disk_trouble.kind, "")

    @property
    def process(self) -> SimulatedNode | None:
        """The node that runs here, to be looked into; None when there is none."""
        return self._process

    @property
    def state(self) -> str:
        """running, stopped or gone."""
        if self._process is None:
            return "gone"
        return "stopped" if PAUSED in self.stops else "running"

    def note(self, text: str) -> None:
        """Write a line in the log."""
        self.lines.append(f"{self.loop.time():10.6f} {text}")

    def start(self) -> None:
        """Start the process if there is none."""
        if self._process is not None:
            return
        self.pid, self._pid_next = self._pid_next, self._pid_next + 1
        self.stops.discard(PAUSED)
        self._env = Incarnation(self)
        with self._ending_the_run():
            self._process = self._system.simulated(self.name, self._env)
            self._kernel = self._process if isinstance(self._process, KernelNode) else None
            self.note(f"started, pid {self.pid}")
            self._process.start()

    def crash(self) -> int:
        """End the process as a power cut does: the disk keeps what was synced. How many writes were lost."""
        if self._process is None or self._env is None:
            return 0
        self._env.alive = False
        lost = 0
        with self._ending_the_run():
            lost = self._process.on_crash()
        self._env = self._process = self._kernel = None
        self.note(f"killed, pid {self.pid}")
        self.ends.append(self._end(self.loop.time()))
        self.pid, self.last_words, self.asked = None, "", "KILL"
        self.stops.discard(PAUSED)
        self.held.clear()
        return lost

    def _end(self, at_s: float | None) -> dict[str, Any]:
        """The process that is there: it ends now, by itself or by us, or it runs on."""
        asked = "" if self.last_words or at_s is None else self.asked
        return {"node": self.name, "pid": self.pid, "at_s": at_s, "status": None, "asked": asked, "running": at_s is None, "words": self.last_words}  # fmt: skip

    @property
    def processes(self) -> list[dict[str, Any]]:
        """Those that ended, and the one that runs."""
        return [*self.ends, *([self._end(None)] if self.pid is not None else [])]

    def spoil(self, trouble: DiskTrouble) -> None:
        """This is wrong with the disk from now on, and nothing else."""
        self.disk_trouble = trouble
        self._kept = copy.deepcopy(self.disk) if trouble.kind == LYING else None
        self.note(f"the disk is {trouble.kind or 'whole'}")

    def forget_lies(self) -> bool:
        """The power has gone: on a disk that lied is what was there when it began to. Whether it did."""
        kept, self._kept = self._kept, None
        if kept is not None:
            self.disk, self.disk_trouble = kept, WHOLE
        return kept is not None

    def keep(self) -> int:
        """Copy the disk as it is now; how many things are on it."""
        self._snapshot = copy.deepcopy(self.disk)
        return len(self.disk)

    def go_back(self) -> bool:
        """The copy takes the disk's place, under no process; whether something else was there."""
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is None or snapshot == self.disk:
            return False
        self.disk = snapshot
        self.note("the disk is what it was before")
        return True

    def wipe(self) -> int:
        """Put an empty disk in; how many things were on the old one. A process that runs keeps its disk."""
        if self._process is not None:
            return 0
        removed = len(self.disk)
        self.disk = {}
        self.note(f"disk emptied of {removed} things")
        return removed

    def pause(self) -> None:
        """Hold everything that would run in the process."""
        if self._process is not None:
            self.stops.add(PAUSED)
            self.note("stopped")

    def resume(self) -> None:
        """Let it go on."""
        if PAUSED in self.stops:
            self.stops.remove(PAUSED)
            self.note("continued")
            self.go_on()

    def go_on(self) -> bool:
        """Run what was held, in order, unless something else holds it, as long as the process is there. Whether there was something."""
        if self.stops:
            return False
        env, held, self.held = self._env, self.held, []
        with self._ending_the_run():
            for call, args in held:
                if env is None or not env.alive:  # the last of it has ended it
                    break
                call(*args)
        return bool(held)

    @contextmanager
    def _ending_the_run(self) -> Iterator[None]:
        """An error of the node's ends the run, also where a fault has called it, which would take the error for its own."""
        try:
            yield
        except Exception as error:
            self.loop.call_exception_handler({"exception": error})

    def _call(self, call: Callable[..., None], *args: Any) -> None:
        if self.stops:
            self.held.append((call, args))
        else:
            call(*args)

    def on_message(self, src: str, message: Any) -> None:
        """A message has arrived at the machine."""
        process = self._process
        if process is None or self.unplugged:
            self.lost_on_arrival += 1
            if not self.unplugged and self._refusal is not None:
                answer = self._refusal(message)
                if answer is not None:
                    self.network.send(self.name, src, answer)
        elif self.stops and self._kernel is None:
            self.held.append((process.on_message, (src, message)))
        else:
            process.on_message(src, message)

    def on_reset(self, other: str, message: Any) -> None:
        """A message to or from another node was stopped on its way by a reset."""
        if self._kernel is not None and not self.unplugged:
            self._kernel.on_reset(other, message)

    @property
    def listens(self) -> bool:
        """Whether a client can connect. A process that is paused does: its kernel does."""
        return self._process is not None and (self._kernel is None or self._kernel.listens)

    def on_request(self, conn: int, request: int, command: Any, pid: int | None) -> None:
        """A client's command has arrived, on a connection made to the process `pid`."""
        if self.unplugged:
            self.lost_on_arrival += 1
        elif self._process is not None and self.pid == pid:
            self._call(self._process.on_request, conn, request, command)

    def on_close(self, conn: int, pid: int | None) -> None:
        """A client has gone."""
        if self._process is not None and self.pid == pid:
            self._call(self._process.on_close, conn)
