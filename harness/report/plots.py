"""Latency and throughput over time, as SVG text drawn by matplotlib (see docs/decisions/0003-report-plots.md).

Points are thinned before they are drawn: each slice of time keeps its slowest operation of each kind (a thinned plot
must not hide an outlier) and a few others by even steps, so that a run of 100,000 operations stays a small page.
Colours are drawn as markers and then replaced by the page's CSS variables, so that dark mode reaches the plots.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from checkers.stats import quantile
from harness.report.clocks import line, shifts_of
from harness.report.folder import Bar, RunFiles
from harness.report.freshness import Freshness
from harness.report.survival import LOST

WINDOWS, WINDOW_LEAST = 80, 50
SLICES, POINTS_PER_SLICE, TICKS = 150, 6, 600
ECDF_STEPS = 300
LABEL_CHARACTERS_MAX = 24
INK = {
    "#010101": "var(--ink)",
    "#020202": "var(--rule)",
    "#030303": "var(--read)",
    "#040404": "var(--write)",
    "#050505": "var(--bad)",
    "#060606": "var(--doubt)",
    "#070707": "var(--fault)",
    "#080808": "var(--other)",
    "#090909": "var(--lost)",
}
FATE_COLOURS = {
    "ok": "#030303",
    "stale": "#050505",
    "lost": "#090909",
    "unknown": "#060606",
    "failed": "#080808",
}
LINES = ("#030303", "#040404", "#070707", "#090909", "#060606", "#080808")
DASHES = ("-", "--", ":")
COLOUR_OF_F = {"read": "#030303", "write": "#040404"}
STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "quorate", "font.family": "sans-serif", "font.size": 9.0,
    "text.color": "#010101", "axes.labelcolor": "#010101", "xtick.color": "#010101", "ytick.color": "#010101",
    "axes.edgecolor": "#020202", "grid.color": "#020202", "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip


def thin(bars: Sequence[Bar], end_ns: int) -> list[Bar]:
    """At most SLICES x POINTS_PER_SLICE operations, the slowest of each slice of time among them."""
    slices: dict[int, list[Bar]] = {}
    for bar in bars:
        slices.setdefault(min(bar.start_ns * SLICES // max(end_ns, 1), SLICES - 1), []).append(bar)
    kept = []
    for chunk in slices.values():
        slowest = max(chunk, key=latency_ms)
        step = max(1, -(-len(chunk) // (POINTS_PER_SLICE - 1)))
        kept += list({bar.index: bar for bar in [slowest, *chunk[::step]]}.values())
    return kept


def latency_ms(bar: Bar) -> float:
    """From call to return; only for operations that returned."""
    return (bar.end_ns - bar.start_ns) / 1e6 if bar.end_ns is not None else 0.0


def latency_plot(
    bars: Sequence[Bar], faults: Sequence[Mapping[str, Any]], end_ns: int, stale: Collection[int] = ()
) -> str:
    """Latency of every kind of operation over time on a logarithmic axis, fault bands behind. What took no time stands at the lower edge.

    `stale`: the reads that were surely too old, by index; they lie on top, however few they are.
    """
    finished = [bar for bar in bars if bar.end_ns is not None]
    if not finished:
        return ""
    figure, axes = canvas(2.9)
    shade(axes, faults, end_ns)
    floor_ms = min((took / 2 for bar in finished if bar.outcome == "ok" and (took := latency_ms(bar)) > 0), default=1e-3)  # fmt: skip
    for f in sorted({bar.f for bar in finished}):
        for outcome, marker in (("ok", "o"), ("fail", "x")):
            some = thin([bar for bar in finished if bar.f == f and bar.outcome == outcome], end_ns)
            if some:
                axes.scatter(
                    [bar.start_ns / 1e9 for bar in some], [max(latency_ms(bar), floor_ms) for bar in some], s=7,
                    marker=marker, c=COLOUR_OF_F.get(f, "#080808") if outcome == "ok" else "#050505",
                    label=label(f, outcome), linewidths=0.7, alpha=0.75,
                )  # fmt: skip
    old = thin([bar for bar in finished if bar.index in stale], end_ns)
    if old:
        axes.scatter([bar.start_ns / 1e9 for bar in old], [max(latency_ms(bar), floor_ms) for bar in old], s=13, marker="D", facecolors="none", edgecolors="#050505", label="stale read", linewidths=0.9)  # fmt: skip
    doubtful = thin([bar for bar in bars if bar.end_ns is None], end_ns)
    if doubtful:
        top = max(latency_ms(bar) for bar in finished) * 1.3
        axes.scatter(
            [bar.start_ns / 1e9 for bar in doubtful],
            [top] * len(doubtful),
            s=14,
            marker="|",
            c="#060606",
            label="info (end unknown)",
        )
    for share, style in ((0.5, "-"), (0.99, ":")):
        at, ms = quantiles(finished, share, floor_ms)
        if len(at) > 1:
            axes.plot(at, ms, color="#010101", linestyle=style, linewidth=1.1, label=f"p{share * 100:g}")
    axes.set_yscale("log")
    axes.set_ylabel("latency, ms")
    return finish(figure, axes, end_ns, "Latency of operations over time, with fault bands")


def label(f: str, outcome: str) -> str:
    """What a legend calls the operations of a function: formulas are not set, and names with a line below are not left out."""
    name = f if len(f) <= LABEL_CHARACTERS_MAX else f"{f[:LABEL_CHARACTERS_MAX]}…"
    hidden = " " * name.startswith("_")
    return f"{hidden}{name} {outcome}".replace("$", r"\$")


def quantiles(finished: Sequence[Bar], share: float, floor_ms: float) -> tuple[list[float], list[float]]:
    """A quantile over time, of those that ended ok. Windows are as short as they can be with 50 operations in each, and 80 at most."""
    ok = [bar for bar in finished if bar.outcome == "ok"]
    each = max(WINDOW_LEAST, -(-len(ok) // WINDOWS))
    windows = [ok[first : first + each] for first in range(0, len(ok) - WINDOW_LEAST + 1, each)]
    middles = [(window[0].start_ns + window[-1].start_ns) / 2e9 for window in windows]
    return middles, [max(quantile(sorted(map(latency_ms, window)), share), floor_ms) for window in windows]


def rate_plot(bars: Sequence[Bar], faults: Sequence[Mapping[str, Any]], end_ns: int) -> str:
    """Operations a second by outcome over time, fault bands behind."""
    if not bars:
        return ""
    slices = 60
    width_s = max(end_ns, 1) / 1e9 / slices
    figure, axes = canvas(1.9)
    shade(axes, faults, end_ns)
    colours = {"ok": "#030303", "fail": "#050505", "info": "#060606"}
    found = {outcome: [0] * slices for outcome in colours}
    for bar in bars:
        found[bar.outcome][min(bar.start_ns * slices // max(end_ns, 1), slices - 1)] += 1
    for outcome, counts in found.items():
        if any(counts):
            axes.step(
                [width_s * (step + 0.5) for step in range(slices)],
                [count / width_s for count in counts],
                where="mid",
                color=colours[outcome],
                label=outcome,
                linewidth=1.3,
            )
    axes.set_ylim(bottom=0)
    axes.set_ylabel("operations per second")
    return finish(figure, axes, end_ns, "Operations per second by outcome over time, with fault bands")


def fate_plot(run: RunFiles) -> str:
    """Every operation as a tick over time, in a row of its own for what became of it: ok, stale, lost, unknown, failed. Rare ones stand out."""
    if not run.bars:
        return ""
    lost = frozenset(run.survival.of(LOST) if run.survival else ())
    rows: dict[str, list[Bar]] = {name: [] for name in FATE_COLOURS}
    for bar in run.bars:
        rows[fate_of(bar, run.stale, lost)].append(bar)
    shown = [name for name in FATE_COLOURS if rows[name]]
    figure, axes = canvas(0.75 + 0.28 * len(shown))
    shade(axes, run.faults, run.end_ns)
    for place, name in enumerate(reversed(shown)):
        x = [seconds for span in spans(rows[name], run.end_ns) for seconds in (*span, None)]
        axes.plot(x, [None if seconds is None else place for seconds in x], color=FATE_COLOURS[name], linewidth=9, solid_capstyle="butt")  # fmt: skip
    axes.set_yticks(range(len(shown)), [f"{name}  {len(rows[name]):,}" for name in reversed(shown)])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_xlim(0, run.end_ns / 1e9)
    axes.grid(visible=False)
    counts = ", ".join(f"{name} {len(rows[name]):,}" for name in shown)
    return written(figure, axes, "seconds since the run began", f"What became of operations over time, with fault bands: {counts}")  # fmt: skip


def spans(bars: Sequence[Bar], end_ns: int) -> list[tuple[float, float]]:
    """From when to when calls were made, in seconds, as finely as the plot is drawn."""
    found = list[tuple[float, float]]()
    each = max(end_ns, 1) / 1e9 / TICKS
    for tick in sorted({min(bar.start_ns * TICKS // max(end_ns, 1), TICKS - 1) for bar in bars}):
        low = found.pop()[0] if found and found[-1][1] == tick * each else tick * each
        found.append((low, (tick + 1) * each))
    return found


def fate_of(bar: Bar, stale: Collection[int], lost: Collection[int]) -> str:
    """One of FATE_COLOURS."""
    if bar.index in lost or bar.index in stale:
        return "lost" if bar.index in lost else "stale"
    return {"ok": "ok", "fail": "failed", "info": "unknown"}[bar.outcome]


def clock_plot(run: RunFiles) -> str:
    """The offset of each clock that was shifted, over time."""
    shifts = shifts_of(run.faults, run.end_ns)
    if not shifts:
        return ""
    figure, axes = canvas(2.1)
    for place, node in enumerate(sorted({shift.node for shift in shifts})):
        at, offset = line(shifts, node, run.end_ns)
        axes.plot(at, offset, color=LINES[place % len(LINES)], linestyle=DASHES[place // len(LINES) % len(DASHES)], label=node, linewidth=1.4)  # fmt: skip
    axes.set_ylabel("offset of the clock, ms")
    return finish(figure, axes, run.end_ns, "Offsets of clocks over time")


def staleness_plot(behind: Sequence[tuple[str, int]], ages_ns: Sequence[int]) -> str:
    """Stale reads two ways: how many were so many versions behind, in classes, and which share was at most so much time behind (an ECDF)."""
    if not ages_ns:
        return ""
    figure, (left, right) = canvas(2.6, columns=2)
    names, counts = [name for name, _ in behind], [count for _, count in behind]
    left.bar(range(len(names)), counts, color="#050505", width=0.7)
    left.set_xticks(range(len(names)), names)
    left.set_ylabel("stale reads")
    left.set_xlabel("acknowledged versions behind (k)")
    steps = ecdf(ages_ns)
    right.step([steps[0][0], *(ms for ms, _ in steps)], [0.0, *(share for _, share in steps)], where="post", color="#050505", linewidth=1.4)  # fmt: skip
    right.set_xscale("log")
    right.xaxis.set_major_formatter("{x:g}")
    right.set_ylim(0, 102)
    right.set_ylabel("stale reads, %")
    return written(figure, right, "at most so many ms behind (Δ)", f"How stale {len(ages_ns):,} reads were of those that were: by versions behind, and by time behind")  # fmt: skip


def ecdf(ages_ns: Sequence[int]) -> list[tuple[float, float]]:
    """(ms, % that are at most that), ascending, with no more steps than are seen; what took no time stands at a microsecond."""
    places = sorted({round(step * (len(ages_ns) - 1) / ECDF_STEPS) for step in range(ECDF_STEPS + 1)})
    return [(max(ages_ns[place] / 1e6, 0.001), 100 * (place + 1) / len(ages_ns)) for place in places]


def freshness_plot(found: Freshness) -> str:
    """Share of stale reads by how long after the acknowledgement they began: measured with intervals, and the curve of PBS."""
    middles = [max(part.middle_ms, 0.01) for part in found.parts]
    figure, axes = canvas(2.6)
    if found.curve is not None:
        low, high = min(middles) / 10, max(middles) * 2
        grid = [low * (high / low) ** (step / 120) for step in range(121)]
        axes.plot(grid, [100 * found.curve.stale(t_ms + found.client_ms) for t_ms in grid], color="#040404", linewidth=1.4, label="predicted (PBS)")  # fmt: skip
    shares = [100 * part.share for part in found.parts]
    below = [max(0.0, share - 100 * part.low) for share, part in zip(shares, found.parts, strict=True)]
    above = [max(0.0, 100 * part.high - share) for share, part in zip(shares, found.parts, strict=True)]
    axes.errorbar(
        middles, shares, yerr=[below, above], fmt="o", markersize=4, elinewidth=1.1, capsize=2.5, color="#030303", label="measured, 95 %"
    )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("stale reads, %")
    axes.legend(loc="upper right", frameon=False, fontsize=8)
    return written(figure, axes, "ms from the acknowledgement of the write to the call of the read", "Freshness of reads by the time since the last write was acknowledged")  # fmt: skip


def canvas(height: float, columns: int = 1) -> tuple[Any, Any]:
    """An empty figure in our style, made without the global state of pyplot; of several columns a list of axes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(9.6, height), layout="constrained")
        figure.patch.set_alpha(0)
        every = [figure.add_subplot(1, columns, place + 1) for place in range(columns)]
        for axes in every:
            axes.patch.set_alpha(0)
            axes.grid(axis="y", linewidth=0.5)
            axes.set_axisbelow(True)
    return figure, every if columns > 1 else every[0]


