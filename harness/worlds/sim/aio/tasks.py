"""Tasks, futures and handles of a simulated node's loop: what asyncio gives, with an order of their own.

Programs, and asyncio itself, keep them in sets. They are hashed by a number, the how-manyth of their loop, and not by their address.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from harness.worlds.sim.loop import SimHandle
from harness.worlds.sim.sansio import Caller

if TYPE_CHECKING:
    from harness.worlds.sim.aio.loop import NodeLoop

T = TypeVar("T")


class NodeFuture(asyncio.Future[Any]):
    """A future with a number for a hash."""

    def __init__(self, loop: NodeLoop) -> None:
        self._of_node = loop.number()
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._of_node


class NodeTask(asyncio.Task[T]):
    """A task with a number for a hash."""

    def __init__(
        self, coro: Any, loop: NodeLoop, name: str | None, context: contextvars.Context | None
    ) -> None:
        self._of_node = loop.number()
        self.awaited = False  # whether somebody waits for it, or did
        super().__init__(coro, loop=loop, name=name or f"Task-{self._of_node}", context=context)

    def add_done_callback(
        self, fn: Callable[[Any], object], /, *, context: contextvars.Context | None = None
    ) -> None:
        """As everywhere."""
        self.awaited = True
        super().add_done_callback(fn, context=context)

    def __hash__(self) -> int:
        return self._of_node


class NodeHandle(SimHandle):
    """Something to call in a turn of the node, and the request it is done for."""

    __slots__ = ("args", "call", "cause", "context")

    def __init__(
        self, when: float, call: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context | None,
        cause: Caller | None,
    ) -> None:  # fmt: skip
        super().__init__(when)
        self.call, self.args, self.cause = call, args, cause
        self.context = context if context is not None else contextvars.copy_context()
