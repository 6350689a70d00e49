"""The event loop of one simulated node: asyncio as a program knows it, on the simulator's virtual time.

    SimLoop ──► a turn of n1 ──► its ready callbacks, each with its context      a program sees `NodeLoop`, never the simulator's
            ──► a turn of n2                                                     loop: its own ports, clock, log and disk
            ──► a turn of n1 …   10 µs after the last, if something is ready

While a node is paused its turns wait; once it has crashed there are none, so that not even a `finally` runs. What asyncio keeps in sets (`wait`, `TaskGroup`)
has an order here: tasks, futures and connections are hashed by a number, not by their address. `time.time()` and the like, and the functions of `random`, are
answered from the node's clock and random stream (`guard.Inside`).
"""

from __future__ import annotations

import asyncio
import contextvars
import socket
import sys
from asyncio import events
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from itertools import count
from typing import Any, Final, NoReturn, TextIO, TypeVar, cast
from weakref import ref

from harness.named import told
from harness.system import SimulatedEnv
from harness.worlds.sim import guard, outside
from harness.worlds.sim.aio.library import LogFile, answers
from harness.worlds.sim.aio.server import Factory, Server
from harness.worlds.sim.aio.stack import Stack, port_of
from harness.worlds.sim.aio.tasks import NodeFuture, NodeHandle, NodeTask
from harness.worlds.sim.aio.transport import Transport
from harness.worlds.sim.loop import ForbiddenInSimError, NoOutside, end_quietly
from harness.worlds.sim.sansio import Caller, NodeError

T = TypeVar("T")
TURN_MS: Final = 0.01  # a program that only spins lets time pass
TLS: Final = frozenset({"ssl", "ssl_handshake_timeout", "ssl_shutdown_timeout"})
CONNECTING: Final = TLS | {"family", "proto", "flags", "sock", "local_addr", "server_hostname", "happy_eyeballs_delay", "interleave", "all_errors"}  # fmt: skip
SERVING: Final = TLS | {"family", "flags", "sock", "backlog", "reuse_address", "reuse_port", "keep_alive", "start_serving"}  # fmt: skip
"""What may be said of a connection, and of a server: what changes nothing here is taken."""
HEARD_S: Final = 5.0  # so long may whoever keeps a task leave its error where it is


