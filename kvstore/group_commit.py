"""Many writes, one fsync: whatever arrives while one commit runs forms the next.

    loop     w1 w2 ─ stage ┐        w3 w4 w5 (wait)         ┌ Committed(2) ─ stage ┐
    thread                 └─ sync ─────────────── fsync ───┘                      └─ sync …

Nobody need tune a delay: a slow disk makes larger batches by itself. Which Writes may wait, and which need no fsync of their own,
says `kvstore.commit_queue`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue

from kvstore.admin import Metrics
from kvstore.commit_queue import CommitQueue
from kvstore.engine import Engine
from kvstore.events import Write

_NEVER = float("inf")


class GroupCommit:
    """Commits Writes in order, off the loop's thread, one commit at a time."""

    def __init__(
        self,
        engine: Engine,
        metrics: Metrics,
        *,
        committed: Callable[[int], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """`committed` gets the highest durable ticket; `failed` must not return to normal work."""
        self._engine = engine
        self._metrics = metrics
        self._committed = committed
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[int | None] = SimpleQueue()  # the ticket that a sync will make durable
        self._thread = threading.Thread(target=self._work, name="commit", daemon=True)
        self._thread.start()
        self._queue = CommitQueue()
        self._wake_ms = _NEVER  # when a timer calls `_wake`
        self._busy = False
        self._started_at = 0.0
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, write: Write) -> None:
        """Take a Write; `begin` must follow in the same turn of the loop."""
        self._queue.add(write, 1000 * self._loop.time())

    def begin(self, now_ms: float = 0.0) -> None:
        """Start a commit of what waits, unless one is on its way or it may wait on."""
        due_ms = self._queue.due_ms
        if self._busy or due_ms == _NEVER:
            return
        now_ms = max(now_ms, 1000 * self._loop.time())
        if due_ms <= now_ms:
            self._busy = True
            self._idle.clear()
            self._commit(now_ms)
        elif due_ms < self._wake_ms:
            self._wake_ms = due_ms
            self._loop.call_later((due_ms - now_ms) / 1000, self._wake)

    def _wake(self) -> None:
        now_ms, self._wake_ms = self._wake_ms, _NEVER  # the clock may show a hair less
        self.begin(now_ms)

    async def idle(self) -> None:
        """Wait until everything added is durable. Nothing waits for company from now on."""
        self._queue.hurry()
        self.begin()
        await self._idle.wait()

    def close(self) -> None:
        """End the thread, once the sync on its way is over."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        """The thread: sync, tell the loop, wait for the next. An executor's futures cost more than the rest of it."""
        while (ticket := self._jobs.get()) is not None:
            error: Exception | None = None
            try:
                self._engine.sync()
            except Exception as failure:
                error = failure
            self._loop.call_soon_threadsafe(self._synced, error, ticket)

    def _commit(self, now_ms: float) -> None:
        batch = self._queue.take(now_ms)
        rows = [row for write in batch.writes for row in write.rows]
        self._metrics.committing(len(rows), loose=batch.loose)
        self._started_at = self._loop.time()
        try:
            self._engine.stage(rows, loose=batch.loose)
        except Exception as error:
            self._failed(error)
            return
        self._jobs.put(batch.ticket)

    def _synced(self, error: Exception | None, ticket: int) -> None:
        if error is not None:
            self._failed(error)
            return
        self._metrics.commit_ms += 1000 * (self._loop.time() - self._started_at)
        self._busy = False
        self._committed(ticket)
        self.begin()
        if not self._busy:
            self._idle.set()
