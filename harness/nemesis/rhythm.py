"""What a fault does again and again while it goes on: links that flap, clocks that move.

start ──► Rhythm(doing) ──► doing: change the world ── is_over_within? ── change it ── is_over_within? ── …
stop  ──► end ────────────────────────────────────────────► yes, and it returns: never broken off within a change
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any


class Rhythm:
    """Begins at once, as a task of the loop that runs. `doing` is given it, and asks it how long to go on."""

    def __init__(self, doing: Callable[[Rhythm], Coroutine[Any, Any, None]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self._over = asyncio.Event()
        self._task = asyncio.create_task(doing(self))

    @property
    def passed_s(self) -> float:
        """How long it has gone on."""
        return self._loop.time() - self._began_s

    async def is_over_within(self, time_s: float) -> bool:
        """Wait so long, or until the fault ends; whether it has."""
        with suppress(TimeoutError):
            return await asyncio.wait_for(self._over.wait(), time_s)
        return False

    async def end(self) -> None:
        """The fault ends: wait for the change that is being made. Raises what ended the doing before."""
        self._over.set()
        await self._task

    def abandon(self) -> None:
        """End it where it is."""
        self._task.cancel()