def is_misfortune(error: BaseException) -> bool:
    """Whether it is what networks and disks do to a program, and no mistake in it; of a group, as a TaskGroup raises it, all."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_misfortune, error.exceptions))
    return isinstance(error, OSError | EOFError)


class NodeLoop(NoOutside):
    """The loop of one life of a node. `stack` is its network; `dead` once nothing of it may run any more."""

    def __init__(self, env: SimulatedEnv, addresses: Mapping[str, str], life: int) -> None:
        self.env, self.dead = env, False
        self.cause: Caller | None = None
        self.number = count(1).__next__
        self.stack = Stack(env, self, addresses, life)
        self._ready: deque[NodeHandle] = deque()
        self._turn_is_due = False
        self._failure: Exception | None = None
        self._tasks: dict[
            asyncio.Task[Any], None
        ] = {}  # kept, so that no garbage collector ends one at a time of its own
        self._unheard: dict[int, asyncio.Task[Any]] = {}  # ended with an error that nobody has asked for yet
        self._on_error: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None
        self._printed = cast(TextIO, LogFile(env.log))
        self._typed = StringIO()  # nobody types anything
        self._ignored = self._unraisable
        self._hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(
            None, _end_generator
        )  # once for all turns: it takes as long as half of an empty one
        self._inside = guard.Inside(answers(env, life), lambda leak: self.fail("in a turn", leak))
        outside.listen(guard.on_event)
        env.at_end(self.bury)

    @classmethod
    def of(cls, env: SimulatedEnv, addresses: Mapping[str, str], life: int) -> NodeLoop:
        """The loop of a life."""
        return cls(env, addresses, life)

    # ---- turns ------------------------------------------------------------------------------------------------------

    def _put(self, handle: NodeHandle) -> None:
        self._ready.append(handle)
        if not self._turn_is_due and not self.dead:
            self._turn_is_due = True
            self.env.after(0.0, self._turn)

    def after(self, delay_ms: float, call: Callable[..., object], *args: Any) -> None:
        """Call later, outside of turns, for the request for which things happen now."""
        self.env.after(delay_ms, self._call_for, self.cause, call, args)

    def _call_for(self, cause: Caller | None, call: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.cause = cause
        call(*args)
        self.cause = None

    def _ring(self, handle: NodeHandle) -> None:
        if not handle.dropped:
            self._put(handle)

    def _turn(self) -> None:
        """Call what is ready now; what becomes ready meanwhile is for the next turn."""
        outer, before = events._get_running_loop(), guard.enter(self._inside)
        stdin, stdout, stderr, unraisable = sys.stdin, sys.stdout, sys.stderr, sys.unraisablehook
        events._set_running_loop(self)
        sys.stdin = self._typed
        sys.stdout = sys.stderr = self._printed
        sys.unraisablehook = self._ignored
        try:
            for _ in range(len(self._ready)):
                if self.dead or self._failure is not None:
                    break
                self._call(self._ready.popleft())
        finally:
            sys.stdin, sys.stdout, sys.stderr, sys.unraisablehook = stdin, stdout, stderr, unraisable
            events._set_running_loop(outer)
            guard.enter(before)
            self.cause = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            self.die()
            raise failure
        self._turn_is_due = bool(self._ready) and not self.dead
        if self._turn_is_due:
            self.env.after(TURN_MS, self._turn)

    def _call(self, handle: NodeHandle) -> None:
        if handle.dropped:
            return
        self.cause = handle.cause
        try:
            handle.context.run(handle.call, *handle.args)
        except SystemExit as error:
            self.env.end(f"exited with {error.code}")
        except (Exception, asyncio.CancelledError) as error:
            self.call_exception_handler({"message": "in a callback", "exception": error})

    def die(self) -> None:
        """The process is gone. Its coroutines are kept as they stand: dropped, they would run their `finally`."""
        self.dead = True
        self._ready.clear()

    def bury(self) -> None:
        """The run is over: now they can go."""
        self.die()
        if self._hooks.finalizer is not _end_generator:
            sys.set_asyncgen_hooks(*self._hooks)
        self._unheard.clear()
        while self._tasks:  # one may begin another on its way out
            end_quietly(self._tasks.popitem()[0])

    # ---- errors -----------------------------------------------------------------------------------------------------

    def _unraisable(self, found: Any) -> None:
        """An error where none can be raised, such as in `__del__`: a line in the log, as everywhere."""
        where = getattr(found.object, "__qualname__", type(found.object).__name__)
        self.env.log(f"{found.err_msg or 'Exception ignored in'} {where}: {told(found.exc_value)}")

    def set_exception_handler(self, handler: Callable[[Any, dict[str, Any]], object] | None) -> None:
        """Who is told of errors that nobody handles, in place of the run."""
        self._on_error = handler

    def get_exception_handler(self) -> Callable[[Any, dict[str, Any]], object] | None:
        """Who that is."""
        return self._on_error

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """An error that nobody handles."""
        if self.dead:
            return
        error = context.get("exception")
        if isinstance(error, ForbiddenInSimError) or self._on_error is None:
            self.default_exception_handler(context)
        else:
            self._on_error(self, context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """What networks and disks do to a program is a line in its log; another error is a mistake in it, and ends the run."""
        error, task = context.get("exception"), context.get("future")
        message = f"in task {task.get_name()}" if isinstance(task, NodeTask) else str(context.get("message"))
        if isinstance(error, Exception) and not is_misfortune(error):
            self.fail(message, error)
        else:
            self.env.log(message if error is None else f"{message}: {told(error)}")

    def fail(self, where: str, error: Exception) -> None:
        """End the run once this turn is over, with the first such error."""
        if self._failure is None:
            text = f"node {self.env.node} broke off at {self.time():.6f} s of the simulator, {where}: {told(error)}"
            self._failure = NodeError(text)
            self._failure.__cause__ = error

    @contextmanager
    def _no_foreigner(self, call: str) -> Iterator[None]:
        """A host that is not in the run ends it, whoever catches the error."""
        try:
            yield
        except ForbiddenInSimError as error:
            self.fail(f"in loop.{call}", error)
            raise

    # ---- asyncio's interface ----------------------------------------------------------------------------------------

    def time(self) -> float:
        """The node's monotonic clock in seconds. The fault `clock` does not shift it."""
        return self.env.clock_ms()[0] / 1000

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> NodeHandle:
        """Call in the next turn."""
        handle = NodeHandle(self.time(), callback, args, context, self.cause)
        self._put(handle)
        return handle

    call_soon_threadsafe = call_soon  # there is one thread

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> NodeHandle:
        """Call after a delay in seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> NodeHandle:
        """Call at a time of this loop; one in the past means soon."""
        handle = NodeHandle(when, callback, args, context, self.cause)
        if not self.dead:
            self.env.after(max(0.0, when - self.time()) * 1000, self._ring, handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return NodeFuture(self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        """Run a coroutine beside the others."""
        task: asyncio.Task[T] = NodeTask(coro, self, name, context)
        self._tasks[task] = None
        asyncio.Task.add_done_callback(task, self._look)
        return task

    def _look(self, task: asyncio.Task[Any]) -> None:
        """An error is told by the task itself once it is dropped and nobody has asked for it. Who keeps it may ask later, but not for ever.

        What waits for a task, as `gather` does, is among its callbacks: it will see.
        """
        self._tasks.pop(task, None)
        if not task.cancelled() and task._exception is not None:
            number = hash(task)
            self._unheard[number] = task  # in this turn no collector takes it
            self.call_soon(self._look_again, number, ref(task))

    def _look_again(self, number: int, task: ref[asyncio.Task[Any]]) -> None:
        self._unheard.pop(number)  # now it goes, if nobody else has it
        if (kept := task()) is not None and kept._log_traceback and not cast(NodeTask[Any], kept).awaited:
            self._unheard[number] = kept
            self.call_later(HEARD_S, self._look_at_last, number)

    def _look_at_last(self, number: int) -> None:
        task = self._unheard.pop(number)
        if task._log_traceback:
            self.call_exception_handler({"message": "nobody asked for it", "exception": task.exception(), "future": task})  # fmt: skip

    def get_debug(self) -> bool:
        """Never: debug mode reads the real clock."""
        return False

    def set_debug(self, enabled: bool) -> None:
        """As said: it stays off."""

    def get_task_factory(self) -> None:
        """There is none."""

    def set_task_factory(self, factory: object) -> None:
        """None may be set. Another would make tasks that have no order of their own."""
        if factory is not None:
            raise ForbiddenInSimError("loop.set_task_factory would take the place of the simulator's tasks; leave it out")  # fmt: skip

    def stop(self) -> None:
        """Who stops the loop ends the process."""
        self.env.end("stopped its event loop")

    def close(self) -> None:
        """As everywhere while it runs."""
        raise RuntimeError("Cannot close a running event loop")

    def run_until_complete(self, future: object) -> NoReturn:
        """As everywhere while it runs."""
        raise RuntimeError("This event loop is already running")

    def is_running(self) -> bool:
        """Until the process ends."""
        return not self.dead

    def is_closed(self) -> bool:
        """After that."""
        return self.dead

    async def shutdown_asyncgens(self) -> None:
        """Nothing to do: nothing outlives the process."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Nothing to do: there is no executor."""

    # ---- the network ------------------------------------------------------------------------------------------------

    async def create_connection(
        self,
        protocol_factory: Factory,
        host: str | None = None,
        port: int | str | None = None,
        **options: Any,
    ) -> tuple[Transport, asyncio.BaseProtocol]:
        """Connect to a node by its name or address. Raises OSError as the network has it: refused, reset, timed out."""
        with self._no_foreigner("create_connection"):
            _refuse("create_connection", options, CONNECTING, "ssl", "sock", "local_addr")
            transport = self.stack.connect(str(host or "localhost"), port_of("connect", port))
        waiter = transport.waiter = self.create_future()
        try:
            await waiter
        except BaseException:
            transport.abort()
            raise
        protocol = protocol_factory()
        transport.begin(protocol)
        return transport, protocol

    async def create_server(
        self,
        protocol_factory: Factory,
        host: str | Sequence[str] | None = None,
        port: int | str | None = None,
        **options: Any,
    ) -> Server:
        """Listen. Raises OSError when the port is taken."""
        with self._no_foreigner("create_server"):
            _refuse("create_server", options, SERVING, "ssl", "sock")
            server = Server(
                self, self.stack, protocol_factory, self.stack.one_of(host), port_of("bind", port)
            )
        if options.get("start_serving", True):
            await server.start_serving()
        return server

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> list[Any]:
        """The address of a node."""
        with self._no_foreigner("getaddrinfo"):
            where = (self.stack.address_of(str(host or "localhost")), port_of("getaddrinfo", port))
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where)]


def _end_generator(generator: AsyncGenerator[Any, Any]) -> None:
    """One that was left half way: its `finally` runs, and may wait. Of a process that has ended nothing does."""
    loop = events._get_running_loop()
    if isinstance(loop, NodeLoop) and not loop.dead:
        loop.create_task(generator.aclose())


def _refuse(call: str, options: Mapping[str, Any], known: frozenset[str], *names: str) -> None:
    for name in options:
        if name not in known:
            raise TypeError(f"loop.{call}() got an unexpected keyword argument {name!r}")
    for name in names:
        if options.get(name):
            raise ForbiddenInSimError(
                f"loop.{call} with {name} reaches outside the simulator, or is not simulated; leave {name} out"
            )
