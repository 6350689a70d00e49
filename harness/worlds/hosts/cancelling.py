"""Work that a cancellation must not cut in two: it is heard when the work is done.

cancelled ──┐
════════════╪════════ done ──► CancelledError        hosts that are being cleared are cleared to the end
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

T = TypeVar("T")


async def to_its_end(future: asyncio.Future[T]) -> T:
    """The future's result; if we are cancelled meanwhile, CancelledError, but not before the future is done."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        future.exception()  # looked at, so that asyncio does not complain that nobody did
        raise cancelled
    return future.result()
