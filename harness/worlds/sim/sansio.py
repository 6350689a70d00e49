"""Simulate your own: a node that does no I/O, under the same faults, plans, workloads, checkers and shrinking as any other system.

    Command  Deliver  Fired  Committed  Failed  Closed        what happens to a node …
        └────────┴────────┴───────┴────────┴───────┘
                          ▼
                 node.step(clock, event)
                          ▼
        ┌────────┬────────┬───────┬────────┬───────┐
      Reply    Send   SetTimer  Write     Log     Halt        … and what it wants done, in this order

A node is made anew at each start; what it is not told through `step`, or finds on its disk, it cannot know. So a run is a function of its seed. The idea has
its name from Python's protocol libraries (sans-io.readthedocs.io); state machines that are run by a simulator are older (Miller and others,
"Flow" of FoundationDB, 2013). Names and guarantees: `docs/simulate-your-own.md`.

A message carries, unseen by the node, which client's request it was sent for: `quorate shrink` and `quorate replay --trace` draw these messages.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn, Protocol

from harness.client import Channel
from harness.named import told
from harness.plan_toml import PlanError, nearest
from harness.system import SimulatedEnv, SystemFault

COMMIT_MS_MIN: Final = 0.2
COMMIT_MS_MAX: Final = 1.0
READY: Final = b"quorate.ready"  # asked by the harness, answered without the node's `step`
ROWS: Final = "rows"


class Clock(NamedTuple):
    """What the node's clocks show: the monotonic one, and that on the wall, which the fault `clock` shifts."""

    mono_ms: float
    wall_ms: float


class Caller(NamedTuple):
    """Whose request it is: a client's connection to this node, and the how-manyth on it."""

    conn: int
    request: int


@dataclass(frozen=True, slots=True)
class Command:
    """A client asks. Answer with `Reply(caller, …)`, now, later or never."""

    caller: Caller
    words: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Deliver:
    """A message from another node (or from this one) has arrived: perhaps late, twice, or after a later one."""

    src: str
    message: Hashable


@dataclass(frozen=True, slots=True)
class Fired:
    """A timer has run out."""

    timer: Hashable


@dataclass(frozen=True, slots=True)
class Committed:
    """The write of this ticket is on the disk, and so are all before it that have not `Failed`: no crash takes it back."""

    ticket: Hashable


@dataclass(frozen=True, slots=True)
class Failed:
    """The disk has refused this write, which is not on it; `error` is such as ENOSPC. Later ones may be taken again."""

    write: Write
    error: str


@dataclass(frozen=True, slots=True)
class Closed:
    """A client that has asked something has closed its connection."""

    conn: int


@dataclass(frozen=True, slots=True)
class Start:
    """The first event of a life."""


Event = Start | Command | Deliver | Fired | Committed | Failed | Closed


@dataclass(frozen=True, slots=True)
class Send:
    """Hand a message to the network, which may lose, delay, double or reorder it."""

    dst: str
    message: Hashable


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer a client, in the form that hiredis gives: bytes, int, str, list, dict, None, or an `ErrorReply`."""

    caller: Caller
    value: Any


@dataclass(frozen=True, slots=True)
class SetTimer:
    """`Fired(timer)` after this time, unless the node has crashed. While it is paused, the event waits."""

    delay_ms: float
    timer: Hashable


@dataclass(frozen=True, slots=True)
class Write:
    """Put a value under a key on the disk; None takes it away. Once it is durable, `Committed(ticket)`; without a ticket nothing is said."""

    key: Hashable
    value: Hashable
    ticket: Hashable = None


@dataclass(frozen=True, slots=True)
class Log:
    """A line in the node's log."""

    text: str


@dataclass(frozen=True, slots=True)
class Halt:
    """The process ends by itself, as one does whose disk fails; why is a line in the log. Effects after it are not performed."""

    text: str


Effect = Send | Reply | SetTimer | Write | Log | Halt


class ErrorReply(Exception):
    """An error as an answer. Its first word is the code by which a workload's client knows whether the operation may have happened."""


class Node(Protocol):
    """One life of a node. It may also have `ready() -> bool`: whether it serves; without it, it does from the start."""

    def step(self, clock: Clock, event: Event) -> Iterable[Effect]:
        """What happens, and what is to be done: a list, or yielded one by one."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a node is born with. `disk` is read-only and always shows what is durable; `rng` is the node's own, of the run's seed."""

    name: str
    nodes: tuple[str, ...]
    options: Mapping[str, Any]
    disk: Mapping[Any, Any]
    rng: random.Random


