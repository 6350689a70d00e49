"""Troubles on the links between hosts: which host does what, and what they say they did, put together by link.

    trouble        done by                          where
    drop, reset    iptables (`packets`)             at the receiver, on what its peers send
    delay, …       the same, and a program of ours  at the receiver (`queues`)
    rate           tc (`shaping`)                   at the sender
    of clients     the same as among nodes          at the node, both ways (`client_packets`)

    drop, n1 ──► n2 and n3 ──► n2: on n2, what comes from the addresses of n1 and n3
    relieved: {"n1->n2": (60, 17), "n3->n2": (58, 20)}

What a host lacks for a trouble is found out before a run begins, and said.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from harness.control import Connection, ControlError
from harness.nemesis.grudges import ANSWERS, CLIENTS, REQUESTS
from harness.worlds import WorldError
from harness.worlds.hosts import client_packets, packets, queues, shaping
from harness.worlds.hosts.packets import LEFT, REMEDY
from harness.worlds.trouble import (
    CORRUPT,
    DELAY,
    DROP,
    DUPLICATE,
    QUEUED,
    RATE,
    REORDER,
    RESET,
    Touch,
    Touches,
    Trouble,
)

Each = Callable[[Callable[[str, Connection], Any], tuple[str, ...]], Awaitable[dict[str, Any]]]
"""(what to do on a host, on which hosts) -> what it gave on each; all at once."""

SAMPLES: Final[Mapping[str, Trouble]] = {
    name: Trouble(number=0, kind=kind, links={}, share=share)
    for name, kind, share in (
        ("partition", DROP, 1.0), ("flapping", DROP, 1.0), ("power-off", DROP, 1.0), ("loss", DROP, 0.5), ("reset", RESET, 0.5), ("delay", DELAY, 1.0),
        ("rate", RATE, 1.0), ("duplicate", DUPLICATE, 0.5), ("reorder", REORDER, 0.5), ("corrupt", CORRUPT, 0.5),
    )
}  # fmt: skip
"""What a kind of fault needs, as an example."""


def ipv4(address: str) -> str:
    """The IPv4 address of a host. Raises WorldError."""
    try:
        found = socket.getaddrinfo(address, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise WorldError(
            f"the host name {address!r} has no IPv4 address ({error}): correct the inventory."
        ) from None
    return str(found[0][4][0])


def heal_script(directory: str) -> str:
    """Shell that ends every trouble on a host, and prints what it found."""
    return packets.HEAL + queues.heal_script(directory) + shaping.HEAL


def heal(connection: Connection, directory: str) -> None:
    """End every trouble on a host, verified."""
    told = connection.shell(heal_script(directory)).stdout
    left = [line for line in told.splitlines() if LEFT in line]
    if left:
        raise ControlError(f"{connection.host.label}: {left[0]}; {REMEDY}.")


def check(connection: Connection, directory: str, kinds: Iterable[str], peer: str) -> None:
    """Raises ControlError when the host cannot do one of these kinds of fault: which, why, and what to do.

    `peer` is the address of another host.
    """
    for kind in kinds:
        if kind not in SAMPLES:
            continue
        needed = SAMPLES[kind].kind
        why = shaping.probe(connection, peer) if needed == RATE else packets.probe(connection, SAMPLES[kind])
        if needed in QUEUED and not why:
            why = queues.probe(connection, directory, SAMPLES[kind])
        if why:
            raise ControlError(
                f"{connection.host.label} cannot do the fault {kind}: {why}. Leave it out of the plan, or run it in the simulator."
            )


class Links:
    """The troubles that go on. `addresses` are the IPv4 addresses of the nodes; `directory` is ours on each host; clients connect to `port`."""

    def __init__(self, each: Each, addresses: Mapping[str, str], directory: str, port: int) -> None:
        self._port = port
        self._each, self._addresses, self._directory = each, addresses, directory
        self._going_on: dict[int, tuple[Trouble, int]] = {}  # with the slot of each

    def _peers(self, trouble: Trouble) -> dict[str, list[str]]:
        """Where it is done, and on the packets of (or to) which nodes."""
        links = [(dst, src) for dst, sources in trouble.links.items() for src in sources]
        links = [link for link in links if CLIENTS not in link]
        if trouble.kind == RATE:
            links = [(src, dst) for dst, src in links]
        return {
            here: sorted(self._addresses[peer] for place, peer in links if place == here)
            for here in sorted({here for here, _ in links})
        }

    def _ways(self, trouble: Trouble) -> dict[str, list[str]]:
        """Where it is done to what clients ask, or are answered."""
        asked = {dst: [REQUESTS] for dst, sources in trouble.links.items() if CLIENTS in sources}
        answered = trouble.links.get(CLIENTS, frozenset())
        return asked | {node: [*asked.get(node, []), ANSWERS] for node in sorted(answered)}

    async def disturb(self, trouble: Trouble) -> None:
        """Begin it on all its links."""
        taken = {slot for _, slot in self._going_on.values()}
        slot = next(free for free in range(len(taken) + 1) if free not in taken)
        self._going_on[trouble.number] = trouble, slot
        peers, ways = self._peers(trouble), self._ways(trouble)

        def begin(node: str, connection: Connection) -> None:
            if trouble.kind == RATE:
                shaping.begin(connection, trouble.rate_kbit, slot, peers[node])
                return
            if trouble.kind in QUEUED:
                queues.begin(connection, self._directory, slot, trouble)
            if node in peers:
                packets.begin(connection, trouble, slot, peers[node])
            others = [address for name, address in self._addresses.items() if name != node]
            for way in ways.get(node, ()):
                client_packets.begin(connection, trouble, slot, way, self._port, others)

        await self._each(begin, tuple(peers | ways))

    async def relieve(self, number: int) -> Touches:
        """End it, verified; packets that it saw and touched, by link."""
        if number not in self._going_on:
            return {}
        trouble, slot = self._going_on[number]
        peers, ways = self._peers(trouble), self._ways(trouble)
        names = {address: node for node, address in self._addresses.items()}

        def end(node: str, connection: Connection) -> Mapping[str, Touch]:
            if trouble.kind == RATE:
                ended = shaping.end(connection, slot, peers[node])
                return {f"{node}->{names[peer]}": touch for peer, touch in ended.items()}
            met = packets.end(connection, trouble)
            asked = {way: client_packets.end(connection, trouble, way) for way in ways.get(node, ())}
            if trouble.kind in QUEUED:
                did = queues.end(connection, self._directory, slot)
                met = {peer: queues.told(trouble, did, touch, peer) for peer, touch in met.items()}
                asked = {way: queues.told(trouble, did, touch) for way, touch in asked.items()}
            links = {REQUESTS: f"{CLIENTS}->{node}", ANSWERS: f"{node}->{CLIENTS}"}
            return {
                **{f"{names[peer]}->{node}": touch for peer, touch in met.items()},
                **{links[way]: touch for way, touch in asked.items()},
            }

        ended = await self._each(end, tuple(peers | ways))
        del self._going_on[number]
        return {link: touch for touched in ended.values() for link, touch in touched.items()}

    async def mend(self) -> None:
        """End them all on every host, verified."""
        await self._each(lambda node, connection: heal(connection, self._directory), tuple(self._addresses))
        self._going_on.clear()
