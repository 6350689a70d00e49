"""Writes a node's snapshots on a thread of their own, and tells the node (`kvstore.snapshots`, `kvstore.engine_snapshot`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kvstore.config import NodeConfig
from kvstore.engine import EngineError
from kvstore.engine_snapshot import take
from kvstore.events import Snapshot, Snapshotted


class SnapshotWriter:
    """`feed` gets a Snapshotted, on the loop's thread, when a snapshot is whole or has failed."""

    def __init__(self, config: NodeConfig, feed: Callable[[Snapshotted], None]) -> None:
        self._config = config
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(
            1, "snapshots"
        )  # starts its thread when there is something to write

    def write(self, snapshot: Snapshot) -> None:
        """Begin to write."""
        writing = self._loop.run_in_executor(self._thread, self._written, snapshot)
        writing.add_done_callback(self._done)

    def _written(self, snapshot: Snapshot) -> Snapshotted:
        config = self._config
        data = Path(config.data).absolute()
        folder = Path(config.snapshots or f"{data}.snapshots").absolute()
        try:
            size, place = take(data, folder, config.name, snapshot)
        except EngineError as error:
            return Snapshotted(snapshot.label, failure=str(error))
        return Snapshotted(snapshot.label, size, str(place))

    def _done(self, writing: asyncio.Future[Snapshotted]) -> None:
        if not writing.cancelled():
            self._feed(writing.result())

    def close(self) -> None:
        """End the thread once it is done; what is half written then is left so, under a name that says it."""
        self._thread.shutdown(wait=False, cancel_futures=True)
