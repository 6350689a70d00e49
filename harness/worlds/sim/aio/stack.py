"""The network as one node has it: names and addresses, ports that it listens on, and its connections.

    name "n2" or 10.0.0.2 ──► node n2 ──► port 7000 ──► Listener ──► a Transport for each connection
    "localhost"           ──► this node

The part of a kernel: it goes on while the program is paused, as far as taking in and acknowledging goes. A node that begins anew knows of no connection of its
life before, and says so to whoever still sends on one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from harness.system import SimulatedEnv
from harness.worlds.sim.aio.tcp import RST, SYN, End, Segment, refusal
from harness.worlds.sim.aio.transport import Transport, Turns
from harness.worlds.sim.loop import ForbiddenInSimError
from harness.worlds.sim.sansio import Caller

PORT_OWN_FIRST: Final = 49_152  # of connections that a node opens, and of ports that it leaves to the system
PORT_MAX: Final = 65_535
ANY: Final = (None, "", "0.0.0.0", "::")
SELF: Final = ("localhost", "127.0.0.1", "::1")
LOOPBACK: Final = "127.0.0.1"
CUT_BELOW: Final = 0.1
"""Of what is written, such a share is cut in two at a drawn place."""

Accept = Callable[[Transport], None]


class Listener(NamedTuple):
    """Who is told of a connection to a port. `local`: only of one from the node itself."""

    accept: Accept
    local: bool


def port_of(call: str, port: int | str | None) -> int:
    """The number of a port. Raises ForbiddenInSimError for the name of a service."""
    try:
        number = int(port or 0)
    except ValueError:
        raise ForbiddenInSimError(f"there is no service {port!r} in the simulator; give the number of its port") from None  # fmt: skip
    if not 0 <= number <= PORT_MAX:
        raise OverflowError(f"{call}(): port must be 0-{PORT_MAX}.")
    return number


class Stack:
    """The network of one life of a node, the `number`-th of the run."""

    def __init__(self, env: SimulatedEnv, turns: Turns, addresses: Mapping[str, str], life: int) -> None:
        self._env, self._turns, self._life = env, turns, life
        self._addresses = addresses
        self._nodes = {address: node for node, address in addresses.items()}
        self._listeners: dict[int, Listener] = {}
        self._ends: dict[
            tuple[tuple[int, int], bool], tuple[str, End]
        ] = {}  # by flow, and whether it was accepted
        self._opened = 0
        self._port_next = PORT_OWN_FIRST

    # ---- names ------------------------------------------------------------------------------------------------------

    def node_of(self, host: str) -> str:
        """Whose name or address it is. Raises ForbiddenInSimError for one that is not in the run."""
        if host in SELF:
            return self._env.node
        node = self._nodes.get(host, host)
        if node not in self._addresses:
            raise ForbiddenInSimError(
                f"there is no host {host!r} in this run, only {', '.join(self._addresses)} and localhost"
            )
        return node

    def address_of(self, host: str) -> str:
        """The address of a host."""
        return LOOPBACK if host in SELF else self._addresses[self.node_of(host)]

    def one_of(self, hosts: str | Sequence[str] | None) -> str | None:
        """Of several addresses to listen at, all of this node, the one that takes most."""
        names = [hosts] if hosts is None or isinstance(hosts, str) else list(hosts)
        for name in names:
            if name not in ANY and self.node_of(name) != self._env.node:
                return name
        return next((name for name in names if name not in SELF), names[0] if names else None)

    # ---- listening --------------------------------------------------------------------------------------------------

    def listen(self, host: str | None, port: int, accept: Accept) -> tuple[str, int]:
        """Take connections from now on; at which address. Raises OSError when the port is taken, or the address another node's."""
        if host not in ANY and self.node_of(str(host)) != self._env.node:
            raise OSError(errno.EADDRNOTAVAIL, f"{os.strerror(errno.EADDRNOTAVAIL)}: {host}")
        port = port or self._take_port()
        if port in self._listeners:
            raise OSError(errno.EADDRINUSE, f"{os.strerror(errno.EADDRINUSE)}: {port}")
        self._listeners[port] = Listener(accept, local=host in SELF)
        return ("0.0.0.0" if host in ANY else self.address_of(str(host))), port

    def leave(self, port: int) -> None:
        """Take no more connections."""
        self._listeners.pop(port, None)

    def listener(self, port: int) -> Listener | None:
        """Who listens there."""
        return self._listeners.get(port)

    @property
    def listens(self) -> list[int]:
        """On which ports."""
        return list(self._listeners)

    def _take_port(self) -> int:
        self._port_next += 1
        return self._port_next - 1

    # ---- connections ------------------------------------------------------------------------------------------------

    def connect(self, host: str, port: int) -> Transport:
        """Begin to open a connection; the transport's `waiter` is told how it goes."""
        peer, source = self.node_of(host), self._take_port()
        transport = Transport(self._turns, (self._addresses[self._env.node], source), (self.address_of(host), port))  # fmt: skip
        self._opened += 1
        end = transport.wire = self._end(peer, (self._life, self._opened), transport, back=False, number=port, source=source)  # fmt: skip
        end.open()
        return transport

    def _end(
        self, peer: str, flow: tuple[int, int], reader: Transport, *, back: bool, number: int, source: int
    ) -> End:
        def send(segment: Segment) -> None:
            self._env.send(peer, segment)

        def forget() -> None:
            self._ends.pop((flow, back), None)

        end = End(self, send, forget, reader, flow, back=back, number=number, source=source)
        self._ends[flow, back] = peer, end
        return end

    def on_segment(self, src: str, segment: Segment) -> None:
        """Something has arrived."""
        self._turns.cause = segment.about
        _, end = self._ends.get((segment.flow, not segment.back), (src, None))
        if end is not None:
            end.on_segment(segment)
        elif segment.what == SYN and self._accepts(src, segment.port):
            self._accept(src, segment)
        elif (answer := refusal(segment)) is not None:
            self._env.send(src, answer)
        self._turns.cause = None

    def _accepts(self, src: str, port: int) -> bool:
        listener = self._listeners.get(port)
        return listener is not None and (src == self._env.node or not listener.local)

    def _accept(self, src: str, segment: Segment) -> None:
        name, peer = (self._addresses[self._env.node], segment.port), (self._addresses[src], segment.source)
        transport = Transport(self._turns, name, peer)
        end = transport.wire = self._end(src, segment.flow, transport, back=True, number=segment.port, source=segment.source)  # fmt: skip
        end.open()
        self._turns.call_soon(self._listeners[segment.port].accept, transport)

    def on_reset(self, other: str, segment: Segment) -> None:
        """The connection of this segment was reset on its way to or from another node."""
        for back in (False, True):
            peer, end = self._ends.get((segment.flow, back), ("", None))
            if end is not None and peer == other:
                end.on_segment(segment._replace(what=RST))

    def hang_up(self) -> None:
        """The program has ended: its kernel breaks off what is open."""
        for _, end in list(self._ends.values()):
            end.cut()

    def shown(self) -> list[str]:
        """Its connections, in words."""
        return [
            f"{'from' if accepted else 'to'} {peer} ({life}.{number})"
            for ((life, number), accepted), (peer, _) in self._ends.items()
        ]

    # ---- what an end may do -----------------------------------------------------------------------------------------

    @property
    def cause(self) -> Caller | None:
        """The request for which things happen now."""
        return self._turns.cause

    def now_ms(self) -> float:
        """The monotonic clock."""
        return self._env.clock_ms()[0]

    def after(self, delay_ms: float, call: Callable[..., None], *args: object) -> None:
        """Call later."""
        self._env.after(max(delay_ms, 0.0), call, *args)

    def cut_at(self, size: int) -> int | None:
        """Where to cut what is so long; None: not at all."""
        rng = self._env.rng
        return 1 + int(rng.random() * (size - 1)) if rng.random() < CUT_BELOW and size > 1 else None
