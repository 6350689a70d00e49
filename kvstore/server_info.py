"""What INFO shows of a running node, in the sections of `kvstore.admin`."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from kvstore.admin import Metrics, Section
from kvstore.config import NodeConfig
from kvstore.events import Clock
from kvstore.node import Node
from kvstore.peer_port import PeerLink
from kvstore.strangers import Strangers


def sections(
    config: NodeConfig,
    node: Node,
    metrics: Metrics,
    *,
    up_ms: float,
    now: Clock,
    clients: int,
    strangers: Strangers,
    links: Mapping[str, PeerLink],
    inbound: Collection[str],
) -> dict[str, Section]:
    """All sections. `links` are the ways to peers, `inbound` the peers that have connected to this node."""
    view = node.view
    shown = {
        f"peer_{name}": f"link={link.state},inbound={'up' if name in inbound else 'down'},dropped={link.dropped}"
        for name, link in links.items()
        if not view.joined or name in view.members  # who has left is still answered, and no peer
    }
    return {
        "Server": {
            "redis_version": "7.0.0",  # the command set clients may expect; some refuse to go without
            "process_id": os.getpid(),
            "uptime_in_seconds": int(up_ms / 1000),
            "tcp_port": config.client.rpartition(":")[2],
            "server_time_usec": int(now.wall_ms * 1000),
            "tls": int(config.tls is not None),
            "seeded_bugs": ",".join(sorted(config.bugs)),
        },
        "Clients": {
            "connected_clients": clients,
            "maxclients": config.max_clients,
            "strangers": len(strangers),
            "strangers_evicted": strangers.evicted,
        },
        "Stats": {**metrics.stats(), "requests_in_progress": node.coordinator.running},
        "Replication": {
            "role": "master",  # every node takes writes
            "node": node.name,
            "ready": int(node.ready),
            "incarnation": node.incarnation,
            "ring_epoch": node.ring.epoch,
            "members": ",".join(node.view.members),
            "sloppy_buckets": ",".join(each.name for each in node.buckets.known() if each.sloppy),
            "loose_buckets": ",".join(each.name for each in node.buckets.known() if not each.lasting.awaited),
            "stood_in": node.upkeep.stood_in,
            **shown,
        },
    }
