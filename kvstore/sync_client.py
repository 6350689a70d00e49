"""The store from Python without asyncio: the same client behind a thread of its own.

    with blocking_client("127.0.0.1:7001") as store:
        store.put("k", b"v")

    a thread of yours ── store.put(…) ──► the client's thread: its event loop runs `QuorateClient.put` ──► answer, or the same errors

Any number of threads may use one client at once. What is said in `kvstore.cluster_client` holds here.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from kvstore import client_calls as calls
from kvstore.client_calls import Call, Data, Versions, Written
from kvstore.client_core import DefiniteError, MaybeAppliedError
from kvstore.cluster_client import Commands, QuorateClient, quorate_client

T = TypeVar("T")


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._closed = False
        self._lock = threading.Lock()  # nothing is given to the loop behind its end
        self._thread = threading.Thread(target=self._loop.run_forever, name="quorate-client", daemon=True)
        self._thread.start()

    def wait(self, work: Coroutine[Any, Any, T], *, writes: bool = True) -> T:
        """Run it there; its value or error. Raises CallError if the client is closed, before or meanwhile."""
        with self._lock:
            if self._closed:
                work.close()
                raise DefiniteError("CLOSED", "the client is closed")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            kind = MaybeAppliedError if writes else DefiniteError
            raise kind("CLOSED", "the client was closed before the answer came") from None
        except BaseException:
            future.cancel()  # when the waiting thread is interrupted
            raise

    def close(self) -> None:
        """End the thread. Whoever waits for something in it is told."""
        with self._lock:
            self._closed = True
            ended = asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop)
        ended.result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class BlockingCommands:
    """The calls of `kvstore.client_calls` as blocking methods; what each does is said there."""

    def __init__(self, loop: Loop, target: Commands) -> None:
        self._loop = loop
        self._target = target

    def run(self, call: Call[T]) -> T:
        """Make one call. Raises DefiniteError or MaybeAppliedError."""
        return self._loop.wait(self._target.run(call), writes=call.writes)

    def get(self, key: Data) -> bytes | None:
        """The value, None if there is none."""
        return self.run(calls.get(key))

    def read(self, key: Data, *, level: str | None = None) -> Versions:
        """All values, with version or context."""
        return self.run(calls.read(key, level=level))

    def put(
        self,
        key: Data,
        value: Data,
        *,
        context: bytes | None = None,
        level: str | None = None,
        ttl_ms: int | None = None,
    ) -> Written:
        """Write; with `ttl_ms`, until so long after the node has it."""
        return self.run(calls.put(key, value, context=context, level=level, ttl_ms=ttl_ms))

    def delete(self, key: Data, *, context: bytes | None = None) -> bool:
        """Delete; whether there was anything."""
        return self.run(calls.delete(key, context=context))

    def cas(self, key: Data, value: Data, version: int | None) -> Written:
        """Write if the key is at this version (None: absent), else ConditionFailed."""
        return self.run(calls.cas(key, value, version))

    def incr(self, key: Data, amount: int = 1) -> int:
        """Add to a counter; the sum."""
        return self.run(calls.incr(key, amount))

    def append(self, key: Data, suffix: Data) -> int:
        """Append; the length after."""
        return self.run(calls.append(key, suffix))

    def add(self, key: Data, *elements: Data) -> None:
        """Add to an or-set."""
        self.run(calls.add(key, *elements))

    def remove(self, key: Data, *elements: Data, context: bytes | None = None) -> None:
        """Remove from an or-set."""
        self.run(calls.remove(key, *elements, context=context))

    def members(self, key: Data) -> frozenset[bytes]:
        """The elements of an or-set."""
        return self.run(calls.members(key))

    def count(self, key: Data) -> int:
        """What a counter says."""
        return self.run(calls.count(key))

    def flag(self, key: Data, on: bool) -> None:
        """Turn a flag on or off."""
        self.run(calls.flag(key, on))

    def is_on(self, key: Data) -> bool:
        """Whether a flag is on."""
        return self.run(calls.is_on(key))

    def map_set(self, key: Data, name: Data, value: Data) -> None:
        """Set a register field of an or-map."""
        self.run(calls.map_set(key, name, value))

    def map_add(self, key: Data, name: Data, *elements: Data) -> None:
        """Add to a set field of an or-map."""
        self.run(calls.map_add(key, name, *elements))

    def map_delete(self, key: Data, *fields: Data) -> None:
        """Reset fields of an or-map."""
        self.run(calls.map_delete(key, *fields))

    def map_get(self, key: Data) -> dict[str, tuple[bytes, ...]]:
        """The fields of an or-map."""
        return self.run(calls.map_get(key))

    def command(self, *words: Data, writes: bool = True) -> Any:
        """Any other command, as RESP 2 answers it."""
        return self.run(calls.command(*words, writes=writes))

    def pipeline(self, many: Sequence[Call[Any]]) -> list[Any]:
        """Many calls at once; answers or CallErrors, in their order."""
        return self._loop.wait(self._target.pipeline(many))


class BlockingClient(BlockingCommands):
    """A client of the cluster that blocks. Made by `blocking_client`."""

    def __init__(self, loop: Loop, client: QuorateClient) -> None:
        super().__init__(loop, client)
        self._client = client

    @contextlib.contextmanager
    def session(self) -> Iterator[BlockingCommands]:
        """A session: its reads see its own writes and never go backwards."""
        session = self._client.session()
        target = self._loop.wait(session.__aenter__())
        try:
            yield BlockingCommands(self._loop, target)
        finally:
            self._loop.wait(session.__aexit__(None, None, None))


@contextlib.contextmanager
def blocking_client(*nodes: str, **options: Any) -> Iterator[BlockingClient]:
    """As `quorate_client`, with the same options and errors."""
    loop = Loop()
    try:
        opening = quorate_client(*nodes, **options)
        client = loop.wait(opening.__aenter__())
        try:
            yield BlockingClient(loop, client)
        finally:
            loop.wait(opening.__aexit__(None, None, None))
    finally:
        loop.close()
