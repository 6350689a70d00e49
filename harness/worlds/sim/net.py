"""The simulated network: messages between nodes, each late by a drawn delay, some lost, doubled or overtaken.

    send(src, dst, message) ── lost? ── doubled? ── delay drawn ──► at arrival: dropped? ──► deliver(src, message)

A fault that drops looks at a message when it *arrives*, as a DROP rule in the receiver's INPUT chain does; one that delays when it is
sent (`troubles`).
Nodes at other sites are further away (`sites`). A message that is not `reorder`-ed never overtakes an earlier one of its link, as in one TCP connection. With `schedule = "priorities"` no delay
is drawn: which message is next is decided by `priorities`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import exp, log
from typing import Any

from harness.nemesis.grudges import CLIENTS
from harness.worlds.sim.loop import SimLoop
from harness.worlds.sim.net_options import LATENCIES as LATENCIES
from harness.worlds.sim.net_options import PRIORITIES as PRIORITIES
from harness.worlds.sim.net_options import NetOptions as NetOptions
from harness.worlds.sim.priorities import Priorities
from harness.worlds.sim.sites import ways_s
from harness.worlds.sim.troubles import AT_WORK, DROPPED, LinkTrouble, Resetting
from harness.worlds.trouble import Touches, Trouble

SENT, LOST, ARRIVED, CUT = "sent", "lost", "arrived", "cut"
Watch = Callable[[str, str, str, Any], None]
"""(what happened to a message, src, dst, message), at the loop's time; a doubled message arrives twice."""


def delay_draw(options: NetOptions, rng: random.Random) -> Callable[[], float]:
    """A function that draws one delay, in seconds: of those measured, or with mean `latency_ms`; then the minimum is applied."""
    mean_s, low_s = options.latency_ms / 1000, options.latency_ms_min / 1000
    draw, gauss = rng.random, rng.gauss
    if options.measured_ms:
        samples, count = options.measured_ms, len(options.measured_ms)
        return lambda: max(samples[int(draw() * count)] / 1000, low_s)
    if options.latency == "constant":
        return lambda: max(mean_s, low_s)
    if options.latency == "uniform":
        return lambda: max(2 * mean_s * draw(), low_s)
    if options.latency == "exponential":
        return lambda: delay if (delay := -mean_s * log(1.0 - draw())) > low_s else low_s
    return lambda: max(mean_s * exp(gauss(-0.5, 1.0)), low_s)  # the mean of exp(N(-1/2, 1)) is 1


