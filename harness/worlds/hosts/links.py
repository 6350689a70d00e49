"""Troubles on the links between hosts: which host does what, and what they say they did, put together by link.

Trouble 3: drop, n1 ──► n2, n3 ──► n2         on n2: drop what comes from the addresses of n1 and n3
                                              relieved: {"n1->n2": (60, 17), "n3->n2": (58, 20)}
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from harness.control import Connection
from harness.worlds.hosts import packets
from harness.worlds.trouble import Touches, Trouble

Each = Callable[[Callable[[str, Connection], Any], tuple[str, ...]], Awaitable[dict[str, Any]]]
"""(what to do on a host, on which hosts) -> what it gave on each; all at once."""


class Links:
    """The troubles that go on. `addresses` are the IPv4 addresses of the nodes."""

    def __init__(self, each: Each, addresses: Mapping[str, str]) -> None:
        self._each, self._addresses = each, addresses
        self._disturbed: dict[int, tuple[str, ...]] = {}  # where each trouble is at work

    async def disturb(self, trouble: Trouble) -> None:
        """Begin it at each `dst`, on what its `src`s send."""
        sources = {
            dst: sorted(self._addresses[src] for src in srcs) for dst, srcs in trouble.links.items() if srcs
        }
        self._disturbed[trouble.number] = tuple(sources)
        await self._each(
            lambda node, connection: packets.begin(connection, trouble, sources[node]), tuple(sources)
        )

    async def relieve(self, number: int) -> Touches:
        """End it, verified; packets that it saw and touched, by link."""
        nodes = self._disturbed.get(number, ())
        ended = await self._each(lambda node, connection: packets.end(connection, number), nodes)
        self._disturbed.pop(number, None)
        names = {address: node for node, address in self._addresses.items()}
        return {
            f"{names[source]}->{dst}": touch
            for dst, by_source in ended.items()
            for source, touch in by_source.items()
        }

    async def mend(self) -> None:
        """End them all on every host, verified."""
        await self._each(lambda node, connection: packets.remove(connection), tuple(self._addresses))
        self._disturbed.clear()
