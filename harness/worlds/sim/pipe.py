"""One way of a client's connection in the simulator: what is sent arrives once and in order, however often it has to be sent, as by TCP.

    send ──► 0.1 ms ──► arrives                       no trouble is on the link: nothing is drawn, nothing waits
    send ──► dropped ── 0.2 s ──► dropped ── 0.4 s ──► arrives, and then those behind it
                └ a request that its client has given up arrives all the same: it may yet take effect

Messages between nodes are lost when they are dropped, for a protocol has to bear that. A request of a client is a line on a connection
that the kernel keeps alive; on hosts it arrives after the heal, also where nobody waits for the answer any more. RFC 6298: the wait
doubles with each try.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from harness.worlds.sim.loop import SimLoop
from harness.worlds.sim.net import Network
from harness.worlds.trouble import RESET

RETRY_S: Final = 0.2  # the least that Linux waits
SYN_RETRY_S: Final = 1.0


class Pipe:
    """From `src` to `dst`, one of which is the clients. `on_reset` is called when a trouble ends the connection."""

    __slots__ = ("_agenda", "_latency_s", "_link", "_network", "_on_reset", "_queue", "_retry_s")

    def __init__(
        self,
        loop: SimLoop,
        network: Network,
        src: str,
        dst: str,
        latency_s: float,
        on_reset: Callable[[], None],
    ) -> None:
        self._agenda, self._network, self._link = loop.agenda, network, (src, dst)
        self._latency_s, self._on_reset = latency_s, on_reset
        self._queue: deque[tuple[float, Callable[..., None], tuple[Any, ...]]] = deque()
        self._retry_s = RETRY_S

    @property
    def is_troubled(self) -> bool:
        """Whether what is sent now may be late, or has to wait for what is."""
        return bool(self._queue) or (self._network.has_clients and self._network.is_troubled(*self._link))

    def send(self, call: Callable[..., None], *args: Any) -> None:
        """Call at the other end."""
        if not self._queue and not (self._network.has_clients and self.is_troubled):
            self._agenda.post(self._latency_s, call, *args)
            return
        late_s = self._network.late_s(*self._link, args)
        self._queue.append((self._agenda.now + self._latency_s + late_s, call, args))
        if len(self._queue) == 1:
            self._next()

    def clear(self) -> None:
        """What is on its way is lost with the connection."""
        self._queue.clear()

    def _next(self) -> None:
        self._agenda.post(max(0.0, self._queue[0][0] - self._agenda.now), self._arrive)

    def _arrive(self) -> None:
        """The first that waits is at the other end, unless a trouble stops it there."""
        if not self._queue:
            return
        fate = self._network.fate(*self._link)
        if fate == RESET:
            self._on_reset()
        elif fate:
            self._agenda.post(self._retry_s, self._arrive)
            self._retry_s *= 2
        else:
            self._retry_s = RETRY_S
            _, call, args = self._queue.popleft()
            if self._queue:
                self._next()
            call(*args)
