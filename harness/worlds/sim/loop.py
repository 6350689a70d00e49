"""SimLoop: an asyncio event loop whose clock is virtual.

    call_soon ──► ready   run in order of arrival, at the present virtual time ┐
    call_at   ──► later   when nothing is ready: the earliest, by (time, number) ┴ of its `Agenda`

Nothing ever waits: an hour of virtual time costs what its events cost. Two events of the same time run in the order in
which they were asked for, so a run is a function of its seed. `asyncio.Task`, `Future`, `sleep` and `timeout` work
unchanged on it. What would let the outside world in (sockets, threads, signals, subprocesses) raises `ForbiddenInSimError`
with its name. `asyncio.wait`, `gather` and `TaskGroup` keep tasks in sets, whose order depends on addresses: code that
runs here uses tasks and futures one by one.

Rejected: a SelectorEventLoop with a fake selector. It works, and costs four times as much per event, because it makes a
handle and copies a context for each.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import sys
from asyncio import events
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn, TypeVar

from harness.client import SpoiltRunError
from harness.named import is_library
from harness.worlds.sim.agenda import Agenda, Call
from harness.worlds.sim.stuck import SimDeadlockError as SimDeadlockError
from harness.worlds.sim.stuck import SimStormError as SimStormError
from harness.worlds.sim.stuck import SimStuckError as SimStuckError
from harness.worlds.sim.stuck import SimTimeLimitError as SimTimeLimitError

GC_THRESHOLDS: Final = (50_000, 20, 10)
"""A run makes few circles; with the usual 700 the collector looks at all it holds again and again."""
ENDINGS_MAX: Final = 1000  # of one coroutine: each `await` within a `finally` takes another
T = TypeVar("T")


class ForbiddenInSimError(SpoiltRunError):
    """Simulated code asked for something of the real world; the message names it."""


class SimHandle(asyncio.TimerHandle):
    """What `call_soon` and its kin return: something to cancel."""

    __slots__ = ("dropped",)

    def __init__(self, when: float) -> None:
        # The base class's set-up is left out on purpose: it copies a context for every event.
        self._when = when
        self._cancelled = False
        self.dropped = False

    def cancel(self) -> None:
        """Do not run it."""
        self.dropped = True

    def cancelled(self) -> bool:
        """True after `cancel`."""
        return self.dropped

    def when(self) -> float:
        """The virtual time it is due."""
        return self._when


def _place() -> str:
    """Whose code it is that asks, or has Python's library ask."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    return "" if frame is None else f" ({Path(frame.f_code.co_filename).name}, line {frame.f_lineno})"


def _forbidden(name: str) -> Callable[..., NoReturn]:
    def refuse(loop: asyncio.AbstractEventLoop, *_args: Any, **_kwargs: Any) -> NoReturn:
        error = ForbiddenInSimError(
            f"loop.{name} reaches outside the simulator{_place()}; use the world's channels, disks and clocks"
        )
        loop.call_exception_handler(
            {"exception": error, "message": f"in loop.{name}"}
        )  # it ends the run, whoever catches it
        raise error

    return refuse


FORBIDDEN = (  # noqa: SIM905
    "run_in_executor call_soon_threadsafe run_forever create_connection create_server create_unix_connection "
    "create_unix_server create_datagram_endpoint connect_accepted_socket connect_read_pipe connect_write_pipe "
    "subprocess_exec subprocess_shell getaddrinfo getnameinfo add_reader remove_reader add_writer remove_writer "
    "sock_recv sock_recv_into sock_recvfrom sock_recvfrom_into sock_sendall sock_sendto sock_connect sock_accept "
    "sock_sendfile sendfile start_tls add_signal_handler remove_signal_handler set_default_executor"
).split()


def _no_outside() -> Any:
    """asyncio's interface, with everything that reaches outside refused by name."""
    return type("Refusing", (asyncio.AbstractEventLoop,), {name: _forbidden(name) for name in FORBIDDEN})


class NoOutside(_no_outside()):  # type: ignore[misc]
    """The base of loops that live in the simulator."""