def shade(axes: Any, faults: Sequence[Mapping[str, Any]], end_ns: int) -> None:
    """A band behind the plot for each fault that bit."""
    for fault in faults:
        if fault.get("bit"):
            start, end = int(fault.get("start_ns") or 0), int(fault.get("end_ns") or end_ns)
            axes.axvspan(start / 1e9, end / 1e9, color="#070707", alpha=0.16, linewidth=0)


def finish(figure: Any, axes: Any, end_ns: int, alternative: str) -> str:
    """A figure over the time of a run, as an SVG element."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        axes.set_xlim(0, end_ns / 1e9)
        axes.legend(
            loc="lower right",
            frameon=False,
            ncols=6,
            bbox_to_anchor=(1, 1),
            borderaxespad=0.2,
            fontsize=8,
            handletextpad=0.3,
        )
    return written(figure, axes, "seconds since the run began", alternative)


def written(figure: Any, axes: Any, below: str, alternative: str) -> str:
    """The figure as an SVG element with a text alternative and the page's colours; `below` names the lower axis."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        axes.set_xlabel(below)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return for_page(buffer.getvalue(), alternative)


def for_page(svg: str, alternative: str) -> str:
    """Strip what is for files only (prologue, metadata, namespaces), make ids unique, replace the marker colours."""
    prefix = re.sub(r"[^a-z0-9]+", "-", alternative.split(" of ")[0].lower())
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(
        r"<svg [^>]*?viewBox=\"([^\"]*)\"[^>]*>",
        rf'<svg class="plot" viewBox="\1" role="img" aria-label="{html.escape(alternative)}">',
        svg,
        count=1,
    )
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    return re.sub("|".join(INK), lambda match: INK[match.group()], svg)