class NodeError(SystemFault):
    """A node raised an error or asked for something that cannot be. The message has the node, the time, the event and the place."""


class Parcel(NamedTuple):
    """A message on its way, and the request it was sent for, if it was for one."""

    about: Caller | None
    message: Hashable


class SansIoSystem:
    """`harness.system.SystemUnderTest` around such a node. Raises PlanError on an option that is not among `defaults` or is of another type.

    A subclass may add what further faults ask for: `primaries`, `layout` and `change_members` of `harness.system`.
    """

    def __init__(
        self, make: Callable[[Setting], Node], defaults: Mapping[str, Any], options: Mapping[str, Any], nodes: Sequence[str],
    ) -> None:  # fmt: skip
        self.name = str(getattr(make, "__name__", type(make).__name__))
        self.nodes = tuple(nodes)
        self.options = MappingProxyType(checked_options(self.name, defaults, options))
        self._make = make

    def simulated(self, node: str, env: SimulatedEnv) -> SansIoNode:
        """One life of a node in the simulator."""
        return SansIoNode(self._make, self.nodes, self.options, env)

    async def ready(self, channel: Channel) -> bool:
        """As the node says."""
        return bool(await channel.request([READY], timeout_s=1.0))

    def describe(self) -> Mapping[str, Any]:
        """Its options, defaults filled in."""
        return {"name": self.name, **self.options}

    def describe_message(self, message: Parcel) -> tuple[str, Hashable]:
        """The message as it prints itself, and the request it was sent for."""
        return repr(message.message), message.about

    def describe_node(self, node: SansIoNode) -> Mapping[str, Any]:
        """The attributes of the node, and its disk."""
        return {**state_of(node.node), "disk": dict(node.disk)}


def sans_io(
    make: Callable[[Setting], Node], **defaults: Any
) -> Callable[[Mapping[str, Any], Sequence[str]], SansIoSystem]:
    """A system for plans to name, made of a node's class and its options with their defaults."""
    return partial(SansIoSystem, make, defaults)