class SimLoop(NoOutside):
    """Virtual time, one thread, no outside world. Not reentrant; use `close` when done."""

    def __init__(self, *, time_virtual_s_max: float = 86_400.0) -> None:
        self.agenda = Agenda(time_virtual_s_max)
        self.post = self.agenda.post  # a cheap `call_later`: without a handle, without a context
        self.at_close: list[Callable[[], object]] = []  # what nodes leave to be done once the run is over
        self._running = False
        self._closed = False

    @property
    def now(self) -> float:
        """Virtual seconds since the loop was made."""
        return self.agenda.now

    @property
    def steps(self) -> int:
        """Events taken at a later time than they were asked for, so far."""
        return self.agenda.steps

    @property
    def trace(self) -> int:
        """A rolling hash over them: when each was, and the how-manyth to be asked for."""
        return self.agenda.trace

    # ---- asyncio's interface --------------------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self.agenda.now

    def call_soon(self, callback: Call, *args: Any, context: contextvars.Context | None = None) -> SimHandle:
        """Call at the present time, after what is ready already."""
        handle = SimHandle(self.agenda.now)
        self.agenda.soon(callback, args, context, handle)
        return handle

    def call_later(
        self, delay: float, callback: Call, *args: Any, context: contextvars.Context | None = None
    ) -> SimHandle:
        """Call after a virtual delay in seconds."""
        return self.call_at(self.agenda.now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Call, *args: Any, context: contextvars.Context | None = None
    ) -> SimHandle:
        """Call at a virtual time; a time in the past means now."""
        handle = SimHandle(max(self.agenda.now, when))  # in this order NaN is now
        self.agenda.at(handle._when, callback, args, context, handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        """Run a coroutine beside the others."""
        return asyncio.Task(coro, loop=self, name=name or "sim", context=context)

    def run_until_complete(self, future: Any) -> Any:
        """Run until the coroutine is done and return its result; re-raise the first error of any callback."""
        if self._closed or self._running:
            raise RuntimeError("this SimLoop is closed" if self._closed else "this SimLoop runs already")
        outer = events._get_running_loop()
        events._set_running_loop(self)
        self._running = True
        try:
            main = asyncio.ensure_future(future, loop=self)
            main.add_done_callback(_nothing)  # so that something is ready once it is done
            self.agenda.run(main.done)
            return main.result()
        finally:
            self._running = False
            events._set_running_loop(outer)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """An error that nobody awaited: end the run with it. Of several at one instant the first counts."""
        error = context.get("exception") or RuntimeError(str(context.get("message")))
        self.agenda.failure = self.agenda.failure or error

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """The same: there is no quiet way to fail here."""
        self.call_exception_handler(context)

    get_debug = staticmethod(bool)  # False: debug mode reads the real clock. Each future asks

    def is_running(self) -> bool:
        """True inside `run_until_complete`."""
        return self._running

    def is_closed(self) -> bool:
        """True after `close`."""
        return self._closed

    def close(self) -> None:
        """Drop everything that is scheduled, and end the coroutines that still wait: nobody would hear of what they do on their way out."""
        if self._closed:
            return
        self._closed = True
        self.agenda.clear()
        for task in asyncio.all_tasks(self):
            end_quietly(task)
        for call in self.at_close:
            call()
        self.at_close.clear()

    async def shutdown_asyncgens(self) -> None:
        """Nothing to do: nothing outlives the loop."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Nothing to do: there is no executor."""


def _nothing(_: asyncio.Future[Any]) -> None:
    """Nothing."""


def simulate(main: Coroutine[Any, Any, T], *, time_virtual_s_max: float = 86_400.0) -> T:
    """Run a coroutine on a fresh SimLoop and return its result."""
    loop = SimLoop(time_virtual_s_max=time_virtual_s_max)
    try:
        result: T = loop.run_until_complete(main)
        return result
    finally:
        loop.close()


@contextmanager
def rare_collections() -> Iterator[None]:
    """Until the end of the block the garbage collector comes more rarely."""
    before = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def end_quietly(task: asyncio.Task[Any]) -> None:
    """End a coroutine that will never go on. One that waits in its `finally` ignores that, as Python says of one that is merely dropped; it is ended again."""
    whole: Any = task.get_coro()
    for _ in range(ENDINGS_MAX):
        inner = _innermost(whole)  # what it waits for is ended before it: it might go without it
        with suppress(Exception, GeneratorExit, asyncio.CancelledError, BaseExceptionGroup):
            inner.close()
        if inner is whole and inspect.getcoroutinestate(inner) == inspect.CORO_CLOSED:
            return


def _innermost(whole: Any) -> Any:
    inner = whole.cr_await
    while inspect.iscoroutine(inner) and inspect.getcoroutinestate(inner) != inspect.CORO_CLOSED:
        whole, inner = inner, inner.cr_await
    return whole


def leave_off(loop: SimLoop, task: asyncio.Task[None]) -> None:
    """Cancel a task that cannot go on, and let it come to its end; what goes wrong meanwhile is not what matters."""
    if not task.done():
        task.cancel()
        with suppress(Exception, asyncio.CancelledError, KeyboardInterrupt):
            loop.run_until_complete(task)