class Network:
    """Messages between nodes. `attach` a receiver per node, then `send`. `watch`, if set, sees all that happens."""

    def __init__(self, loop: SimLoop, rng: random.Random, options: NetOptions) -> None:
        self.options = options
        self.sent = 0
        self._agenda = loop.agenda
        self._loop = loop
        self._draw = rng.random
        self._loss, self._duplicate, self._reorder = options.loss, options.duplicate, options.reorder
        self._delay_s = delay_draw(options, rng)
        self._deliver: dict[str, Callable[[str, Any], None]] = {}
        self.on_reset: dict[
            str, Callable[[str, Any], None]
        ] = {}  # told (the other node, message) of what a reset has stopped
        self._last_at: dict[tuple[str, str], float] = {}
        self.watch: Watch | None = None
        self._carry = self._by_delay
        self._way_s: dict[tuple[str, str], float] = {}  # between nodes at different sites, if any are
        self._troubles: dict[int, LinkTrouble] = {}  # those that go on, by number
        self.has_clients = False  # whether one of them is of links with clients

    def attach(self, node: str, deliver: Callable[[str, Any], None]) -> None:
        """Call `deliver(src, message)` when a message for the node arrives."""
        self._deliver[node] = deliver

    def place(self, nodes: Sequence[str]) -> None:
        """Put the nodes, in this order, where the options say."""
        self._way_s = ways_s(nodes, self.options.sites, self.options.between_ms)

    def prioritise(self, streams: Callable[[str], random.Random]) -> None:
        """From now on let priorities decide which message is next, all nodes being attached."""
        options, nodes = self.options, sorted(self._deliver)
        links = [(src, dst) for src in nodes for dst in nodes]
        flight_ms = max(options.latency_ms, options.latency_ms_min)
        self._carry = Priorities(
            self._loop, links, streams, self._arrive,
            flight_ms=flight_ms, hold_ms=options.hold_ms, changes_s=options.changes_s,
        ).carry  # fmt: skip

    def send(self, src: str, dst: str, message: Any) -> None:
        """Send one message. An unknown `dst` is a bug of the sender."""
        self.sent += 1
        lost = self._loss and self._draw() < self._loss
        if self.watch is not None:
            self.watch(LOST if lost else SENT, src, dst, message)
        if lost:
            return
        way_s = self._way_s[src, dst] if self._way_s else 0.0
        carry = self._by_troubles if self._troubles else self._carry
        carry(way_s, src, dst, message, self.sent)
        if self._duplicate and self._draw() < self._duplicate:
            carry(way_s, src, dst, message, self.sent)

    def _by_troubles(self, way_s: float, src: str, dst: str, message: Any, number: int) -> None:
        troubles = self._troubles.values()
        late_s = self.late_s(src, dst, message)
        if late_s == DROPPED:
            if self.watch is not None:
                self.watch(CUT, src, dst, message)
            return
        late_s += way_s
        apart_s = sum(trouble.apart_s(src, dst, number) for trouble in troubles)
        if apart_s:
            self._agenda.post(self._delay_s() + late_s + apart_s, self._arrive, src, dst, message, number)
        else:
            self._carry(late_s, src, dst, message, number)
        for trouble in troubles:
            if trouble.is_doubled(src, dst):
                self._carry(late_s, src, dst, message, number)

    def _by_delay(self, late_s: float, src: str, dst: str, message: Any, number: int) -> None:
        delay_s, reorder = self._delay_s() + late_s, self._reorder
        if reorder < 1 and not (reorder and self._draw() < reorder):
            now, link, last_at = self._agenda.now, (src, dst), self._last_at
            at = now + delay_s
            last = last_at.get(link, 0.0)
            if at < last:
                at = last
            last_at[link] = at
            delay_s = at - now
        self._agenda.post(delay_s, self._arrive, src, dst, message, number)

    def _arrive(self, src: str, dst: str, message: Any, number: int) -> None:
        stopped = None
        if self._troubles:
            for each in self._troubles.values():
                if each.stops(src, dst, number, self.sent):
                    stopped = each
                    break
        if self.watch is not None:
            self.watch(ARRIVED if stopped is None else CUT, src, dst, message)
        if stopped is None:
            self._deliver[dst](src, message)
        elif isinstance(stopped, Resetting):
            for node, other in ((src, dst), (dst, src)):
                if node in self.on_reset:
                    self.on_reset[node](other, message)

    def disturb(self, trouble: Trouble, rng: random.Random) -> None:
        """Begin a trouble, which draws from a stream of its own."""
        self._troubles[trouble.number] = AT_WORK[trouble.kind](trouble, rng)
        self.has_clients |= is_of_clients(trouble)

    def relieve(self, number: int) -> Touches:
        """End a trouble; what it did."""
        ended = self._troubles.pop(number, None)
        self.has_clients = any(is_of_clients(each.trouble) for each in self._troubles.values())
        return ended.touches() if ended is not None else {}

    def mend(self) -> None:
        """End every trouble."""
        self._troubles.clear()
        self.has_clients = False

    # ---- links with clients: connections, which send again what was dropped (`pipe`) -------------------------------

    def is_troubled(self, src: str, dst: str) -> bool:
        """Whether a trouble is on the link."""
        return any(src in trouble.trouble.links.get(dst, ()) for trouble in self._troubles.values())

    def late_s(self, src: str, dst: str, message: Any) -> float:
        """By how much what is sent now over the link is late."""
        now = self._agenda.now
        return sum(trouble.late_s(src, dst, message, now) for trouble in self._troubles.values())

    def fate(self, src: str, dst: str) -> str:
        """The kind of the first trouble that strikes what arrives now over the link; nothing if none does."""
        for trouble in self._troubles.values():
            if trouble.strikes(src, dst):
                return trouble.trouble.kind
        return ""


def is_of_clients(trouble: Trouble) -> bool:
    """Whether it is of links with clients."""
    return CLIENTS in trouble.links or any(CLIENTS in sources for sources in trouble.links.values())


class LinkedNetwork(Network):
    """Each link and kind of message draws from a stream of its own: what is left out of a plan then shifts little else."""

    def __init__(self, loop: SimLoop, streams: Callable[[str], random.Random], options: NetOptions) -> None:
        super().__init__(loop, streams("net"), options)
        self._streams = streams
        self._kinds: dict[tuple[str, str, type], tuple[Callable[[], float], Callable[[], float]]] = {}

    def send(self, src: str, dst: str, message: Any) -> None:
        """Send one message, with the draws of its kind."""
        kind = (src, dst, type(message))
        if kind not in self._kinds:
            rng = self._streams(f"net/{src}/{dst}/{kind[2].__name__}")
            self._kinds[kind] = rng.random, delay_draw(self.options, rng)
        self._draw, self._delay_s = self._kinds[kind]
        super().send(src, dst, message)
