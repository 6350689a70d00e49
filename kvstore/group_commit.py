"""Many writes, one fsync: whatever arrives while one commit runs forms the next.

    loop     w1 w2 ─ stage ┐        w3 w4 w5 (wait)         ┌ Committed(2) ─ stage ┐
    thread                 └─ sync ─────────────── fsync ───┘                      └─ sync …

Nobody tunes a delay: a slow disk makes larger batches by itself. `gather_ms` can add one, for disks whose
fsync is so cheap that batches stay small.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue

from kvstore.admin import Metrics
from kvstore.engine import Engine
from kvstore.events import Write


class GroupCommit:
    """Commits Writes in order, off the loop's thread, one commit at a time."""

    def __init__(
        self,
        engine: Engine,
        metrics: Metrics,
        *,
        gather_ms: float,
        committed: Callable[[int], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """`committed` gets the highest durable ticket; `failed` must not return to normal work."""
        self._engine = engine
        self._metrics = metrics
        self._gather_s = gather_ms / 1000
        self._committed = committed
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[int | None] = SimpleQueue()  # the ticket that a sync will make durable
        self._thread = threading.Thread(target=self._work, name="commit", daemon=True)
        self._thread.start()
        self._waiting: list[Write] = []
        self._busy = False
        self._started_at = 0.0
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, write: Write) -> None:
        """Take a Write; `begin` must follow in the same turn of the loop."""
        self._waiting.append(write)

    def begin(self) -> None:
        """Start a commit of what waits, unless one is on its way."""
        if self._busy or not self._waiting:
            return
        self._busy = True
        self._idle.clear()
        if self._gather_s:
            self._loop.call_later(self._gather_s, self._commit)
        else:
            self._commit()

    async def idle(self) -> None:
        """Wait until everything added is durable."""
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

    def _commit(self) -> None:
        writes, self._waiting = self._waiting, []
        rows = [row for write in writes for row in write.rows]
        self._metrics.committing(len(rows))
        self._started_at = self._loop.time()
        try:
            self._engine.stage(rows)
        except Exception as error:
            self._failed(error)
            return
        self._jobs.put(writes[-1].ticket)

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
