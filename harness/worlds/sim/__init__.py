"""The simulated world: nodes, network, clocks, disks and clients on one virtual clock; a function of the seed.

                 ┌────────────── SimLoop (virtual time) ──────────────┐
    SimChannel ─►│ SimMachine n1 ─┐                                   │
    SimChannel ─►│ SimMachine n2 ─┼─ Network: delay, loss, cut, …     │   each part draws from a random stream of its
       …         │ SimMachine n3 ─┘                                   │   own, named after the seed and the part
                 └────────────────────────────────────────────────────┘

Streams of their own, so that one more draw in one node does not shift what happens in all others.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Mapping, Sequence
from typing import Any, cast

from harness.client import NO_ANSWER, ChannelError
from harness.nemesis.grudges import CLIENTS
from harness.plan_options import SIGNAL
from harness.system import CopiedSystem, SimulatedSystem, SystemUnderTest
from harness.worlds import PowerCut, ProcessState, WorldError
from harness.worlds.disk_trouble import DiskTrouble, Probe
from harness.worlds.sim.channel import SimChannel, Timeouts
from harness.worlds.sim.files import SimFiles
from harness.worlds.sim.loop import SimLoop
from harness.worlds.sim.memory import SimMemory
from harness.worlds.sim.net import PRIORITIES, LinkedNetwork, NetOptions, Network, Watch
from harness.worlds.sim.node import WHOLE, SimMachine
from harness.worlds.sim.pipe import SYN_RETRY_S
from harness.worlds.sim.tape import Streams, stream, streams_of
from harness.worlds.trouble import RESET, Touches, Trouble

READY_S_MAX = 10.0
READY_POLL_S = 0.01
READY_TIMEOUT_S = 1.0
DIAL_TIMEOUT_S = 2.0  # as on hosts


def network_of(loop: SimLoop, streams: Streams, options: NetOptions) -> Network:
    """The network that the options ask for."""
    if options.streams == "links":
        return LinkedNetwork(loop, streams, options)
    return Network(loop, streams("net"), options)


class SimWorld:
    """`harness.worlds.World` in the simulator. Make it on the loop on which it will run. It draws from `streams`, by default the seed's."""

    kind = "sim"
    slowness = 1.0

    def __init__(
        self,
        system: SimulatedSystem,
        options: Mapping[str, Any],
        seed: int,
        *,
        loop: SimLoop,
        streams: Streams | None = None,
    ) -> None:
        self.nodes = system.nodes
        self.system: SystemUnderTest = system
        self._loop = loop
        self._seed = seed
        self._streams = streams = streams or streams_of(seed, {})
        self._options = NetOptions.parse(options)
        self._network = network_of(loop, streams, self._options)
        self._latency_s = self._options.client_latency_ms / 1000
        self._conn = 0
        self._channels: dict[int, SimChannel] = {}
        self._timeouts = Timeouts(loop)
        self._awaited: dict[str, asyncio.Future[str | None]] = {}  # points that a fault waits for
        self._machines = {
            node: SimMachine(
                node,
                loop=loop,
                network=self._network,
                rng=streams(f"node/{node}"),
                system=system,
                on_reply=self._answer,
                awaited=self._awaited,
                on_end=self._crash,
                on_hang_up=self._hang_up,
            )
            for node in self.nodes
        }
        self.memory = SimMemory(self._machines, streams, self._crash)
        self.files = SimFiles(self._machines, streams, system, self._crash)
        self._network.place(self.nodes)
        if self._options.schedule == PRIORITIES:
            self._network.prioritise(streams)

    def watch(self, watch: Watch) -> None:
        """Show `watch` all messages from now on."""
        self._network.watch = watch

    def machine(self, node: str) -> SimMachine:
        """A machine, to look into."""
        return self._machines[node]

    # ---- life -----------------------------------------------------------------------------------------------------

    async def up(self) -> None:
        """Start every node and wait until each is ready."""
        for machine in self._machines.values():
            machine.start()
        for node in self.nodes:
            await self._wait_ready(node)

    async def _wait_ready(self, node: str) -> None:
        deadline = self._loop.time() + READY_S_MAX
        while self._loop.time() < deadline:
            if await self._is_ready(node):
                return
            await asyncio.sleep(READY_POLL_S)
        why = "see its log" if self._machines[node].listens else "it does not listen for clients"
        raise WorldError(f"simulated node {node} was not ready within {READY_S_MAX:g} s; {why}")

    async def _is_ready(self, node: str) -> bool:
        machine = self._machines[node]
        if machine.state == "gone":
            raise WorldError(f"simulated node {node} ended before it was ready: {machine.lines[-2].strip()}")
        if not machine.listens:
            return False
        channel = await self.dial(node)
        try:
            return await self.system.ready(channel)
        except NO_ANSWER:
            return False
        finally:
            await channel.close()

    async def down(self) -> None:
        """End every process."""
        for node in self.nodes:
            await self.kill(node)

    # ---- clients --------------------------------------------------------------------------------------------------

    async def dial(self, node: str) -> SimChannel:
        """A new client connection. A paused process still accepts: its kernel does."""
        machine = self._machines[node]
        if machine.unplugged:
            await asyncio.sleep(DIAL_TIMEOUT_S)
            raise ChannelError(f"{node} did not answer within {DIAL_TIMEOUT_S:g} s", definite=True)
        if self._network.has_clients:
            await self._shake_hands(node)
        if machine.state == "gone":
            raise ChannelError(f"{node} refused the connection: no process", definite=True)
        if not machine.listens:
            raise ChannelError(
                f"{node} refused the connection: it does not listen for clients", definite=True
            )
        self._conn += 1
        channel = SimChannel(self._conn, machine, self._loop, self._latency_s, self._timeouts, self._forget)
        self._channels[self._conn] = channel
        return channel

    async def _shake_hands(self, node: str) -> None:
        """Open a connection over links that are in trouble. Raises ChannelError: what was never opened has carried nothing."""
        network, begun_s = self._network, self._loop.now
        ways = (CLIENTS, node), (node, CLIENTS)
        while self._loop.now - begun_s < DIAL_TIMEOUT_S:
            fates = [fate for way in ways if (fate := network.fate(*way))]
            if RESET in fates:
                raise ChannelError(f"{node} refused the connection: it was reset", definite=True)
            late_s = SYN_RETRY_S if fates else sum(network.late_s(*way, ()) for way in ways)
            await asyncio.sleep(min(late_s, begun_s + DIAL_TIMEOUT_S - self._loop.now))
            if not fates and self._loop.now - begun_s < DIAL_TIMEOUT_S:
                return
        raise ChannelError(f"{node} did not answer within {DIAL_TIMEOUT_S:g} s", definite=True)

    def _forget(self, conn: int) -> None:
        self._channels.pop(conn, None)

    def _hang_up(self, conn: int) -> None:
        channel = self._channels.pop(conn, None)
        if channel is not None:
            channel.bid_farewell()

    def _answer(self, conn: int, request: int, value: Any) -> None:
        channel = self._channels.get(conn)
        if channel is not None:
            channel.answer(request, value)

    # ---- faults ---------------------------------------------------------------------------------------------------

    async def disturb(self, trouble: Trouble) -> None:
        """Begin a trouble on links."""
        self._network.disturb(trouble, self._streams(f"trouble/{trouble.number}"))

    async def relieve(self, number: int) -> Touches:
        """End a trouble; what it did."""
        return self._network.relieve(number)

    async def mend(self) -> None:
        """End every trouble."""
        self._network.mend()
        await self.plug_in([node for node in self.nodes if self._machines[node].unplugged])

    async def reached(self, point: str, within_s: float) -> str | None:
        """Wait until a node comes to a point; which it is, None if none does in that time."""
        waiting: asyncio.Future[str | None] = self._loop.create_future()
        self._awaited[point] = waiting
        timer = self._loop.call_later(within_s, self._give_up, point)
        try:
            return await waiting
        finally:
            timer.cancel()
            del self._awaited[point]

    def _give_up(self, point: str) -> None:
        waiting = self._awaited[point]
        if not waiting.done():
            waiting.set_result(None)

    async def kill(self, node: str) -> None:
        """Crash: unsynced writes are lost, connections are reset."""
        self._crash(node)

    async def cut_power(self, nodes: Sequence[str]) -> Mapping[str, PowerCut]:
        """The same crash, and how many writes it lost. A disk that lied goes back to where it began to."""

        def cut(node: str) -> PowerCut:
            lost = self._crash(node)
            lied = self._machines[node].forget_lies()
            return PowerCut(forgot=True, lost={} if lied else {"writes": lost}, lied=lied)

        return {node: cut(node) for node in nodes}

    async def unplug(self, nodes: Sequence[str]) -> None:
        """What is sent to these machines is lost from now on."""
        for node in nodes:
            self._machines[node].unplugged = True
            self._machines[node].lost_on_arrival = 0

    async def plug_in(self, nodes: Sequence[str]) -> Mapping[str, int]:
        """It arrives again; what was lost meanwhile. Connections to a process that is gone are reset now."""
        for node in nodes:
            self._machines[node].unplugged = False
            if self._machines[node].state == "gone":
                self._reset(node)
        return {node: self._machines[node].lost_on_arrival for node in nodes}

    async def spoil_disks(self, nodes: Sequence[str], trouble: DiskTrouble) -> Mapping[str, Probe]:
        """Every write to these disks is refused, or late, from now on."""
        for node in nodes:
            self._machines[node].spoil(trouble)
        return self._probes(nodes)

    async def mend_disks(self, nodes: Sequence[str]) -> Mapping[str, Probe]:
        """They take writes again."""
        for node in nodes:
            self._machines[node].spoil(WHOLE)
        return self._probes(nodes)

    def _probes(self, nodes: Sequence[str]) -> dict[str, Probe]:
        machines = {node: self._machines[node] for node in nodes}
        return {node: Probe(each.disk_refuses, each.disk_trouble.stall_ms) for node, each in machines.items()}

    def _crash(self, node: str) -> int:
        machine = self._machines[node]
        lost = machine.crash()
        if not machine.unplugged:
            self._reset(node)
        return lost

    def _reset(self, node: str) -> None:
        for conn, channel in list(self._channels.items()):
            if channel.machine is self._machines[node]:
                channel.hang_up("connection reset, the process died")
                del self._channels[conn]

    async def stop(self, node: str) -> None:
        """An orderly end: the process answers what is in progress, then it is gone with all on its disk."""
        process = self._machines[node].process
        if process is not None:
            self._machines[node].asked = "TERM"
            await asyncio.sleep(process.on_stop())
        await self.kill(node)

    async def wipe(self, node: str) -> int:
        """Forget what is on the disk of a machine without a process."""
        return self._machines[node].wipe()

    async def put_back(self, node: str, name: str) -> int | None:
        """Put a copy that the node has written in the place of what is on its disk."""
        machine = self._machines[node]
        lacks = cast(CopiedSystem, self.system).put_back(machine.disk, name)
        machine.note(f"copy {name} put back" if lacks is not None else f"there is no copy {name}")
        return lacks

    async def start(self, node: str) -> None:
        """Start the process if there is none."""
        self._machines[node].start()

    async def pause(self, node: str, how: str = SIGNAL) -> None:
        """Stop the process where it is, which looks the same whatever stops it."""
        self._machines[node].pause()

    async def resume(self, node: str) -> None:
        """Let it go on."""
        self._machines[node].resume()

    async def throttle(self, nodes: Sequence[str], share: float) -> None:
        """In each tenth of a second they run for this share of it."""
        for node in nodes:
            self._machines[node].quota.begin(share)

    async def unthrottle(self, nodes: Sequence[str]) -> Mapping[str, float]:
        """They run all the time; for how long something waited."""
        return {node: 1000 * self._machines[node].quota.end() for node in nodes}

    async def process(self, node: str) -> ProcessState:
        """The process as it is now."""
        machine = self._machines[node]
        return ProcessState(machine.pid, machine.state)

    async def set_clock(self, node: str, offset_ms: float) -> None:
        """Shift the node's wall clock against true time."""
        self._machines[node].clock_offset_ms = offset_ms

    async def clock_offset_ms(self, node: str) -> float:
        """The offset of the node's wall clock."""
        return self._machines[node].clock_offset_ms

    # ---- evidence -------------------------------------------------------------------------------------------------

    async def logs(self) -> Mapping[str, str]:
        """{node: log text}."""
        return {node: "\n".join([*machine.lines, ""]) for node, machine in self._machines.items()}

    def environment(self) -> Mapping[str, Any]:
        """How the simulated world was set."""
        options = {name: getattr(self._options, name) for name in NetOptions.__slots__}
        return {
            "world": "sim",
            "seed": self._seed,
            "python": platform.python_version(),
            "network": options,
            "messages_sent": self._network.sent,
            "loop_steps": self._loop.steps,
            "ends": [each for machine in self._machines.values() for each in machine.processes],
            "ends_of": list(self.nodes),
            "trace": f"{self._loop.trace & (1 << 64) - 1:016x}",
        }


__all__ = ["SimLoop", "SimWorld", "stream"]
