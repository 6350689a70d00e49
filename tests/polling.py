"""The one way in which tests wait for something that another process does: look, and look again, until it holds or patience is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from inspect import isawaitable
from typing import Any


def poll(
    condition: Callable[[], Any],
    *,
    wait_s: float,
    told: Callable[[], Any] = lambda: "",
    pause_s: float = 0.02,
) -> None:
    """Come back once it holds. AssertionError with what `told` says if it does not within `wait_s`."""
    give_up = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < give_up, told()
        time.sleep(pause_s)


async def until(condition: Callable[[], Any], *, wait_s: float, told: Callable[[], Any] = lambda: "", pause_s: float = 0.1) -> None:  # fmt: skip
    """`poll` for those in a loop, which goes on meanwhile; a condition may be awaitable, too."""
    give_up = time.monotonic() + wait_s
    while True:
        holds = condition()
        if await holds if isawaitable(holds) else holds:
            return
        assert time.monotonic() < give_up, told()
        await asyncio.sleep(pause_s)
