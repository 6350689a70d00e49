"""SimChannel: a client's connection to one simulated node.

Clients live beside their node, as in Jepsen: what they send is late by a small constant, and arrives once and in order, late or after the
heal where a fault is of their links (`pipe`). What goes wrong is what goes wrong on a real socket: nobody answers in time, or the
process dies and the connection with it.

    dial, nobody listens            definite    the request never left
    reset before the request        definite    the request never left
    reset or time-out after it      in doubt    it may have happened, or may yet
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from harness.client import ChannelError
from harness.nemesis.grudges import CLIENTS
from harness.worlds.sim.loop import SimLoop
from harness.worlds.sim.node import SimMachine
from harness.worlds.sim.pipe import Pipe


class Timeouts:
    """The time limits of requests: a queue for each length, and one timer a queue.

    Of one length, first in is first out. A timer a request would fill the loop's heap with requests answered long ago.
    """

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self._queues: dict[float, deque[tuple[float, SimChannel, int]]] = {}

    def watch(self, channel: SimChannel, request: int, timeout_s: float) -> None:
        """Call `channel.expire(request, timeout_s)` when the time is over, if it still waits."""
        queue = self._queues.get(timeout_s)
        if queue is None:
            queue = self._queues[timeout_s] = deque()
        queue.append((self._loop.agenda.now + timeout_s, channel, request))
        if len(queue) == 1:
            self._loop.post(timeout_s, self._ring, timeout_s)

    def _ring(self, timeout_s: float) -> None:
        queue, now = self._queues[timeout_s], self._loop.agenda.now
        while queue and (queue[0][0] <= now or not queue[0][1].waits_for(queue[0][2])):
            _, channel, request = queue.popleft()
            channel.expire(request, timeout_s)
        if queue:
            self._loop.post(queue[0][0] - now, self._ring, timeout_s)


class SimChannel:
    """A connection to the process that ran on a machine when it was made."""

    def __init__(
        self,
        conn: int,
        machine: SimMachine,
        loop: SimLoop,
        latency_s: float,
        timeouts: Timeouts,
        forget: Callable[[int], None],
    ) -> None:
        self.conn = conn
        self.machine = machine
        self._pid = machine.pid
        self._loop = loop
        network, node = machine.network, machine.name
        self._requests = Pipe(loop, network, CLIENTS, node, latency_s, self.on_reset)
        self._answers = Pipe(loop, network, node, CLIENTS, latency_s, self.on_reset)
        self._timeouts = timeouts
        self._forget = forget
        self._request = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._why_closed: str | None = None

    async def request(self, command: Sequence[bytes], *, timeout_s: float) -> Any:
        """Send one command and wait for its answer."""
        if self._why_closed is not None:
            raise ChannelError(f"not sent to {self.machine.name}: {self._why_closed}", definite=True)
        self._request = request = self._request + 1
        future = self._waiting[request] = self._loop.create_future()
        self._requests.send(self.machine.on_request, self.conn, request, command, self._pid)
        self._timeouts.watch(self, request, timeout_s)
        try:
            return await future
        finally:
            self._waiting.pop(request, None)

    async def close(self) -> None:
        """Close; requests in flight fail in doubt."""
        if self._why_closed is None:
            self._requests.send(self.machine.on_close, self.conn, self._pid)
            self.reset("the client closed the connection")
            self._forget(self.conn)

    def reset(self, why: str) -> None:
        """The connection is gone: fail what waits."""
        self._why_closed = why
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(
                    ChannelError(f"no answer from {self.machine.name}: {why}", definite=False)
                )

    def hang_up(self, why: str) -> None:
        """The process is gone, and its kernel says so, behind what it has answered."""
        if self._answers.is_troubled:
            self._answers.send(self.reset, why)
        else:
            self.reset(why)

    def bid_farewell(self) -> None:
        """The process closes the connection, behind what it has answered."""
        self._answers.send(self.reset, "the node closed the connection")

    def on_reset(self) -> None:
        """A fault has ended the connection: both ends know, and what is on its way is lost."""
        self._requests.clear()
        self._answers.clear()
        self.machine.on_close(self.conn, self._pid)
        self.reset("connection reset")
        self._forget(self.conn)

    def answer(self, request: int, value: Any) -> None:
        """The node answers."""
        self._answers.send(self.on_answer, request, value)

    def on_answer(self, request: int, value: Any) -> None:
        """An answer has arrived; one that nobody waits for any more is dropped."""
        future = self._waiting.get(request)
        if future is not None and not future.done():
            future.set_result(value)

    def waits_for(self, request: int) -> bool:
        """Whether the request has neither an answer nor an error yet."""
        return request in self._waiting

    def expire(self, request: int, timeout_s: float) -> None:
        """Fail the request in doubt, if it still waits."""
        future = self._waiting.get(request)
        if future is not None and not future.done():
            text = f"no answer from {self.machine.name} within {timeout_s * 1000:g} ms"
            future.set_exception(ChannelError(text, definite=False))
