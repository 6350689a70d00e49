"""The interpreter: the one scheduler. It asks the generator, hands operations to clients, and records what happens.

                 ┌───────────────────────────── update ◄──────────────────────────────┐
    generator ───┴─► next_op ─► record invoke ─► worker of the thread ─► client.invoke ─┴─► record ok | fail | info
                                                    │
                        thread t: process t, t + n, t + 2n, … one after the other, on node t % len(nodes)

What an end means for the process (n = concurrency):

    ok, fail           it goes on, with the same client
    info               it is retired: process + n takes over the thread, with a new client. The old operation may still
                       take effect, so its process must never be seen doing another one
    the client raised  `fail` if its error table says so, else `info`; the client is closed either way
    no client          the connection could not be opened: `fail`, for nothing was sent; the thread rests a little first
    too slow           `info` at `op_timeout_ms`; the client is cancelled and left to close by itself

Everything runs on the current asyncio loop, which may be the simulator's: time is `loop.time()`, nothing but futures, tasks
and timers is used, and no order depends on a set or a hash. With equal seeds and a loop that repeats itself, so does the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence

from checkers.op import Op, Type
from harness.client import Client, SpoiltRunError
from harness.completion import InterpreterError, after_error, describe
from harness.generator import NEMESIS, GeneratorLike
from harness.recorder import Recorder
from harness.scheduling import Connect, Scheduler, Worker

FAREWELL_S = 5.0  # how long clients may take to close at the end


async def interpret(
    generator: GeneratorLike,
    *,
    connect: Connect,
    nodes: Sequence[str],
    concurrency: int,
    recorder: Recorder,
    nemesis: Client | None = None,
    op_timeout_ms: float,
    rng: random.Random,
) -> None:
    """Run the generator to its end and return when the last operation has ended.

    Call it once a run: processes and time begin anew with each call; what comes after a heal is a later phase of the
    same generator. Operations of the nemesis have no time limit, and its client is not closed here. When cancelled,
    it closes the clients and leaves the operations under way without an end.

    Raises InterpreterError (a client broke its contract), GeneratorError and SpoiltRunError (a simulated client asked the real world).
    """
    run = Scheduler(
        generator, connect, nodes, concurrency, recorder, nemesis, op_timeout_ms / 1e3, rng, serve
    )
    try:
        run.pump()
        await run.over
    finally:
        await stop(run)


async def serve(run: Scheduler, worker: Worker) -> None:
    """Serve a thread until dismissed."""
    try:
        while not worker.stopped:
            op = worker.op
            if op is None:
                worker.wake = run.loop.create_future()
                await worker.wake
                continue
            if worker.client is None and not await open_client(run, worker, op):
                continue
            client = worker.client
            assert client is not None
            worker.sent = True
            raised = False
            try:
                done = await client.invoke(op)
            except (Exception, asyncio.CancelledError, SystemExit) as error:
                if worker.stopped or isinstance(error, SpoiltRunError):
                    raise
                done, raised = after_error(op, error, client.errors), True
            if worker.stopped:
                break
            if not run.end(worker, op, done):
                break
            if (raised or done.type is Type.INFO) and worker.thread < run.concurrency:
                await close_client(worker)
            elif worker.op is not None:
                await asyncio.sleep(0)  # a client that never waits must not keep the loop for itself
    except SpoiltRunError as error:
        run.crash(error)
    except asyncio.CancelledError:
        if not worker.stopped:
            raise
    finally:
        if worker.thread < run.concurrency:
            await close_client(worker)


async def open_client(run: Scheduler, worker: Worker, op: Op) -> bool:
    """Give the worker a client; False, and the operation has failed, if there is none to be had."""
    assert isinstance(op.process, int)
    try:
        worker.client = await run.connect(run.nodes[worker.thread % len(run.nodes)], op.process)
    except (Exception, asyncio.CancelledError) as error:
        if worker.stopped or isinstance(error, SpoiltRunError):
            raise
        run.end(worker, op, op.fail(f"no client: {describe(error)}"), run.rest_of(worker.thread))
        return False
    run.refusals[worker.thread] = 0
    return not worker.stopped


async def close_client(worker: Worker) -> None:
    """Give the client back. What goes wrong now has no bearing on the history."""
    client, worker.client = worker.client, None
    if client is not None:
        with contextlib.suppress(Exception):
            await client.close()


async def stop(run: Scheduler) -> None:
    """Cancel timers and workers, and wait, not for ever, until the clients are closed."""
    if not run.over.done():
        run.over.cancel()
    run.deadlines.cancel()
    if run.timer is not None:
        run.timer.cancel()
    for worker in run.workers:
        run.dismiss(worker)
    left = [task for task in run.tasks if not task.done()]
    closed = run.loop.create_future()
    count = len(left)

    def finish() -> None:
        if not closed.done():
            closed.set_result(None)

    def on_done(_: asyncio.Task[None]) -> None:
        nonlocal count
        count -= 1
        if not count:
            finish()

    for task in left:
        task.add_done_callback(on_done)
    if left:
        patience = run.loop.call_later(FAREWELL_S, finish)
        await closed
        patience.cancel()
    run.recorder.flush()


__all__ = ["NEMESIS", "Connect", "InterpreterError", "interpret"]
