"""Drawings as SVG text: the minimal core in lanes, and the faults over time.

    client 3 → n1   |==== write 3 = 17 ====|
    client 5 → n2          |== write 3 = 18 ==▒▒▒░░░░   nothing is known of its end
    client 4 → n4                                  |= read 3 → 17 =|
    3 holds 17             ╞═════════════════════╡                    zones, if there are (checkers/zones.py)

Colours are CSS classes of the page, so that the same drawing serves light, dark and print. Each bar is focusable and
carries its full record as a title; the drawing as a whole has a text alternative.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from checkers.zones import Zone
from harness.report.folder import Bar, shortened
from harness.report.text import one_line

WIDTH, LABEL, ROW, AXIS = 960, 150, 38, 30
BESIDE_MAX = 56  # characters beside a bar: they are room enough though all be wide
CHARACTER = 6.9  # width of one character at 12 px, about


def in_units(ns: float, span_ns: float) -> str:
    """A time for the axis: nanoseconds to seconds, as the span asks."""
    if span_ns < 10_000:
        return f"{ns:,.0f} ns"
    if span_ns < 2_000_000:
        return f"{ns / 1e3:,.0f} µs"
    return f"{ns / 1e6:,.1f} ms" if span_ns < 2_000_000_000 else f"{ns / 1e9:,.1f} s"


def axis(low: float, high: float, top: float, height: float) -> str:
    """Five vertical rules with their times, below the rows."""
    parts = []
    for step in range(5):
        x = LABEL + (WIDTH - LABEL - 20) * step / 4
        text = in_units(low + (high - low) * step / 4, high - low)
        anchor = "start" if step == 0 else "end" if step == 4 else "middle"
        parts.append(f'<line class="rule" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{height - AXIS + 4}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{height - 8}" text-anchor="{anchor}">{text}</text>')
    return "".join(parts)


def lanes(bars: Sequence[Bar], *, ident: str, alternative: str, zones: Sequence[Zone] = ()) -> str:
    """The core in lanes, one for each client; below them two zones that cannot both be. `alternative` is read out in place of the picture."""
    if not bars:
        return ""
    low = min(bar.start_ns for bar in bars)
    known = max(max(bar.end_ns or bar.start_ns for bar in bars), max(bar.start_ns for bar in bars) + 1)
    margin = (known - low) * (0.12 if any(bar.end_ns is None for bar in bars) else 0.02)
    high = known + math.ceil(margin)  # a whole number: times since 1970 are too large for fractions
    scale = (WIDTH - LABEL - 20) / (high - low)
    rows = list(rows_of(bars, low, scale))
    height = (len(rows) + len(zones)) * ROW + AXIS + 10
    parts = [
        f'<svg class="lanes" viewBox="0 0 {WIDTH} {height}" role="group" aria-labelledby="{ident}-t">',
        f'<title id="{ident}-t">{escape(alternative)}</title>',
        f'<defs><linearGradient id="{ident}-fade"><stop offset="0" class="stop-a"/><stop offset="1" class="stop-b"/></linearGradient></defs>',
        axis(low, high, 4, height),
    ]
    for row, (name, spans) in enumerate(rows):
        y = row * ROW + 8
        parts.append(f'<text class="lane" x="0" y="{y + 17}">{escape(name)}</text>')
        parts.append(f'<line class="base" x1="{LABEL}" x2="{WIDTH - 20}" y1="{y + 13}" y2="{y + 13}"/>')
        parts += [one_bar(span, y, high - low, ident) for span in spans]
    parts += zone_rows(zones, len(rows) * ROW + 8, low, high, scale)
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True, slots=True)
class Span:
    """A bar from `x` to `end`, and where its words stand."""

    bar: Bar
    x: float
    end: float
    label: str
    text_x: float
    anchor: str
    inside: bool

    @property
    def reach(self) -> tuple[float, float]:
        """From where to where there is ink."""
        width = len(self.label) * CHARACTER
        first = self.text_x - (width if self.anchor == "end" else 0)
        return min(self.x, first), max(self.end, first + width)


def span_of(bar: Bar, low: float, scale: float) -> Span:
    """Words stand inside where they fit, and beside where they do not."""
    x = LABEL + (bar.start_ns - low) * scale
    end = max(WIDTH - 20 if bar.end_ns is None else LABEL + (bar.end_ns - low) * scale, x + 4)
    label = f"#{bar.index} {bar.words}"
    if len(label) * CHARACTER + 10 <= end - x:
        return Span(bar, x, end, label, x + 6, "start", inside=True)
    return Span(bar, x, end, *beside(label, x, end), inside=False)


def rows_of(bars: Sequence[Bar], low: float, scale: float) -> Iterator[tuple[str, list[Span]]]:
    """The lanes of the clients in order of their first calls, by name. Where words would run into each other, a lane has further rows."""
    clients: dict[tuple[int | str, str], list[list[Span]]] = {}
    for bar in sorted(bars, key=lambda bar: bar.start_ns):
        rows = clients.setdefault((bar.process, bar.node), [])
        span = span_of(bar, low, scale)
        free = (row for row in rows if all(other.reach[1] + 4 <= span.reach[0] or span.reach[1] + 4 <= other.reach[0] for other in row))  # fmt: skip
        row = next(free, None)
        if row is None:
            rows.append([span])
        else:
            row.append(span)
    for (process, node), rows in clients.items():
        for place, row in enumerate(rows):
            yield "" if place else f"client {process}{f' → {node}' if node else ''}", row


def zone_rows(zones: Sequence[Zone], top: float, low: float, high: float, scale: float) -> list[str]:
    """A row for each zone, dotted lines up to the ends of the operations that set it, and what cannot be in red across both."""
    if not zones:
        return []

    def at(ns: float) -> float:
        return LABEL + (min(max(ns, low), high) - low) * scale

    parts = []
    for row, zone in enumerate(zones):
        y, (start, end) = top + row * ROW, map(at, zone.span_ns)
        value = held(zone)
        name = f"surely {value}" if zone.forward else f"{value} at some instant"
        told = f"{name}, {when(zone.span_ns[0], high - low)} to {when(zone.span_ns[1], high - low)}"
        label, x, anchor = (name, start + 6, "start") if len(name) * CHARACTER + 12 <= end - start else beside(name, start, end)  # fmt: skip
        parts += [f'<line class="guide" x1="{x_of:.1f}" x2="{x_of:.1f}" y1="8" y2="{y + 26}"/>' for x_of in (start, end)]  # fmt: skip
        parts.append(
            f'<text class="lane" x="0" y="{y + 17}">the value, if one copy</text>'
            f'<g class="zone {"forward" if zone.forward else "backward"}" tabindex="0" role="img" aria-label="{escape(told, quote=True)}"><title>{escape(told)}</title>'
            f'<rect x="{start:.1f}" y="{y + 3}" width="{max(end - start, 3):.1f}" height="20"/>'
            f'<text class="out" x="{x:.1f}" y="{y + 17}" text-anchor="{anchor}">{escape(label)}</text></g>'
        )
    start, end = (at(pick(spans)) for pick, spans in ((max, [zone.span_ns[0] for zone in zones]), (min, [zone.span_ns[1] for zone in zones])))  # fmt: skip
    return [*parts, f'<rect class="clash" x="{start - 1:.1f}" y="{top}" width="{max(end - start, 1) + 2:.1f}" height="{len(zones) * ROW - 12}"/>']  # fmt: skip


def held(zone: Zone) -> str:
    """The value of a zone, or its chain of values."""
    return ", then ".join("nothing" if value is None else one_line(shortened(value)) for value in zone.values)


def when(ns: float, span_ns: float) -> str:
    """A time for the axis; of what was before the history, in words."""
    return "the beginning" if math.isinf(ns) and ns < 0 else "for ever" if math.isinf(ns) else in_units(ns, span_ns)  # fmt: skip


def one_bar(span: Span, y: float, over_ns: float, ident: str) -> str:
    """A bar [call, return] with its words; `over_ns` says how finely times are told."""
    bar, x, end = span.bar, span.x, span.end
    kind = "read" if bar.f == "read" else "write"
    until = (
        "nobody knows when it ended" if bar.end_ns is None else f"returned at {in_units(bar.end_ns, over_ns)}"
    )
    full = f"operation {bar.index}: client {bar.process}{f' on {bar.node}' if bar.node else ''}, {bar.words}, {bar.outcome}; called at {in_units(bar.start_ns, over_ns)}, {until}"
    full += f" ({bar.error})" if bar.error else ""
    fill = f' style="fill:url(#{ident}-fade)"' if bar.end_ns is None else ""
    mark = (
        ""
        if bar.end_ns is None
        else f'<line class="edge" x1="{end:.1f}" x2="{end:.1f}" y1="{y}" y2="{y + 26}"/>'
    )
    return (
        f'<g class="bar {kind} {escape(bar.outcome)}" tabindex="0" role="img" aria-label="{escape(full, quote=True)}"><title>{escape(full)}</title>'
        f'<rect x="{x:.1f}" y="{y}" width="{end - x:.1f}" height="26" rx="2"{fill}/>'
        f'<line class="edge" x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{y + 26}"/>{mark}'
        f'<text class="{"in" if span.inside else "out"}" x="{span.text_x:.1f}" y="{y + 17}" text-anchor="{span.anchor}">{escape(span.label)}</text></g>'
    )


def beside(label: str, x: float, end: float) -> tuple[str, float, str]:
    """A label after its bar, or before it if it fits only there or there is more room; what does not fit is cut."""
    after, before = WIDTH - end - 8, x - LABEL - 8
    follows = len(label) * CHARACTER <= after or after >= before
    most = min(max(int((after if follows else before) / CHARACTER), 8), BESIDE_MAX)
    shown = label if len(label) <= most else f"{label[: most - 1]}…"
    return (shown, end + 5, "start") if follows else (shown, x - 5, "end")


def bands(faults: Sequence[Mapping[str, Any]], end_ns: int) -> str:
    """The faults over time, one row for each kind; a fault that did not bite is hatched."""
    if not faults:
        return ""
    kinds = list(dict.fromkeys(str(fault["kind"]) for fault in faults))
    height = len(kinds) * 30 + AXIS + 6
    scale = (WIDTH - LABEL - 20) / max(end_ns, 1)
    parts = [
        f'<svg class="bands" viewBox="0 0 {WIDTH} {height}" role="group" aria-labelledby="bands-t">',
        f'<title id="bands-t">{len(faults)} faults over time; the table below says the same in words</title>',
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line class="hatch" x1="0" y1="0" x2="0" y2="6"/></pattern></defs>',
        axis(0, end_ns, 4, height),
    ]
    for row, kind in enumerate(kinds):
        y = row * 30 + 6
        parts.append(f'<text class="lane" x="0" y="{y + 16}">{escape(kind)}</text>')
        for fault in (fault for fault in faults if str(fault["kind"]) == kind):
            start = int(fault.get("start_ns") or 0)
            end = int(fault.get("end_ns") or end_ns)
            words = f"{kind} of {', '.join(map(str, fault.get('nodes') or [])) or 'the network'}: {in_units(start, end_ns)} to {in_units(end, end_ns)}"
            words += "" if fault.get("bit") else "; it did not bite"
            style = f"band k{row % 4}" if fault.get("bit") else "band blunt"
            parts.append(
                f'<g class="{style}" tabindex="0" role="img" aria-label="{escape(words, quote=True)}"><title>{escape(words)}</title>'
                f'<rect x="{LABEL + start * scale:.1f}" y="{y}" width="{max((end - start) * scale, 2):.1f}" height="22" rx="2"/></g>'
            )
    return "".join([*parts, "</svg>"])
