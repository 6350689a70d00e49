"""What staleness is traded for: configurations by a price and by their stale reads, as SVG text.

stale │ ●───┤           bars are 95 % intervals, as far as they are known
      │  ╲
      │   ○─┐           the line joins those that no other beats on both: the Pareto front
      │     └──● ●      filled: linearizable in every run
      └──────────── price: latency, or calls that were not answered under faults
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from harness.report.plots import canvas, written


class Point(NamedTuple):
    """A configuration by its price and its staleness, a share of reads. `whole`: it was linearizable in every run.

    The ends of an interval are None if they are not known.
    """

    name: str
    price: float
    stale: float
    whole: bool
    price_between: tuple[float | None, float | None] = (None, None)
    stale_between: tuple[float | None, float | None] = (None, None)


class Price(NamedTuple):
    """What is paid: in words for the axis, and for the text in place of the chart; shares in %, or times on a logarithmic axis."""

    axis: str
    told: str
    share: bool = False


LATENCY: Final = Price("p99 of reads or writes, whichever is slower, ms", "latency")
UNANSWERED: Final = Price(
    "calls under faults that were not acknowledged, %", "availability under faults", share=True
)


def trade_off(points: Sequence[Point], price: Price, what: str) -> str:
    """Points with what is known of their intervals. A line joins the best; named are those on it, and the cheapest that is linearizable."""
    front = pareto([(point.price, point.stale) for point in points])
    whole = sorted((point.price, point.stale) for point in points if point.whole)
    figure, axes = canvas(3.4)
    scale = 100 if price.share else 1
    for x, y in dict.fromkeys((point.price, point.stale) for point in points):
        here = [point for point in points if (point.price, point.stale) == (x, y)]
        colour = "#030303" if all(point.whole for point in here) else "#050505"
        bars = {"xerr": arms(x, here[0].price_between, scale), "yerr": arms(y, here[0].stale_between, 100)}
        axes.errorbar(
            [scale * x], [100 * y], **bars, fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.55, zorder=1
        )
        axes.scatter(
            [scale * x],
            [100 * y],
            s=26,
            c=colour if colour == "#030303" else "none",
            edgecolors=colour,
            linewidths=1.1,
            zorder=2,
        )
        if (x, y) in front or (x, y) in whole[:1]:
            more = f" and {len(here) - 1} more" if len(here) > 1 else ""
            axes.annotate(
                f"{here[0].name}{more}",
                (scale * x, 100 * y),
                textcoords="offset points",
                xytext=(5, 4),
                fontsize=7.5,
            )
    axes.plot(
        [scale * x for x, _ in front], [100 * y for _, y in front], color="#020202", linewidth=1.2, zorder=0
    )
    _scaled(axes, price, most=max(point.stale for point in points))
    return written(
        figure,
        axes,
        price.axis,
        f"Chart-{price.told}-{what} of {price.told} against stale reads, with 95 % intervals",
    )


def _scaled(axes: Any, price: Price, most: float) -> None:
    """Plain numbers at the ticks; shares of stale reads from none to all on one axis."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    if price.share:
        axes.set_xlim(left=0)
        axes.margins(x=0.15)
    else:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_yscale("symlog", linthresh=0.01)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_ylim(-0.002, max(0.02, 200 * most))
    axes.set_ylabel("stale reads, %")


def arms(value: float, between: tuple[float | None, float | None], scale: float = 1) -> list[list[float]]:
    """How far an interval reaches below and above; not at all to an end that is not known."""
    low, high = between
    below, above = 0.0 if low is None else value - low, 0.0 if high is None else high - value
    return [[scale * max(0.0, below)], [scale * max(0.0, above)]]


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those that no other point beats on both numbers, by the first of them."""
    front: list[tuple[float, float]] = []
    for point in sorted(set(points)):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front
