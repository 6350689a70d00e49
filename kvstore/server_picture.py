"""A picture of a running node for `kvstore.web`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Any

from kvstore.admin import Metrics
from kvstore.document import NEW, STEP_NAMES
from kvstore.events import Clock
from kvstore.http_port import HttpPort
from kvstore.node import Node
from kvstore.peer_port import PeerLink
from kvstore.ring import PARTITIONS
from kvstore.strangers import Strangers
from kvstore.web import COUNTERS, Peer, Picture


async def show(listener: socket.socket, seen: Callable[[], tuple[Any, ...]], strangers: Strangers) -> None:
    """Show the node on this socket for as long as the loop runs. `seen` gives the arguments of `picture`."""
    port = HttpPort(lambda: picture(*seen()), strangers)
    await asyncio.get_running_loop().create_server(port.connection, sock=listener)


def picture(
    node: Node, metrics: Metrics, links: Mapping[str, PeerLink], born: Clock, now: Clock, clients: int
) -> Picture:
    """The node now."""
    document, upkeep = node.view.document, node.upkeep
    change = document.change
    steps = [NEW] * PARTITIONS if change is None else document.steps[:PARTITIONS]
    peers = [name for name in document.names if name != node.name]
    return Picture(
        node=node.name,
        epoch=document.epoch,
        ready=node.ready,
        draining=node.draining,
        stranger=not node.view.joined,
        up_s=(now.mono_ms - born.mono_ms) / 1000,
        clients=clients,
        requests=node.coordinator.running,
        counters={name: float(getattr(metrics, name)) for name in COUNTERS},
        commit_s=metrics.commit_ms / 1000,
        upkeep={
            "hints_kept": upkeep.hints.kept,
            "hints_dropped": upkeep.hints.dropped,
            "hints_replayed": upkeep.hints.replayed,
            "hints_rerouted": upkeep.hints.rerouted,
            "comparisons": upkeep.antientropy.rounds,
            "records_handed_over": upkeep.antientropy.handed,
            "damaged_found": upkeep.scrub.found,
            "damaged_mended": upkeep.scrub.mended,
            "expired_dropped": upkeep.scrub.dropped,
            "tombstones_purged": upkeep.purger.purged,
        },
        members=document.names,
        peers=[_peer(node, name, links.get(name), now) for name in peers],
        owners=document.owners,
        steps=["" if step == NEW else STEP_NAMES[step] for step in steps],
        change=""
        if change is None
        else f"{change.kind} of {change.node}" + (", turning back" if change.back else ""),
    )


def _peer(node: Node, name: str, link: PeerLink | None, now: Clock) -> Peer:
    return Peer(
        name,
        reachable=node.reachable(name),
        state="none" if link is None else link.state,
        phi=min(node.upkeep.detector.phi(name, now.mono_ms), 1e6),
        dropped=0 if link is None else link.dropped,
    )
