"""A violation that is a circle, drawn: each operation must come before the next, and the last before the first.

    [write x 1] ──session order──► [write y 2] ──reads-from──► [read y 2]
         ▲                                                         │            boxes around a rectangle, arrows by their rule
         └── before every write ── [initial value] ◄──reads-from── [read x nil] ┘

Two paths from a write to a read of it are no circle yet: one goes through a write that replaced it. What the read says of that write, that it
comes later, is drawn as a dashed arrow and closes the circle. The edges are those of the certificate (`checkers/order.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from checkers.order import INITIAL, READS
from harness.report.drawing import CHARACTER, WIDTH
from harness.report.folder import Bar

BOX, HIGH, PITCH, MARGIN = 196, 46, 96, 14
NODES_MAX: Final = 24
BEND: Final = 90  # how far a dashed arrow keeps away from the boxes between its ends
BESIDE: Final = 12  # how far two arrows there and back are from the middle
REPLACED: Final = "returned what this replaced"
Node = int | None  # an operation by its number; None: the value before any write
Bars = Mapping[Node, Bar]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Arrow:
    """`before` must come before `after`, as the operation `shown_by` shows; `drawn` if that follows from what was read and is no edge of the certificate."""

    before: Node
    after: Node
    name: str
    shown_by: int | None = None
    drawn: bool = False


def arrows_of(edges: Sequence[Mapping[str, Any]], bars: Bars) -> list[Arrow]:
    """The edges of a certificate, and what closes the circle."""
    arrows = [
        Arrow(
            edge["before"], edge["after"], str(edge["name"]), next(reversed(edge.get("because") or ()), None)
        )
        for edge in edges
    ]
    first, last = arrows[0], arrows[-1]
    if last.after is None:
        return [*arrows, Arrow(None, first.before, "before every write")]
    written = bars.get(first.before)
    if last.name != READS or last.before != first.before or written is None:
        return arrows
    between = (arrow.after for arrow in arrows[:-1])
    replaced = next((at for at in between if (bar := bars.get(at)) and bar.f == "write" and bar.key == written.key), None)  # fmt: skip
    return arrows if replaced is None else [*arrows, Arrow(last.after, replaced, REPLACED, drawn=True)]


def circle(edges: Sequence[Mapping[str, Any]], bars: Bars, ident: str) -> str:
    """The picture as SVG text; nothing where there is no circle, or one too large to be looked at."""
    if not edges:
        return ""
    arrows = arrows_of(edges, bars)
    nodes = list(dict.fromkeys(node for arrow in arrows for node in (arrow.before, arrow.after)))
    if len(nodes) > NODES_MAX:
        return ""
    places = dict(zip(nodes, ring(len(nodes)), strict=True))
    height = max(y for _, y in places.values()) + HIGH / 2 + MARGIN
    told = "; ".join(f"{named(arrow.before, bars)} before {named(arrow.after, bars)}, {arrow.name}" for arrow in arrows)  # fmt: skip
    middle, ways = (WIDTH / 2, height / 2), {(arrow.before, arrow.after) for arrow in arrows}
    return "".join(
        [
            f'<svg class="circle" viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(told, quote=True)}">',
            *(f'<marker id="{ident}-{kind}" class="{kind}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto-start-reverse"><path d="M0 0L10 5L0 10z"/></marker>' for kind in ("known", "drawn")),
            *(line(arrow, (arrow.after, arrow.before) in ways, places, middle, ident, bars) for arrow in arrows),
            *(box(node, bars, place) for node, place in places.items()),
            "</svg>",
        ]
    )  # fmt: skip


def ring(count: int) -> Iterator[Point]:
    """Middles of so many boxes around a rectangle, clockwise from the upper left."""
    columns = 2 if count <= 4 else 3
    rows = 1 if count <= 2 else max(2, math.ceil((count - 2 * columns) / 2) + 2)
    last = (columns - 1, rows - 1)
    around = [(x, 0) for x in range(columns)] + [(last[0], y) for y in range(1, rows)]
    around += [(x, last[1]) for x in range(last[0] - 1, -1, -1)] if rows > 1 else []
    around += [(0, y) for y in range(last[1] - 1, 0, -1)]
    step = (WIDTH - 2 * MARGIN - BOX) / max(columns - 1, 1)
    for x, y in around[:count]:
        yield MARGIN + BOX / 2 + x * step, MARGIN + HIGH / 2 + y * PITCH


def named(node: Node, bars: Bars) -> str:
    """An operation in a few words."""
    bar = bars.get(node)
    return INITIAL if node is None else f"#{node} {bar.words}" if bar else f"#{node}"


def box(node: Node, bars: Bars, place: Point) -> str:
    """An operation: what, and by whom."""
    (x, y), bar, whole = place, bars.get(node), named(node, bars)
    most = int((BOX - 16) / CHARACTER)
    name = whole if len(whole) <= most else f"{whole[: most - 1]}…"
    by = f"process {bar.process}" if bar else "nothing was written yet" if node is None else ""
    return (
        f'<g class="node {"read" if bar and bar.f == "read" else "write"}"><title>{escape(whole)}</title>'
        f'<rect x="{x - BOX / 2:.1f}" y="{y - HIGH / 2:.1f}" width="{BOX}" height="{HIGH}" rx="6"/>'
        f'<text x="{x:.1f}" y="{y - 3:.1f}" text-anchor="middle">{escape(name)}</text>'
        f'<text class="tick" x="{x:.1f}" y="{y + 14:.1f}" text-anchor="middle">{escape(by)}</text></g>'
    )


def line(arrow: Arrow, twin: bool, places: Mapping[Node, Point], middle: Point, ident: str, bars: Bars) -> str:  # fmt: skip
    """An arrow with its name. Of a `twin` another goes back, and they lie beside each other; what closes a circle is bent to the inside."""
    start, end = places[arrow.before], places[arrow.after]
    half = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    bent = arrow.drawn and not twin
    control = towards(half, middle, BEND) if bent else half
    (ax, ay), (bx, by) = edge_of(start, control if bent else end), edge_of(end, control if bent else start)
    if twin:
        dx, dy = towards((0.0, 0.0), (by - ay, ax - bx), BESIDE)
        ax, ay, bx, by, control = ax + dx, ay + dy, bx + dx, by + dy, (half[0] + dx, half[1] + dy)
    x, y = (ax + bx + 2 * control[0]) / 4, (ay + by + 2 * control[1]) / 4  # the middle of the curve
    anchor = "middle"
    if abs(by - ay) > abs(bx - ax) and not bent:
        anchor, x, y = ("start", x + 8, y + 4) if x <= middle[0] else ("end", x - 8, y + 4)
    else:
        y += 16 if twin and bx < ax else -6
    kind = "drawn" if arrow.drawn else "known"
    name = arrow.name if arrow.shown_by is None else f"{arrow.name}, as {named(arrow.shown_by, bars)} shows"
    name = name if len(name) * CHARACTER + 10 <= math.dist((ax, ay), (bx, by)) else arrow.name
    return (
        f'<path class="arrow {kind}" d="M{ax:.1f} {ay:.1f}Q{control[0]:.1f} {control[1]:.1f} {bx:.1f} {by:.1f}" marker-end="url(#{ident}-{kind})"/>'
        f'<text class="rule-name {kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(name)}</text>'
    )


def towards(place: Point, aim: Point, far: float) -> Point:
    """So far from a place into the direction of another."""
    whole = math.dist(place, aim) or 1.0
    return place[0] + (aim[0] - place[0]) / whole * far, place[1] + (aim[1] - place[1]) / whole * far


def edge_of(place: Point, aim: Point) -> Point:
    """Where a line from the middle of a box towards a point leaves the box."""
    dx, dy = aim[0] - place[0], aim[1] - place[1]
    share = min(BOX / 2 / abs(dx) if dx else math.inf, HIGH / 2 / abs(dy) if dy else math.inf, 1.0)
    return place[0] + dx * share, place[1] + dy * share
