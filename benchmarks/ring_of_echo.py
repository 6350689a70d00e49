"""Messages a second in a simulator: a ring of nodes, tokens that go round, and each node echoes what it gets.

python benchmarks/ring_of_echo.py [--nodes 5] [--rounds 2000] [--repeats 3]

    n1 ──token──► n2 ──token──► n3 ── … ──► n1        each node begins with one token; a hop is two messages,
       ◄──echo───    ◄──echo───                       the token and its echo

Ours in both forms: a state machine without I/O, and a plain asyncio program on streams. simloop and simloom, if they are installed for
the same interpreter (Python 3.12 at least), run that very asyncio program. Delays are uniform, 0.1 to 2 ms; nothing is lost or doubled;
every simulator keeps what it keeps by default (a trace, a hash, a tape). Time is that of the processor, setting up included, the least of the repeats.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from harness.system import SimulatedSystem
from harness.worlds.sim import SimLoop, SimWorld
from harness.worlds.sim.aio import AsyncioSystem, Host
from harness.worlds.sim.guard import guarded
from harness.worlds.sim.sansio import (
    Clock,
    Deliver,
    Effect,
    Event,
    Fired,
    SansIoSystem,
    Send,
    SetTimer,
    Setting,
    Start,
)

CLIENTS, PEERS = 7000, 7001
POLL_S = 0.5
NETWORK = {
    "latency": "uniform",
    "latency_ms": 1.0,
    "latency_ms_min": 0.1,
    "duplicate": 0.0,
    "reorder": 0.0,
}
DELAY_S = (0.0001, 0.002)


@dataclass
class Ring:
    """The nodes, how often a token goes round, and how many messages have arrived."""

    nodes: tuple[str, ...]
    rounds: int
    arrived: int = 0

    @property
    def hops(self) -> int:
        """Of each token."""
        return self.rounds * len(self.nodes)

    @property
    def messages(self) -> int:
        """All that must arrive: tokens and echoes."""
        return 2 * self.hops * len(self.nodes)

    def after(self, node: str) -> str:
        """The next node."""
        return self.nodes[(self.nodes.index(node) + 1) % len(self.nodes)]

    async def over(self) -> None:
        """Wait until the last has arrived, at most as long as every hop may take."""
        for _ in range(round((10 + 2 * self.hops * DELAY_S[1]) / POLL_S)):
            if self.arrived < self.messages:
                await asyncio.sleep(POLL_S)
        await asyncio.sleep(POLL_S)  # all connections are closed


# ---- the asyncio program, which all run -----------------------------------------------------------------------------


async def program(ring: Ring, name: str) -> None:
    onward: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        forward = await asyncio.shield(onward)
        while line := await reader.readline():
            ring.arrived += 1
            writer.write(line)
            if (left := int(line)) > 1:
                forward.write(b"%d\n" % (left - 1))
        writer.close()

    server = await asyncio.start_server(serve, name, PEERS)
    await asyncio.sleep(1)
    reader, writer = await asyncio.open_connection(ring.after(name), PEERS)
    onward.set_result(writer)
    writer.write(b"%d\n" % ring.hops)
    for _ in range(ring.hops):  # so many tokens come by, and each gives one echo
        await reader.readline()
        ring.arrived += 1
    writer.close()
    server.close()


def asyncio_ours(ring: Ring) -> None:
    async def main(host: Host) -> None:
        await asyncio.start_server(lambda reader, writer: None, port=CLIENTS)
        await program(ring, host.name)
        await asyncio.Event().wait()

    in_our_world(ring, AsyncioSystem(main, CLIENTS, {}, {}, ring.nodes))


def simloop_runs(ring: Ring) -> None:
    import simloop

    loop = simloop.SimLoop(seed=1)

    async def main() -> None:
        loop.net.set_defaults(latency=DELAY_S)
        for name in ring.nodes:
            loop.net.host(name).create_task(program(ring, name))
        await ring.over()

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def simloom_runs(ring: Ring) -> None:
    import simloom

    async def main(world: Any) -> None:
        world.net.set_latency(*DELAY_S)
        for name in ring.nodes:
            world.host(name)
        for name in ring.nodes:
            world.host(name).spawn(lambda name=name: program(ring, name))
        await ring.over()

    simloom.run(main, seed=1)


# ---- the state machine ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Token:
    left: int


@dataclass(frozen=True)
class Echo:
    left: int


class Station:
    def __init__(self, ring: Ring, setting: Setting) -> None:
        self.ring, self.next = ring, ring.after(setting.name)

    def step(self, clock: Clock, event: Event) -> Sequence[Effect]:
        match event:
            case Deliver(src, Token(left)):
                self.ring.arrived += 1
                echo = Send(src, Echo(left))
                return [echo, Send(self.next, Token(left - 1))] if left > 1 else [echo]
            case Deliver(_, Echo()):
                self.ring.arrived += 1
            case Start():
                return [SetTimer(1000, "all are up")]
            case Fired():
                return [Send(self.next, Token(self.ring.hops))]
        return []


def sans_io_ours(ring: Ring) -> None:
    in_our_world(ring, SansIoSystem(lambda setting: Station(ring, setting), {}, {}, ring.nodes))


def in_our_world(ring: Ring, system: SimulatedSystem) -> None:
    loop = SimLoop()

    async def story() -> None:
        world = SimWorld(system, NETWORK, 1, loop=loop)
        await world.up()
        await ring.over()

    try:
        with guarded():
            loop.run_until_complete(story())
    finally:
        loop.close()


# ---- measured -------------------------------------------------------------------------------------------------------


def measured(run: Callable[[Ring], None], nodes: int, rounds: int, repeats: int) -> float:
    """Messages for each second of the processor."""
    taken_s = []
    for _ in range(repeats):
        ring = Ring(tuple(f"n{number}" for number in range(1, nodes + 1)), rounds)
        gc.collect()
        begin_s = time.process_time()
        run(ring)
        taken_s.append(time.process_time() - begin_s)
        if ring.arrived != ring.messages:
            raise RuntimeError(f"{ring.arrived} messages arrived and not {ring.messages}")
    return ring.messages / min(taken_s)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    print(f"Python {platform.python_version()}, {chosen.nodes} nodes, {chosen.rounds} rounds")
    runs = {
        "quorate, without I/O": sans_io_ours,
        "quorate, asyncio": asyncio_ours,
        "simloop, asyncio": simloop_runs,
        "simloom, asyncio": simloom_runs,
    }
    for name, run in runs.items():
        package = name.split(",")[0]
        try:
            name = f"{name} ({version(package)})" if package != "quorate" else name
        except PackageNotFoundError:
            print(f"{name}: not installed for this interpreter")
            continue
        rate = measured(run, chosen.nodes, chosen.rounds, chosen.repeats)
        print(f"{name}: {rate:,.0f} messages/s", flush=True)


if __name__ == "__main__":
    main()
