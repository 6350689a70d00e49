"""The proof of a finding as the page shows it: the operations, and why they cannot all be.

    core ─► in lanes, with the two zones below that cannot both be   (of a register)        ─┐
         ─► the circle, its steps in words                           (where it is one)       ├─► proof.html.j2
         ─► where every order ends, and in which state               (of linearizability)   ─┘

What there is of these is what the certificate holds: real time counts for zones, and not for the claims that circles refute.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from checkers.zones import Zone, conflict
from harness.report import words
from harness.report.circle import Bars, arrows_of, circle, named
from harness.report.drawing import held, lanes, when
from harness.report.folder import Bar, RunFiles
from harness.report.freshness import call_of
from harness.report.text import cut

REAL_TIME: Final = ("linearizable", "regular", "safe")  # claims that zones speak of


def core_parts(run: RunFiles) -> dict[str, Any] | None:
    """The proof, or None when nothing is refuted."""
    core = run.results.get("core")
    if not core:
        return None
    bars = run.core_bars
    sentence = words.sentence(core.get("sentence") or run.results.get("reason") or "")
    return {
        "title": words.impossible(len(bars)),
        "sentence": sentence,
        "drawing": core.get("drawing", ""),
        "json": "\n".join(json.dumps(cut(op), ensure_ascii=False) for op in core["ops"]),
        "why": why(bars, core, ident="core", alternative=f"{len(bars)} operations in lanes. {sentence}"),
    }


def why(bars: Sequence[Bar], core: Mapping[str, Any], *, ident: str, alternative: str) -> dict[str, Any]:
    """The pictures of a core and what stands below them; `core` has its `checker`, `edges` and `dead_ends`."""
    from markupsafe import Markup

    edges = core.get("edges") or []
    zones = conflict([call_of(bar) for bar in bars]) if core.get("checker") in REAL_TIME and not edges else None  # fmt: skip
    by_index: Bars = {bar.index: bar for bar in bars}
    ends = [words.sentence(str(sentence)) for sentence in core.get("dead_ends") or ()]
    return {
        "svg": Markup(lanes(bars, ident=ident, alternative=alternative, zones=zones or ())),
        "zones": zone_words(zones, bars) if zones else "",
        "circle": Markup(circle(edges, by_index, f"{ident}-circle")),
        "steps": steps(edges, by_index),
        "dead": ends[0] if ends else "",
        "ends": ends[1:],
    }


def zone_words(zones: Sequence[Zone], bars: Sequence[Bar]) -> str:
    """Why the two cannot both be, in one sentence."""
    span = max(bar.end_ns or bar.start_ns for bar in bars) - min(bar.start_ns for bar in bars)
    told = []
    for zone in zones:
        low, high = (when(ns, span) for ns in zone.span_ns)
        called, returned = (
            f"#{zone.last} was called",
            f"#{zone.first} returned" if zone.first is not None else "",
        )
        if zone.forward:
            told.append(f"it surely holds {held(zone)} from {low}{f', when {returned},' if returned else ''} to {high}, when {called}")  # fmt: skip
        else:
            told.append(f"it holds {held(zone)} at some instant between {low}, when {called}, and {high}, when {returned}")  # fmt: skip
    return f"One copy holds one value at a time. But {told[0]}; and {told[1]}. Where these times meet, it would have to hold both."


def steps(edges: Sequence[Mapping[str, Any]], bars: Bars) -> list[str]:
    """The circle in words, edge by edge."""
    if not edges:
        return []
    told = [str(edge.get("told") or f"{named(edge['before'], bars)} before {named(edge['after'], bars)} ({edge['name']})") for edge in edges]  # fmt: skip
    closing = [arrow for arrow in arrows_of(edges, bars) if arrow.drawn]
    told += [f"{named(arrow.before, bars)} returned what {named(arrow.after, bars)} had replaced, so it must come before it; that closes the circle" for arrow in closing]  # fmt: skip
    return [words.sentence(each) for each in told]
