"""The store from Python: a client of the whole cluster, for asyncio. Its blocking twin is `kvstore.sync_client`.

    async with quorate_client("10.0.0.1:7001", "10.0.0.2:7001", bucket="cart") as store:
        await store.put("k", b"v")                      # at a replica of the key, tried again where that is safe
        await store.pipeline([calls.get("a"), calls.get("b")])
        async with store.session() as session: ...      # reads its own writes

    call ──► Attempts (kvstore.client_core: where, and again?) ──► Pool: a few connections to each node, shared ──► SocketChannel

A connection's commands run one after the other in the node, so calls that overlap are spread over `connections` to each node, and then
queue behind each other on the wire. Failures are DefiniteError or MaybeAppliedError. docs/client.md has examples.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, TypeVar

from kvstore import client_calls as calls
from kvstore.client import ChannelLost, SocketChannel, StoreError, store_error
from kvstore.client_calls import Call, Data, Versions, Written
from kvstore.client_core import LANES_MAX, Address, Attempts, CallError, DefiniteError, Lane, Lanes, Routes
from kvstore.client_pool import Access, Pool, connected, told

T = TypeVar("T")
REFRESH_S: Final = 10.0  # between two looks at the ring while nothing fails; the first ones come sooner, for a young cluster's sake
REFRESH_S_MIN: Final = 0.2  # and while something does


class Commands(ABC):
    """The calls of `kvstore.client_calls` as methods; what each does is said there."""

    @abstractmethod
    async def run(self, call: Call[T]) -> T:
        """Make one call. Raises DefiniteError or MaybeAppliedError."""

    async def get(self, key: Data) -> bytes | None:
        """The value, None if there is none."""
        return await self.run(calls.get(key))

    async def read(self, key: Data, *, level: str | None = None) -> Versions:
        """All values, with version or context."""
        return await self.run(calls.read(key, level=level))

    async def put(
        self,
        key: Data,
        value: Data,
        *,
        context: bytes | None = None,
        level: str | None = None,
        ttl_ms: int | None = None,
    ) -> Written:
        """Write; with `ttl_ms`, until so long after the node has it."""
        return await self.run(calls.put(key, value, context=context, level=level, ttl_ms=ttl_ms))

    async def delete(self, key: Data, *, context: bytes | None = None) -> bool:
        """Delete; whether there was anything."""
        return await self.run(calls.delete(key, context=context))

    async def cas(self, key: Data, value: Data, version: int | None) -> Written:
        """Write if the key is at this version (None: absent), else ConditionFailed."""
        return await self.run(calls.cas(key, value, version))

    async def incr(self, key: Data, amount: int = 1) -> int:
        """Add to a counter; the sum."""
        return await self.run(calls.incr(key, amount))

    async def append(self, key: Data, suffix: Data) -> int:
        """Append; the length after."""
        return await self.run(calls.append(key, suffix))

    async def add(self, key: Data, *elements: Data) -> None:
        """Add to an or-set."""
        await self.run(calls.add(key, *elements))

    async def remove(self, key: Data, *elements: Data, context: bytes | None = None) -> None:
        """Remove from an or-set."""
        await self.run(calls.remove(key, *elements, context=context))

    async def members(self, key: Data) -> frozenset[bytes]:
        """The elements of an or-set."""
        return await self.run(calls.members(key))

    async def count(self, key: Data) -> int:
        """What a counter says."""
        return await self.run(calls.count(key))

    async def flag(self, key: Data, on: bool) -> None:
        """Turn a flag on or off."""
        await self.run(calls.flag(key, on))

    async def is_on(self, key: Data) -> bool:
        """Whether a flag is on."""
        return await self.run(calls.is_on(key))

    async def map_set(self, key: Data, name: Data, value: Data) -> None:
        """Set a register field of an or-map."""
        await self.run(calls.map_set(key, name, value))

    async def map_add(self, key: Data, name: Data, *elements: Data) -> None:
        """Add to a set field of an or-map."""
        await self.run(calls.map_add(key, name, *elements))

    async def map_delete(self, key: Data, *fields: Data) -> None:
        """Reset fields of an or-map."""
        await self.run(calls.map_delete(key, *fields))

    async def map_get(self, key: Data) -> dict[str, tuple[bytes, ...]]:
        """The fields of an or-map."""
        return await self.run(calls.map_get(key))

    async def command(self, *words: Data, writes: bool = True) -> Any:
        """Any other command, as RESP 2 answers it."""
        return await self.run(calls.command(*words, writes=writes))

    async def pipeline(self, many: Sequence[Call[Any]]) -> list[Any]:
        """Many calls at once, each routed and tried again on its own; answers or CallErrors, in their order."""
        found = await asyncio.gather(*(self.run(call) for call in many), return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException) and not isinstance(each, CallError):
                raise each
        return found


class QuorateClient(Commands):
    """A client of the cluster. Made by `quorate_client`; may be used by many tasks of one event loop."""

    def __init__(self, seeds: Sequence[Address], access: Access, bucket: str | None) -> None:
        self.access = access
        self.bucket = bucket
        self.routes = Routes(seeds)
        self._pool = Pool(access, bucket)
        self._lanes = Lanes(secrets.token_hex(8).encode())
        self._room = asyncio.Semaphore(LANES_MAX)
        self._mode = ""
        self._refreshing: asyncio.Task[None] | None = None
        self._every_s = 0.5

    async def open(self) -> None:
        """Find the cluster: ask the seeds in turn. Raises DefiniteError."""
        lost_at: list[str] = []
        for seed in self.routes.seeds:
            try:
                await self._learn(seed)
            except ChannelLost as lost:
                lost_at.append(str(lost))
            except StoreError as error:
                raise DefiniteError(error.code, error.text) from None
            else:
                return
        raise DefiniteError("LOST", "no node could be reached: " + "; ".join(lost_at))

    async def close(self) -> None:
        """Close all connections."""
        if self._refreshing is not None:
            self._refreshing.cancel()
        await self._pool.close()

    async def run(self, call: Call[T]) -> T:
        """Make one call. Raises DefiniteError or MaybeAppliedError."""
        if self._mode not in call.once:
            return await self._tried(call, None)
        async with self._room:
            lane = self._lanes.take()
            try:
                found = await self._tried(call, lane)
            except DefiniteError:
                self._lanes.give_back(lane)
                raise
            self._lanes.give_back(lane)
            return found

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[ClientSession]:
        """A session: its reads see its own writes and never go backwards, also when its node dies. Last-writer-wins modes."""
        session = ClientSession(self)
        try:
            yield session
        finally:
            await session.close()

    async def _tried(self, call: Call[T], lane: Lane | None) -> T:
        loop = asyncio.get_running_loop()
        words = call.by_mode.get(self._mode, call.words)
        if lane is not None:
            words = (*words, b"RID", lane.next())
        until_s = loop.time() + self.access.deadline_s
        attempts = Attempts(
            self.routes, call.key, writes=call.writes, rid=lane is not None, never=call.never, until_s=until_s,
            random=random.random,
        )  # fmt: skip
        while True:
            now_s = loop.time()
            node = attempts.where(now_s)
            self._look_around(now_s - self.routes.learned_s > self._every_s)
            try:
                timeout_s = min(self.access.attempt_s, max(until_s - now_s, 0.001))
                answer = await self._pool.request(node, words, timeout_s)
            except ChannelLost as lost:
                pause_s = attempts.failed("LOST", str(lost), lost.definite, loop.time())
                self._look_around(loop.time() - self.routes.learned_s > REFRESH_S_MIN)
            except StoreError as error:
                pause_s = attempts.failed(error.code, error.text, error.definite, loop.time())
                if error.code in ("STALE", "MOVED", "LOADING"):
                    self._look_around(loop.time() - self.routes.learned_s > REFRESH_S_MIN)
            else:
                attempts.answered()
                return call.read(answer)
            await asyncio.sleep(pause_s)

    # ---- the ring --------------------------------------------------------------------------------------------------

    def _look_around(self, wanted: bool) -> None:
        if wanted and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = asyncio.ensure_future(self._refresh())

    async def _refresh(self) -> None:
        for node in self.routes.order(None, asyncio.get_running_loop().time()):
            with contextlib.suppress(ChannelLost, StoreError):
                await self._learn(node)
                return

    async def _learn(self, node: Address) -> None:
        timeout_s = self.access.attempt_s
        if not self._mode:
            name = (self.bucket or "default").encode()
            shown = await self._pool.request(node, [b"KV.BUCKET", b"SHOW", name], timeout_s)
            self._mode = shown[shown.index(b"mode") + 1].decode()
        self._every_s = min(REFRESH_S, 2.0 * self._every_s)
        rows = await self._pool.request(node, [b"CLUSTER", b"SLOTS"], timeout_s)
        self.routes.learn(rows, asyncio.get_running_loop().time())


class ClientSession(Commands):
    """One connection that remembers what it has seen, and takes that along to another node by a token."""

    def __init__(self, client: QuorateClient) -> None:
        self._client = client
        self._channel: SocketChannel | None = None
        self._token: bytes | None = None
        self._begun = False
        self._one = asyncio.Lock()

    async def run(self, call: Call[T]) -> T:
        """Make one call after all before it. Raises DefiniteError or MaybeAppliedError."""
        async with self._one:
            return await self._tried(call)

    async def _tried(self, call: Call[T]) -> T:
        loop, access, routes = asyncio.get_running_loop(), self._client.access, self._client.routes
        until_s = loop.time() + access.deadline_s
        attempts = Attempts(
            routes, None, writes=call.writes, rid=False, until_s=until_s, random=random.random
        )
        while True:
            node = attempts.where(loop.time())
            try:
                channel = await self._opened(node)
                timeout_s = min(access.attempt_s, max(until_s - loop.time(), 0.001))
                asked = [
                    channel.request(words, timeout_s=timeout_s)
                    for words in (call.words, [b"KV.SESSION", b"TOKEN"])
                ]
                answer, token = await asyncio.gather(*asked)
                if not isinstance(answer, BaseException):
                    self._begun = True
                    self._token = None if isinstance(token, BaseException) else token
                    return call.read(answer)
                raise store_error(answer)
            except ChannelLost as lost:
                await self._drop()
                pause_s = attempts.failed("LOST", str(lost), lost.definite, loop.time())
            except StoreError as error:
                if error.code == "LOADING":
                    await self._drop()
                pause_s = attempts.failed(error.code, error.text, error.definite, loop.time())
            await asyncio.sleep(pause_s)

    async def _opened(self, node: Address) -> SocketChannel:
        """The connection there is, else one to this node that goes on where the last one was."""
        if self._channel is not None and self._channel.open:
            return self._channel
        if self._begun and self._token is None:
            raise StoreError(
                "SESSIONLOST",
                "the node is gone, and the session saw too many keys to be taken to another",
                True,
            )
        channel = await connected(self._client.access, node, self._client.bucket)
        go_on = [b"TRACK", b"on"] if self._token is None else [b"RESUME", self._token]
        await told(channel, [b"KV.SESSION", *go_on], self._client.access.attempt_s)
        self._channel = channel
        return channel

    async def _drop(self) -> None:
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    async def close(self) -> None:
        """End the session."""
        await self._drop()


def address(text: str) -> Address:
    """ "host:port" as an Address. Raises ValueError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f'{text!r} is not "host:port", such as "127.0.0.1:7001"')
    return Address(host.strip("[]"), int(port))


@contextlib.asynccontextmanager
async def quorate_client(
    *nodes: str,
    bucket: str | None = None,
    user: str = "default",
    password: str | None = None,
    tls: ssl.SSLContext | None = None,
    deadline_s: float = 10.0,
    attempt_s: float = 2.0,
    connections: int = 8,
) -> AsyncIterator[QuorateClient]:
    """A client of the cluster that these nodes ("host:port" for clients; one is enough) belong to.

    `bucket` None is the default one. `deadline_s` bounds a call with all its tries, `attempt_s` one try.
    Raises DefiniteError if no node is reached or the login is refused, ValueError for what is no address.
    """
    if not nodes:
        raise ValueError('name a node at least, such as "127.0.0.1:7001"')
    access = Access(user, password, tls, deadline_s, attempt_s, connections)
    client = QuorateClient([address(node) for node in nodes], access, bucket)
    try:
        await client.open()
        yield client
    finally:
        await client.close()
