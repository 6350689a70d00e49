"""A cluster client's connections: how to come in, and a few connections to each node that its calls share.

    request(node, words) ──► the least busy connection to that node, a new one if all are busy and there may be more

A connection is opened by a task of its own, so that a call that gives up does not take it from others. Whatever goes wrong while it
is opened is definite for the call: its words have not left.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kvstore.client import ChannelLost, SocketChannel, StoreError, store_error
from kvstore.client_core import Address


@dataclass(frozen=True)
class Access:
    """How to come in, and how long to wait: seconds for a whole call with all its tries, and for one try."""

    user: str = "default"
    password: str | None = None
    tls: ssl.SSLContext | None = None
    deadline_s: float = 10.0
    attempt_s: float = 2.0
    connections: int = 8  # to each node

    def __repr__(self) -> str:
        """Without the password."""
        return f"Access(user={self.user!r}, deadline_s={self.deadline_s}, attempt_s={self.attempt_s})"


class Link:
    """One connection of the pool, open or opening."""

    def __init__(self, opening: asyncio.Task[SocketChannel]) -> None:
        self.opening = opening
        self.busy = 0

    @property
    def usable(self) -> bool:
        """Opening, or open."""
        if not self.opening.done():
            return True
        return not self.opening.cancelled() and not self.opening.exception() and self.opening.result().open


class Pool:
    """A few connections to each node, all in one bucket. The least busy is used."""

    def __init__(self, access: Access, bucket: str | None) -> None:
        self._access = access
        self._bucket = bucket
        self._closed = False
        self._links: dict[Address, list[Link]] = {}

    async def request(self, node: Address, words: Sequence[bytes], timeout_s: float) -> Any:
        """The answer. Raises StoreError or ChannelLost."""
        if self._closed:
            raise StoreError("CLOSED", "the client is closed", definite=True)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + timeout_s
        link = self._link(node)
        link.busy += 1
        try:
            channel = await asyncio.wait_for(asyncio.shield(link.opening), timeout_s)
            answer = await channel.request(words, timeout_s=max(until_s - loop.time(), 0.001))
        except TimeoutError:
            raise ChannelLost(f"no connection to {node.host}:{node.port} in time", definite=True) from None
        finally:
            link.busy -= 1
        if isinstance(answer, BaseException):
            raise store_error(answer)
        return answer

    def _link(self, node: Address) -> Link:
        links = self._links[node] = [link for link in self._links.get(node, ()) if link.usable]
        best = min(links, key=lambda link: link.busy, default=None)
        if best is None or (best.busy and len(links) < self._access.connections):
            best = Link(asyncio.ensure_future(connected(self._access, node, self._bucket)))
            links.append(best)
        return best

    async def close(self) -> None:
        """Close them all, and open no more: what is in progress ends with an error."""
        self._closed = True
        for link in [link for links in self._links.values() for link in links]:
            link.opening.cancel()
            with contextlib.suppress(asyncio.CancelledError, ChannelLost, StoreError):
                await (await link.opening).close()
        self._links.clear()


async def connected(access: Access, node: Address, bucket: str | None) -> SocketChannel:
    """A connection that is logged in and in the bucket. Raises StoreError, or ChannelLost, which is definite."""
    try:
        channel = await SocketChannel.connect(
            *node, timeout_s=access.attempt_s, user=access.user, password=access.password, tls=access.tls
        )
        if bucket is not None:
            await told(channel, [b"KV.USE", bucket.encode()], access.attempt_s)
    except ChannelLost as lost:
        raise ChannelLost(str(lost), definite=True) from None
    return channel


async def told(channel: SocketChannel, words: Sequence[bytes], timeout_s: float) -> None:
    """Say something that a connection needs before it is of use; whatever goes wrong ends it. Raises StoreError or ChannelLost."""
    try:
        answer = await channel.request(words, timeout_s=timeout_s)
        if isinstance(answer, BaseException):
            raise store_error(answer)
    except BaseException:
        await channel.close()
        raise
