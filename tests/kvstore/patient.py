"""Clients that try once more, at another node: what a restart or a change of members must not be felt through."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

KEYS = 20_000
VALUE = b"v" * 200


class Dialled(Protocol):
    """A connection to a node."""

    async def request(self, command: Sequence[bytes], *, timeout_s: float) -> Any:
        """Send one command and wait for its answer."""

    async def close(self) -> None:
        """Close."""


class PatientLoad:
    """Clients that write and read by turns, each at a node of its own until that fails. `dial(node)` may raise `lost`."""

    def __init__(
        self, dial: Callable[[str], Awaitable[Dialled]], nodes: Sequence[str], lost: type[Exception]
    ) -> None:
        self._dial, self._nodes, self._lost = dial, tuple(nodes), lost
        self._numbers = itertools.count()
        self.over = False
        self.retried = 0
        self.failed: list[str] = []  # what the second try met
        self.took: list[
            tuple[float, float]
        ] = []  # (when it began, seconds of the monotonic clock; milliseconds)

    async def run(self, count: int) -> None:
        """So many clients, until `over`."""
        await asyncio.gather(*(self._client(at) for at in range(count)))

    async def _client(self, at: int) -> None:
        nodes = itertools.cycle(self._nodes[at % len(self._nodes) :] + self._nodes[: at % len(self._nodes)])
        channel: Dialled | None = None
        while not self.over:
            number = next(self._numbers)
            key = b"key-%d" % (number // 2 % KEYS)
            command = [b"GET", key] if number % 2 else [b"SET", key, VALUE]
            begin, why = time.monotonic(), ""
            for last in (False, True):
                try:
                    if channel is None:
                        channel = await self._dial(next(nodes))
                    answer = await channel.request(command, timeout_s=2.0)
                    if not isinstance(answer, Exception):
                        break
                    why = str(answer)
                except self._lost as error:
                    why = str(error)
                if channel is not None:
                    await channel.close()
                    channel = None
                if last:
                    self.failed.append(why)
                else:
                    self.retried += 1
            self.took.append((begin, 1000 * (time.monotonic() - begin)))
        if channel is not None:
            await channel.close()

    def p99_ms(self, begin: float, end: float) -> float:
        """Of the requests that began between these instants."""
        took = sorted(ms for at, ms in self.took if begin <= at < end)
        return took[len(took) * 99 // 100]
