"""What a node shows to a browser and to Prometheus: three pages, made of a picture of the node. Pure.

    GET /health     200 {"ready": true, …} while it serves, else 503 with the reason
    GET /metrics    counters and gauges in Prometheus' text form
    GET /ring       the ring drawn: who owns which partition, what moves, who is reachable

Nothing can be changed here, and no key, value or secret is shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import cos, pi, sin
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

COUNTERS = {
    "connections": "Client connections accepted.",
    "connections_refused": "Client connections refused, for there were too many.",
    "commands": "Commands of clients.",
    "protocol_errors": "Clients cut off because they broke the protocol.",
    "commits": "Commits to disk.",
    "committed_rows": "Rows in those commits.",
    "messages_sent": "Messages to other nodes.",
    "messages_received": "Messages from other nodes.",
    "messages_dropped": "Messages to other nodes that were dropped, for the queue was full.",
    "peer_errors": "Broken frames and refused handshakes of other nodes.",
}
HUES = (210, 28, 130, 350, 275, 50, 180, 310, 90, 240)


@dataclass(frozen=True, slots=True)
class Peer:
    """Another member, as this node sees it. `state`: of the link to it. `phi`: the suspicion of `kvstore.detector`."""

    name: str
    reachable: bool
    state: str
    phi: float
    dropped: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A node at one instant. `owners` and `steps` by partition; `steps` are words, "" where nothing moves."""

    node: str
    epoch: int
    ready: bool
    draining: bool
    stranger: bool
    up_s: float
    clients: int
    requests: int
    counters: Mapping[str, float]
    commit_s: float
    upkeep: Mapping[str, float]
    members: Sequence[str]
    peers: Sequence[Peer]
    owners: Sequence[str]
    steps: Sequence[str]
    change: str

    @property
    def reachable(self) -> int:
        """Members that answer, this node included."""
        return 1 + sum(peer.reachable for peer in self.peers)


def health(picture: Picture) -> tuple[int, bytes]:
    """The status, and why, as JSON."""
    majority = len(picture.members) // 2 + 1
    why = ""
    if picture.draining:
        why = "it stops, and answers only what is in progress"
    elif picture.stranger:
        why = "it is no member of the cluster"
    elif not picture.ready:
        why = "it has not come up yet"
    elif picture.reachable < majority:
        why = (
            f"it reaches {picture.reachable} of {len(picture.members)} members, and {majority} are a majority"
        )
    about = {
        "ready": not why, "reason": why, "node": picture.node, "epoch": picture.epoch,
        "members": len(picture.members), "reachable": picture.reachable,
    }  # fmt: skip
    return (503 if why else 200), json.dumps(about).encode() + b"\n"


class _Told(Collector):
    """The picture's numbers."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture

    def collect(self) -> Iterator[Metric]:
        """One family after the other."""
        picture = self._picture
        for name, meaning in COUNTERS.items():
            yield CounterMetricFamily(f"quorate_{name}", meaning, value=picture.counters[name])
        yield CounterMetricFamily("quorate_commit_seconds", "Time spent in commits.", value=picture.commit_s)
        for name, count in picture.upkeep.items():
            yield CounterMetricFamily(f"quorate_{name}", "Of the repair in the background.", value=count)
        gauges = {
            "up_seconds": ("Since the process began.", picture.up_s),
            "ready": ("1 while the node serves.", float(health(picture)[0] == 200)),
            "clients": ("Connected clients.", float(picture.clients)),
            "requests_in_progress": ("Requests that this node coordinates.", float(picture.requests)),
            "ring_epoch": ("Epoch of the ring document in force.", float(picture.epoch)),
            "members": ("Members of the cluster.", float(len(picture.members))),
            "partitions_moving": ("Partitions that are on their way.", float(sum(map(bool, picture.steps)))),
        }
        for name, (meaning, value) in gauges.items():
            yield GaugeMetricFamily(f"quorate_{name}", meaning, value=value)
        owned = GaugeMetricFamily(
            "quorate_partitions", "Partitions that a member is the first owner of.", labels=["member"]
        )
        for member in picture.members:
            owned.add_metric([member], picture.owners.count(member))
        yield owned
        up = GaugeMetricFamily("quorate_peer_reachable", "1 if the peer is not suspected.", labels=["peer"])
        phi = GaugeMetricFamily("quorate_peer_phi", "Suspicion of the peer, phi accrual.", labels=["peer"])
        for peer in picture.peers:
            up.add_metric([peer.name], float(peer.reachable))
            phi.add_metric([peer.name], peer.phi)
        yield up
        yield phi


def metrics(picture: Picture) -> bytes:
    """Prometheus' text form."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(picture))
    return generate_latest(registry)


# ---- the ring ----------------------------------------------------------------------------------------------------

STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --dim: #6b7785; --paper: #fff; --bad: #c0392b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --dim: #93a1b0; --paper: #14191f; --bad: #ff7b6b; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
main { display: flex; flex-wrap: wrap; gap: 2rem; align-items: center; } svg { width: 26rem; max-width: 100%; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .25rem .9rem .25rem 0; } td.n { text-align: right; }
.swatch { display: inline-block; width: .9em; height: .9em; border-radius: 2px; margin-right: .5em; vertical-align: -1px; }
.dim { color: var(--dim); } .bad { color: var(--bad); font-weight: 600; } svg text { fill: var(--ink); text-anchor: middle; }
"""


def ring(picture: Picture) -> bytes:
    """The page, complete in itself; it asks for itself again every two seconds."""
    hues = {name: HUES[place % len(HUES)] for place, name in enumerate(picture.members)}
    status, _ = health(picture)
    change = f"<p>In progress: {escape(picture.change)}.</p>" if picture.change else ""
    state = (
        "ready"
        if status == 200
        else f'<span class="bad">{escape(json.loads(health(picture)[1])["reason"])}</span>'
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2">'
        f'<meta name="viewport" content="width=device-width"><title>Ring of {escape(picture.node)}</title>'
        f"<style>{STYLE}</style></head><body><h1>The ring, as {escape(picture.node)} sees it</h1>"
        f"<p>Epoch {picture.epoch}, {len(picture.members)} members, {len(picture.owners)} partitions; this node: {state}.</p>{change}"
        f"<main>{_drawing(picture, hues)}<table><thead><tr><th>member</th><th>partitions</th><th>health</th></tr></thead><tbody>"
        f"{''.join(_row(name, picture, hues[name]) for name in picture.members)}</tbody></table></main>"
        f'<p class="dim">A segment is a partition, in the colour of its first owner; its other replicas are the next members clockwise. '
        f"An edge: it is on its way to another owner.</p></body></html>\n"
    ).encode()


def _row(name: str, picture: Picture, hue: int) -> str:
    peer = next((peer for peer in picture.peers if peer.name == name), None)
    if peer is None:
        told = "this node"
    elif peer.reachable:
        told = f"reachable, phi {peer.phi:.1f}"
    else:
        told = f'<span class="bad">suspected, phi {peer.phi:.1f}; link {escape(peer.state)}</span>'
    count = picture.owners.count(name)
    swatch = f'<span class="swatch" style="background:hsl({hue} 60% 52%)"></span>'
    return f'<tr><td>{swatch}{escape(name)}</td><td class="n">{count}</td><td>{told}</td></tr>'


def _drawing(picture: Picture, hues: Mapping[str, int]) -> str:
    count = max(1, len(picture.owners))
    parts = [
        _segment(place, count, hues.get(owner), picture.steps[place], f"partition {place}: {owner}")
        for place, owner in enumerate(picture.owners)
    ]
    title = f"Ring with {count} partitions"
    return (
        f'<svg viewBox="-110 -110 220 220" role="img" aria-label="{title}">{"".join(parts)}'
        f'<text y="-2" font-size="16">epoch {picture.epoch}</text><text y="16" font-size="9">{len(picture.members)} members</text></svg>'
    )


def _segment(place: int, count: int, hue: int | None, step: str, words: str) -> str:
    """One partition, between two circles, from twelve o'clock on."""
    begin, end = (2 * pi * (place + shift) / count for shift in (0.06, 0.94))
    corners: Iterable[tuple[float, float]] = ((100, begin), (100, end), (72, end), (72, begin))
    points = " ".join(f"{radius * sin(angle):.2f},{-radius * cos(angle):.2f}" for radius, angle in corners)
    fill = f"hsl({hue} 60% 52%)" if hue is not None else "#888"
    edge = ' style="stroke:var(--ink)" stroke-width="1.4"' if step else ""
    tip = escape(f"{words}{', ' + step if step else ''}")
    return f'<polygon points="{points}" fill="{fill}"{edge}><title>{tip}</title></polygon>'


PAGES: Mapping[str, tuple[str, Any]] = {
    "/health": ("application/json", health),
    "/metrics": ("text/plain; version=0.0.4; charset=utf-8", lambda picture: (200, metrics(picture))),
    "/ring": ("text/html; charset=utf-8", lambda picture: (200, ring(picture))),
}


def page(target: str, picture: Picture) -> tuple[int, str, bytes]:
    """(status, content type, body) of a GET."""
    path = target.split("?")[0]
    if path not in PAGES:
        return 404, "text/plain; charset=utf-8", f"There is {', '.join(PAGES)}.\n".encode()
    kind, make = PAGES[path]
    status, body = make(picture)
    return status, kind, body
