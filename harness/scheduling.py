"""Scheduling: which operation begins when, on which thread, and what its end means. `interpreter` has the coroutines that do them.

    pump ──► ask the generator ──► begin: record the invocation, wake the thread's worker ┐
      ▲                                                                                   ▼
      └──────────── end: record ok | fail | info, free the thread ◄── the worker is done, or too slow

All here is called by the loop or by a worker and returns at once; nothing waits.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

from checkers.op import Op, Type
from harness.client import Client
from harness.completion import check_completion
from harness.deadlines import Deadlines
from harness.generator import (
    PENDING,
    SLEEP,
    Context,
    Generator,
    GeneratorError,
    GeneratorLike,
    Next,
    first_context,
    lift,
)
from harness.recorder import Recorder

SLACK_NS: Final = 1_000  # a timer may fire this much early, by rounding
REST_FIRST_S: Final = 0.01  # after a connection could not be opened: doubles each time,
REST_MAX_S: Final = 1.0  # up to this

Connect = Callable[[str, int], Awaitable[Client]]
"""(node, process) -> a client connected to the node. Whatever it raises means: no client."""


class Worker:
    """Serves one thread: a task that takes an operation, does it, reports, and waits for the next."""

    __slots__ = ("client", "number", "op", "sent", "stopped", "task", "thread", "wake")

    def __init__(self, thread: int, client: Client | None) -> None:
        self.thread = thread
        self.client = client
        self.number = 0  # counts the operations, so that a late alarm knows it is late
        self.op: Op | None = None
        self.sent = False  # has the client been given the operation?
        self.stopped = False  # its time is over: what it still reports is ignored
        self.wake: asyncio.Future[None] | None = None
        self.task: asyncio.Task[None] | None = None


class Scheduler:
    """The state of one run, and every decision about it."""

    def __init__(
        self,
        generator: GeneratorLike,
        connect: Connect,
        nodes: Sequence[str],
        concurrency: int,
        recorder: Recorder,
        nemesis: Client | None,
        timeout_s: float,
        rng: random.Random,
        serve: Callable[[Scheduler, Worker], Coroutine[Any, Any, None]],
    ) -> None:
        """`serve` is what a worker's task does: it serves the thread until dismissed."""
        self.loop = asyncio.get_running_loop()
        self.gen = self.asked = lift(generator)
        self.listens = self.gen.listens  # of the generator `asked`
        self.connect, self.recorder = connect, recorder
        self.nodes, self.concurrency = tuple(nodes), concurrency
        self.nemesis, self.rng, self.serve = nemesis, rng, serve
        first = first_context(concurrency, rng, nemesis=nemesis is not None)
        self.threads = self.free = first.threads
        self.processes = first.processes
        self.under_way = 0  # operations and sleeps
        self.resting = 0  # threads that wait before they try to connect again
        self.refusals = [0] * concurrency  # connections refused in a row, by thread
        self.over: asyncio.Future[None] = self.loop.create_future()
        self.start_s, self.now_ns = self.loop.time(), 0
        self.waits = first.waits  # cleared before each question
        self.plan: tuple[Op, Generator] | None = None  # an answer that lies ahead, and holds until then
        self.timer: asyncio.TimerHandle | None = None
        self.timer_ns = -1
        self.deadlines = Deadlines(timeout_s, self.loop.time, self.loop.call_at, self.expire)
        self.tasks: list[asyncio.Task[None]] = []
        self.workers = [self.hire(thread) for thread in range(len(self.processes))]

    # ---- deciding what happens next -----------------------------------------------------------------------------

    def pump(self) -> None:
        """Start what can be started. Whatever was recorded is in the file before any client goes on."""
        if self.over.done():
            return
        try:
            self.start_operations()
            self.recorder.flush()
        except Exception as error:
            self.crash(error)

    def start_operations(self) -> None:
        """Ask the generator and start operations, until it has to wait. The clock has just been read."""
        while self.free or not self.under_way:
            result = self.plan or self.ask()
            if result is None:
                if not self.under_way:
                    self.over.set_result(None)
                return
            if result is PENDING:
                if not self.under_way and not self.resting:
                    raise GeneratorError("the generator waits, but nothing is under way that could wake it")
                return
            op, after = result
            if op.time_ns - self.now_ns > SLACK_NS:
                self.plan = None if self.waits.some else result
                self.ask_again_at(op.time_ns)
                return
            self.plan, self.gen = None, after
            self.begin(op)

    def ask(self) -> Next:
        """The generator's answer now; `waits` says whether to ask anew when a thread becomes free."""
        self.waits.some = False
        return self.gen.next_op(self.context())

    def read_clock(self) -> None:
        """The time since the start; it never goes back."""
        now_ns = round((self.loop.time() - self.start_s) * 1e9)
        if now_ns > self.now_ns:
            self.now_ns = now_ns

    def tell(self, event: Op) -> None:
        """Tell the generator, if it wants to know."""
        if self.gen is not self.asked:
            self.asked, self.listens = self.gen, self.gen.listens
        if self.listens:
            self.gen = self.gen.update(self.context(), event)
            self.plan = None

    def context(self) -> Context:
        """What the generator may know now."""
        return Context(self.now_ns, self.free, self.threads, self.processes, self.concurrency, self.rng, self.waits)  # fmt: skip

    def ask_again_at(self, time_ns: int) -> None:
        """Set the one timer."""
        if self.timer is not None:
            if self.timer_ns == time_ns:
                return
            self.timer.cancel()
        self.timer_ns = time_ns
        self.timer = self.loop.call_at(self.start_s + time_ns / 1e9, self.on_timer)

    def on_timer(self) -> None:
        """The generator's next operation is due."""
        self.timer = None
        self.read_clock()
        self.pump()

    def begin(self, op: Op) -> None:
        """Record the call, then let the thread's worker have it."""
        thread = op.process % self.concurrency if isinstance(op.process, int) else self.concurrency
        if not (self.free >> thread & 1 and self.processes[thread] == op.process):
            raise GeneratorError(f"the generator gave {op.f!r} to process {op.process!r}, which is not free")
        self.free &= ~(1 << thread)
        self.under_way += 1
        if op.f == SLEEP:
            self.tell(op)
            self.loop.call_at(self.start_s + (self.now_ns + op.value) / 1e9, self.on_slept, op, thread)
            return
        op = self.recorder.record(op, self.now_ns)
        self.tell(op)
        worker = self.workers[thread]
        worker.op = op
        worker.sent = False
        worker.number += 1
        if thread < self.concurrency:
            self.deadlines.watch(worker)
        if worker.wake is not None:
            worker.wake.set_result(None)
            worker.wake = None

    def on_slept(self, op: Op, thread: int) -> None:
        """A sleep is over; nobody but the generator hears of it."""
        if self.over.done():
            return
        self.read_clock()
        self.under_way -= 1
        self.free |= 1 << thread
        try:
            self.tell(op.ok())
        except Exception as error:
            self.crash(error)
        self.pump()

    def end(self, worker: Worker, op: Op, done: Op, rest_s: float = 0.0) -> bool:
        """Record the completion, free the thread (after a rest), and go on. False if the run is over."""
        if self.over.done():
            return False
        try:
            check_completion(op, done)
            thread = worker.thread
            self.read_clock()
            worker.op = None
            done = self.recorder.record(done, self.now_ns)
            self.under_way -= 1
            if done.type is Type.INFO and isinstance(op.process, int):
                heir = op.process + self.concurrency
                self.processes = (*self.processes[:thread], heir, *self.processes[thread + 1 :])
            if rest_s:
                self.resting += 1
                self.loop.call_later(rest_s, self.on_rested, thread)
            else:
                self.free |= 1 << thread
            self.tell(done)
        except Exception as error:
            self.crash(error)
        else:
            self.pump()
        return not self.over.done()

    def on_rested(self, thread: int) -> None:
        """The thread may try to connect again."""
        self.resting -= 1
        self.free |= 1 << thread
        self.read_clock()
        self.pump()

    def crash(self, error: Exception) -> None:
        """Stop the run with this error."""
        if not self.over.done():
            self.over.set_exception(error)

    # ---- time limits --------------------------------------------------------------------------------------------

    def expire(self, worker: Worker, op: Op) -> None:
        """Take the thread away from a worker that is too slow; it closes its client when it can."""
        self.dismiss(worker)
        self.workers[worker.thread] = self.hire(worker.thread)
        if worker.sent:
            self.end(worker, op, op.info(f"time-out after {self.deadlines.timeout_s * 1e3:g} ms"))
        else:
            self.end(worker, op, op.fail(f"no client: no connection within {self.deadlines.timeout_s * 1e3:g} ms"), self.rest_of(worker.thread))  # fmt: skip

    def rest_of(self, thread: int) -> float:
        """How long a thread rests after being refused once more."""
        self.refusals[thread] += 1
        return float(min(REST_FIRST_S * 2 ** min(self.refusals[thread] - 1, 20), REST_MAX_S))

    # ---- workers ------------------------------------------------------------------------------------------------

    def hire(self, thread: int) -> Worker:
        """A worker for the thread, and its task."""
        worker = Worker(thread, self.nemesis if thread == self.concurrency else None)
        worker.task = self.loop.create_task(self.serve(self, worker))
        if len(self.tasks) > 4 * len(self.processes):
            self.tasks = [task for task in self.tasks if not task.done()]
        self.tasks.append(worker.task)
        return worker

    def dismiss(self, worker: Worker) -> None:
        """Have a worker stop as soon as it can."""
        worker.stopped = True
        if worker.task is not None:
            worker.task.cancel()
