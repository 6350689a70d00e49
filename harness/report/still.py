"""The timeline as a still picture, for who reads without JavaScript or on paper: the operations around the proof.

    client 0 → n1   ▬▬ ▬▬▬   ▬▬▬▬▬▬           faults lie behind as bands, the operations of the proof are
    client 1 → n2     ▬▬▬▬▬▬[#12]▬▬▬▬▬        outlined and named; a bar that fades never got an answer
    client 2 → n3   ▬▬▬▬▬  ▬▬▬[#15]

Without a proof it is the beginning of the run. At most 150 operations: of more, those on the keys of the proof, and then the latest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import Any, Final

from harness.report.drawing import AXIS, CHARACTER, LABEL, WIDTH, axis, beside, in_units
from harness.report.folder import Bar
from harness.report.scene import Scene, last_ns

BARS_MAX: Final = 150
ROW: Final = 18
MARGIN: Final = 0.15  # of the time of the proof, before and after it


def around(bars: Sequence[Bar], core: Sequence[Bar]) -> list[Bar]:
    """The operations that the still picture shows, by time of call."""
    if not core:
        return list(bars[:BARS_MAX])
    low, high = min(bar.start_ns for bar in core), max(last_ns(bar) for bar in core)
    margin = int((high - low) * MARGIN)
    near = [bar for bar in bars if bar.start_ns <= high + margin and last_ns(bar) >= low - margin]
    proof = {bar.index for bar in core}
    if len(near) > BARS_MAX:
        keys = {str(bar.key) for bar in core}
        near = [bar for bar in near if str(bar.key) in keys or bar.index in proof]
    others = [bar for bar in near if bar.index not in proof]
    latest = others[-max(BARS_MAX - len(core), 1) :]
    return sorted([*core, *latest], key=lambda bar: (bar.start_ns, bar.index))


def still(scene: Scene, shown: Sequence[Bar], core: Collection[int]) -> str:
    """The picture, as SVG text; nothing of nothing."""
    if not shown:
        return ""
    order = sorted({scene.lane[bar.process] for bar in shown})
    low, high = min(bar.start_ns for bar in shown), max(last_ns(bar) for bar in shown) + 1
    height = len(order) * ROW + AXIS + 10
    scale = (WIDTH - LABEL - 20) / (high - low)
    told = f"{len(shown)} operations of {len(order)} clients, {len(core)} of them the proof; the table below says the same in words"
    parts = [
        f'<svg class="lanes still" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(told)}">',
        '<defs><linearGradient id="still-fade"><stop offset="0" class="stop-a"/><stop offset="1" class="stop-b"/></linearGradient></defs>',
        *(shade(fault, low, high, height, scale) for fault in scene.faults),
        axis(low, high, 4, height),
    ]
    for row, lane in enumerate(order):
        y = row * ROW + 6
        parts.append(f'<text class="lane" x="0" y="{y + 11}">{escape(scene.lanes[lane])}</text>')  # fmt: skip
    rows = {lane: row for row, lane in enumerate(order)}
    for bar in sorted(shown, key=lambda bar: bar.index in core):  # the proof on top
        y = rows[scene.lane[bar.process]] * ROW + 6
        parts.append(mark(bar, y, low, scale, proof=bar.index in core))
    return "".join([*parts, "</svg>"])


def mark(bar: Bar, y: float, low: int, scale: float, *, proof: bool) -> str:
    """One bar; an operation of the proof is outlined and has its number beside it."""
    x, end = LABEL + (bar.start_ns - low) * scale, LABEL + (last_ns(bar) - low) * scale
    kind = "read" if bar.f == "read" else "write"
    fade = "" if bar.end_ns is not None else ' style="fill:url(#still-fade)"'
    name = f"#{bar.index} {bar.words}"
    text_x, anchor = x + 5, "start"
    if len(name) * CHARACTER + 8 > end - x:
        name, text_x, anchor = beside(name, x, end)
    label = f'<text class="named" x="{text_x:.1f}" y="{y + 11}" text-anchor="{anchor}">{escape(name)}</text>'
    return (
        f'<g class="bar {kind} {escape(bar.outcome)}{" proven" if proof else ""}">'
        f'<rect x="{x:.1f}" y="{y}" width="{max(end - x, 2):.1f}" height="14" rx="2"{fade}/>{label if proof else ""}</g>'
    )


def shade(fault: Mapping[str, Any], low: int, high: int, height: float, scale: float) -> str:
    """A band behind the lanes while a fault that bit lasts."""
    start = max(int(fault.get("start_ns") or 0), low)
    end = min(int(fault["end_ns"]) if fault.get("end_ns") is not None else high, high)
    if not fault.get("bit") or end <= start:
        return ""
    x = LABEL + (start - low) * scale
    return f'<rect class="shade" x="{x:.1f}" y="0" width="{(end - start) * scale:.1f}" height="{height - AXIS + 4}"><title>{escape(str(fault["kind"]))}</title></rect>'


def still_rows(shown: Sequence[Bar], core: Collection[int]) -> list[dict[str, Any]]:
    """The same operations for a table."""
    span = max((last_ns(bar) for bar in shown), default=0) - min((bar.start_ns for bar in shown), default=0)
    return [
        {
            "index": bar.index,
            "client": f"{bar.process}{f' on {bar.node}' if bar.node else ''}",
            "words": bar.words,
            "outcome": bar.outcome + (f": {bar.error}" if bar.error else ""),
            "called": in_units(bar.start_ns, max(span, 2_000_000)),
            "ended": "unknown" if bar.end_ns is None else in_units(bar.end_ns, max(span, 2_000_000)),
            "proof": bar.index in core,
        }
        for bar in shown
    ]
