"""Simulate plain asyncio code: a server that uses streams, protocols, tasks, timers and locks, under the same faults, plans, workloads, checkers and shrinking
as any other system.

                        ┌──────────────── SimLoop ────────────────┐
    async def main(host) ─► NodeLoop n1 ─► Stack ─┐               │      what of Python's library a program uses is unchanged;
    async def main(host) ─► NodeLoop n2 ─► Stack ─┼─ the network  │      what it stands on is simulated: a loop, TCP and a disk
    async def main(host) ─► NodeLoop n3 ─► Stack ─┘               │      for each life of each node
                        └─────────────────────────────────────────┘

    system = asyncio_system(main, client_port=7000, early=False)          name = "store.py:system" in a plan

`main` is called anew at each start. Names and guarantees: `docs/simulate-your-own.md`. Others run unmodified code so by one deterministic runtime: madsim and turmoil
for Rust's tokio; Zhou and others, "FoundationDB: a distributed unbundled transactional key value store", 2021, for the idea.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from itertools import count
from types import MappingProxyType
from typing import Any

from harness.client import Channel
from harness.system import SimulatedEnv
from harness.worlds.sim.aio.disk import Disk
from harness.worlds.sim.aio.node import AioNode, Host, Make
from harness.worlds.sim.aio.tcp import Segment, refusal
from harness.worlds.sim.aio.transport import addresses
from harness.worlds.sim.sansio import READY, checked_options, state_of


class AsyncioSystem:
    """`harness.system.SystemUnderTest` around such a program. Raises PlanError on an option that is not among `defaults` or is of another type.

    A subclass may add what further faults ask for: `primaries`, `layout` and `change_members` of `harness.system`.
    """

    def __init__(
        self, make: Make, client_port: int, defaults: Mapping[str, Any], options: Mapping[str, Any], nodes: Sequence[str],
    ) -> None:  # fmt: skip
        self.name = str(getattr(make, "__name__", type(make).__name__))
        self.nodes = tuple(nodes)
        self.options = MappingProxyType(checked_options(self.name, defaults, options))
        self._make, self._client_port = make, client_port
        self._addresses = addresses(nodes)
        self._lives = count(1)

    def simulated(self, node: str, env: SimulatedEnv) -> AioNode:
        """One life of a node in the simulator."""
        return AioNode(
            self._make,
            env,
            self._addresses,
            self.options,
            client_port=self._client_port,
            life=next(self._lives),
        )

    async def ready(self, channel: Channel) -> bool:
        """A node serves once it listens on its client port."""
        return bool(await channel.request([READY], timeout_s=1.0))

    def refusal(self, message: Segment) -> Segment | None:
        """What a machine answers on which the program does not run."""
        return refusal(message)

    def describe(self) -> Mapping[str, Any]:
        """Its options, defaults filled in."""
        return {"name": self.name, **self.options}

    def describe_message(self, message: Segment) -> tuple[str, Hashable]:
        """What is in the segment, and the request it was sent for."""
        return message.words(), message.about

    def describe_node(self, node: AioNode) -> Mapping[str, Any]:
        """The attributes of the program if it is a class; its ports, connections and files."""
        return {**state_of(node.program), **node.shown()}


def asyncio_system(
    main: Make, *, client_port: int, **defaults: Any
) -> Callable[[Mapping[str, Any], Sequence[str]], AsyncioSystem]:
    """A system for plans to name, made of `async def main(host)` (or a class with `run`), the port on which it serves clients, and its options with their defaults."""
    return partial(AsyncioSystem, main, client_port, defaults)


__all__ = ["AioNode", "AsyncioSystem", "Disk", "Host", "asyncio_system"]