def checked_options(system: str, defaults: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with defaults filled in. Raises PlanError on one that is not among `defaults`, or is of another type."""
    for option, value in options.items():
        if option not in defaults:
            raise PlanError(f"[system] {system} has no option {option!r}{nearest(option, (*defaults, 'name'))}")  # fmt: skip
        if type(value) is not type(defaults[option]):
            raise PlanError(f"[system] {option} = {value!r} must be like its default, {defaults[option]!r}")  # fmt: skip
    return {**defaults, **options}


def state_of(node: Any) -> dict[str, Any]:
    """The attributes of an object, with slots or without."""
    slots = [name for cls in type(node).__mro__ for name in getattr(cls, "__slots__", ())]
    return {
        **{name: getattr(node, name) for name in slots if hasattr(node, name)},
        **getattr(node, "__dict__", {}),
    }


class SansIoNode:
    """`harness.system.SimulatedNode` around one life of a node, which is `node`."""

    def __init__(
        self, make: Callable[[Setting], Node], nodes: Sequence[str], options: Mapping[str, Any], env: SimulatedEnv,
    ) -> None:  # fmt: skip
        self.disk: dict[Any, Any] = env.disk.setdefault(ROWS, {})
        self._env, self._nodes = env, tuple(nodes)
        self._staged: deque[tuple[Write, Caller | None]] = deque()
        self._conns: set[int] = set()
        self._durable_ms = 0.0  # when the last of them will be
        setting = Setting(env.node, self._nodes, options, MappingProxyType(self.disk), env.rng)
        try:
            self.node = make(setting)
        except Exception as error:
            self._fail("being made", error)

    def start(self) -> None:
        """Begin."""
        self._step(Start(), None)

    def on_message(self, src: str, message: Parcel) -> None:
        """Take it out of its parcel."""
        self._step(Deliver(src, message.message), message.about)

    def on_request(self, conn: int, request: int, command: Sequence[bytes]) -> None:
        """A client's command, or the harness that asks whether the node serves."""
        if command[0] == READY:
            self._env.reply(conn, request, self._is_ready())
        else:
            caller = Caller(conn, request)
            self._conns.add(conn)
            self._step(Command(caller, tuple(command)), caller)

    def on_close(self, conn: int) -> None:
        """A client has gone; of one that never asked anything, as of the harness itself, nothing is said."""
        if conn in self._conns:
            self._conns.discard(conn)
            self._step(Closed(conn), None)

    def on_stop(self) -> float:
        """SIGTERM: what is written until then becomes durable."""
        return COMMIT_MS_MAX / 1000

    def on_crash(self) -> int:
        """Power cut: of what is not durable yet, a drawn prefix is on the disk all the same. How much is lost."""
        for _ in range(self._env.rng.randint(0, len(self._staged))):
            self._put(self._staged.popleft()[0])
        return len(self._staged)

    def _is_ready(self) -> bool:
        try:
            return bool(self.node.ready()) if hasattr(self.node, "ready") else True
        except Exception as error:
            self._fail("ready()", error)

    def _step(self, event: Event, about: Caller | None) -> None:
        try:
            effects: Iterable[Effect] | None = self.node.step(Clock(*self._env.clock_ms()), event)
            if effects is None:
                raise NodeError("step gave nothing back; return a list of effects, or yield them")
            for effect in effects:
                if isinstance(effect, Halt):
                    self._env.end(effect.text)
                    return
                self._perform(effect, about)
        except Exception as error:
            self._fail(repr(event), error)

    def _perform(self, effect: Send | Reply | SetTimer | Write | Log, about: Caller | None) -> None:
        match effect:
            case Send(dst, message):
                _refuse_changeable("message", message)
                if dst not in self._nodes:
                    raise NodeError(f"there is no node {dst!r} to send to, only {', '.join(self._nodes)}")
                self._env.send(dst, Parcel(about, message))
            case Reply((conn, request), value):
                self._env.reply(conn, request, _told(value))
            case SetTimer(delay_ms, timer):
                if type(delay_ms) not in (int, float) or not 0 <= delay_ms < inf:
                    raise NodeError(f"a timer of {delay_ms!r} ms; give a number of milliseconds, 0 or more")
                self._env.after(delay_ms, self._step, Fired(timer), about)
            case Write():
                _refuse_changeable("key", effect.key)
                _refuse_changeable("value", effect.value)
                self._stage(effect, about)
            case Log(text):
                self._env.log(text)
            case _:
                raise NodeError(f"{effect!r} is no effect")

    def _stage(self, write: Write, about: Caller | None) -> None:
        """Durable in a drawn time, after all that was staged before."""
        env = self._env
        now_ms, _ = env.clock_ms()
        takes_ms = COMMIT_MS_MIN + (COMMIT_MS_MAX - COMMIT_MS_MIN) * env.rng.random() + env.disk_stall_ms()
        self._durable_ms = max(self._durable_ms, now_ms + takes_ms)
        self._staged.append((write, about))
        env.after(self._durable_ms - now_ms, self._commit)

    def _commit(self) -> None:
        """The oldest that is staged: as many come here as were staged."""
        write, about = self._staged.popleft()
        if refused := self._env.disk_refuses():
            self._step(Failed(write, refused), about)
            return
        self._put(write)
        if write.ticket is not None:
            self._step(Committed(write.ticket), about)

    def _put(self, write: Write) -> None:
        if write.value is None:
            self.disk.pop(write.key, None)
        else:
            self.disk[write.key] = write.value

    def _fail(self, where: str, error: Exception) -> NoReturn:
        at_s = self._env.clock_ms()[0] / 1000
        raise NodeError(f"node {self._env.node} broke off at {at_s:.6f} s of the simulator, at {where}: {error if isinstance(error, NodeError) else told(error)}") from error  # fmt: skip


def _told(value: Any) -> Any:
    """The answer as the client gets it: what the node changes afterwards is not in it."""
    if isinstance(value, list):
        return [_told(each) for each in value]
    if isinstance(value, dict):
        return {key: _told(each) for key, each in value.items()}
    _refuse_changeable("answer", value)
    return value


def _refuse_changeable(what: str, value: Any) -> None:
    """Two nodes, or a node and its disk, must not share what one of them can change."""
    try:
        hash(value)
    except TypeError:
        raise NodeError(f"the {what} {value!r} could be changed afterwards; make it of tuples, bytes, numbers and frozen dataclasses") from None  # fmt: skip
