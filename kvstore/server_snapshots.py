"""Writes a node's snapshots, each on a thread of its own, and tells the node (`kvstore.snapshots`, `kvstore.engine_snapshot`).

Nobody waits for the thread when the node stops: what is half written then is left so, under a name that says it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from kvstore.config import NodeConfig
from kvstore.engine_errors import EngineError
from kvstore.engine_snapshot import take
from kvstore.events import Snapshot, Snapshotted


class SnapshotWriter:
    """`feed` gets a Snapshotted, on the loop's thread, when a snapshot is whole or has failed."""

    def __init__(self, config: NodeConfig, feed: Callable[[Snapshotted], None]) -> None:
        self._config = config
        self._feed = feed
        self._loop = asyncio.get_running_loop()

    def write(self, snapshot: Snapshot) -> None:
        """Begin to write."""
        threading.Thread(target=self._work, args=(snapshot,), name="snapshot", daemon=True).start()

    def _work(self, snapshot: Snapshot) -> None:
        done = self._written(snapshot)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._feed, done)

    def _written(self, snapshot: Snapshot) -> Snapshotted:
        config = self._config
        data = Path(config.data).absolute()
        folder = Path(config.snapshots or f"{data}.snapshots").absolute()
        try:
            size, place = take(data, folder, config.name, snapshot)
        except EngineError as error:
            return Snapshotted(snapshot.label, failure=str(error))
        return Snapshotted(snapshot.label, size, str(place))
