"""The page of the seeded bugs: tables and curves of the sweeps that `seeded_bugs.py` has kept, and what they say of the strategies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from harness.runs import write_text
from harness.search.censored import left_at, survival
from harness.search.detection import Name
from harness.search.sweep_file import Kept, Limits
from harness.search.sweep_table import BASE, beyond, cells, compared, rows, shown_middle, times_of

HEAD = """# Seeded bugs

Written by `benchmarks/seeded_bugs.py --page`; not by hand.

Each mistake of `kvstore.bugs` that has a plan in `examples/bugs`, under each strategy of `search.md`: simulated runs and processor time until the checker that is
meant to convict it does, and the same run without the mistake is clean. A cell is the median and the 90th percentile of its sweeps, by the estimator
of Kaplan and Meier; `>` where the sweeps ended before so many had found; a dash where the strategy cannot be used on the plan. The first seeds of two sweeps of a cell lie 100,000 apart.
"""
STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "quorate", "font.family": "sans-serif", "font.size": 8.5,
    "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip
SHORTEST_S = 0.01
COLUMNS = 3


@dataclass(frozen=True)
class Page:
    """What is shown: the bugs with their checkers, the strategies, the sweeps, what is aimed at."""

    bugs: Mapping[str, str]
    strategies: Sequence[str]
    kept: Mapping[Name, Kept]
    target: Limits
    unplanned: Mapping[str, str]  # bugs without a plan, and what convicts them

    def text(self, picture: str) -> str:
        """The page, in Markdown."""
        return "\n".join([HEAD, *self.made(), "", *self.tables(picture), "", *self.aims(), ""])

    def made(self) -> Iterator[str]:
        """How many sweeps there are, how long they were, and of which code."""
        of_each = "; ".join(map(self._amount, self.strategies))
        versions = ", ".join(f"`{each}`" for each in sorted({each.version for each in self.kept.values()}))
        cpu_s = sum(each.sweep.cpu_s for each in self.kept.values())
        blamed = sum(each.sweep.blamed for each in self.kept.values())
        crashes = sum(each.sweep.crashes for each in self.kept.values())
        yield (
            f"{len(self.kept):,} sweeps, {cpu_s:,.0f} s of processor time. How many a cell, and when one that finds nothing ends: {of_each}. "
            f"The store and its loads were last changed by {versions}. Runs that broke their claim without the "
            f"mistake as well: {blamed}; runs that crashed: {crashes}."
        )

    def _amount(self, strategy: str) -> str:
        """`seeds` 30, after 300 s of processor time or 200 runs."""
        made = [each for name, each in self.kept.items() if name[1] == strategy]
        of_cell = sorted({len(one) for one in cells(self.kept, self.bugs, strategy).values() if one})
        ended = [each for each in made if not each.sweep.broken] or made
        limits = sorted({(each.limits.cpu_s, each.limits.runs) for each in ended})
        limits = (
            limits if ended is not made else limits[-1:]
        )  # all found: none was made again for a higher one
        ends = ", or ".join(f"{cpu_s:g} s of processor time or {runs} runs" for cpu_s, runs in limits)
        return f"`{strategy}` {' to '.join(map(str, of_cell[:: max(1, len(of_cell) - 1)]))}, after {ends}"

    def tables(self, picture: str) -> Iterator[str]:
        """Strategies, curves, runs, seconds."""
        yield "## Strategies\n"
        yield from compared(self.kept, self.bugs, self.strategies)
        yield (
            "\n*The median bug*: half of the bugs are found as fast by half of the sweeps. *Findings in the same time*: beside `seeds`, bug by bug, over the "
            "sweeps that both have, by processor time (stratified log-rank test, the ratio by Peto's estimate, 95 %). *Pairs*: two sweeps from the "
            "same seed, by runs; those that tell nothing are left out (sign test). p is corrected for the number of strategies (Holm). "
            "The first 8 runs of `novelty` and `lineage` are runs of `seeds`. A quantile beyond the time of most sweeps rests on the few that lasted longer.\n"
        )
        yield f"![The share not yet found over processor time, for each strategy]({picture})\n"
        yield "A thin line is a bug, the thick one the mean of all, the dashed one that of `seeds` over the same bugs.\n"
        yield "## Runs\n"
        yield from rows(self.kept, self.bugs, self.strategies, "runs")
        yield "\n## Seconds of processor time\n"
        yield from rows(self.kept, self.bugs, self.strategies, "cpu_s")
        for bug, judge in self.unplanned.items():
            yield f"\n`{bug}` has no plan; it is convicted by {judge}."

    def aims(self) -> Iterator[str]:
        """What is aimed at, under the default strategy and under any."""
        yield "## The targets\n"
        column = [each for each in cells(self.kept, self.bugs, BASE).values() if each]
        yield f"- The median bug with `{BASE}`, which is the default, in ≤ 30 s on one core: {shown_middle(column)}."
        limits = f"{self.target.runs} runs and {self.target.cpu_s / 60:g} minutes"
        missed, unsure = beyond(self.kept, self.bugs, BASE, self.target)
        sure = len(self.bugs) - len(missed) - len(unsure)
        yield f"- Within {limits}, with `{BASE}`: {sure} of {len(self.bugs)} by every sweep of theirs."
        for words, names in (
            ("Not by each sweep", missed),
            ("Not known, as a sweep ended before", unsure),
        ):
            if names:
                yield f"  {words}: {', '.join(f'`{name}`' for name in names)}."
        never = [
            bug for bug in self.bugs
            if not any(self.kept[name].sweep.broken for name in self.kept if name[0] == bug)
        ]  # fmt: skip
        yield f"- Found by no sweep of any strategy: {', '.join(f'`{bug}`' for bug in never) or 'none'}."

    def curves(self) -> str:
        """A panel for each strategy, as SVG."""
        with rc_context(STYLE):
            height = -(-len(self.strategies) // COLUMNS)
            figure = Figure(figsize=(9.6, 2.4 * height), layout="constrained")
            panels = figure.subplots(height, COLUMNS, sharex=True, sharey=True, squeeze=False)
            for place, axes in enumerate(panels.flat):
                if place < len(self.strategies):
                    self._panel(axes, self.strategies[place])
                else:
                    axes.set_visible(False)
            figure.supxlabel("seconds of processor time")
            figure.supylabel("share not yet found")
            return _svg(figure)

    def _panel(self, axes: Any, strategy: str) -> None:
        end_s = max(each.sweep.cpu_s for each in self.kept.values())
        for curve in self._steps(strategy).values():
            xs = [SHORTEST_S, *(at for at, _ in curve), end_s]
            left = [1.0, *(float(share) for _, share in curve)]
            axes.plot(
                xs, [*left, left[-1]], drawstyle="steps-post", color="#7a8ca3", linewidth=0.5, alpha=0.6
            )
        axes.plot(*self._mean(strategy, strategy), drawstyle="steps-post", color="#0b5cad", linewidth=2)
        if strategy != BASE and BASE in self.strategies:
            axes.plot(
                *self._mean(BASE, strategy),
                drawstyle="steps-post",
                color="#333333",
                linewidth=1,
                linestyle="--",
            )
        axes.set_title(strategy, fontsize=9.5)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_ylim(-0.02, 1.02)
        axes.grid(axis="y", linewidth=0.4)

    def _steps(self, strategy: str) -> dict[str, list[tuple[float, Fraction]]]:
        column = cells(self.kept, self.bugs, strategy)
        return {bug: survival(times_of(each, "cpu_s")) for bug, each in column.items() if each}

    def _mean(self, strategy: str, beside: str) -> tuple[list[float], list[float]]:
        """Over the bugs on which the other can be used, too."""
        same = self._steps(beside)
        curves = [curve for bug, curve in self._steps(strategy).items() if bug in same]
        ends = [SHORTEST_S, *sorted({at for curve in curves for at, _ in curve})]
        return ends, [float(sum(left_at(curve, at) for curve in curves) / len(curves)) for at in ends]


def _svg(figure: Figure) -> str:
    file = StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def write_page(page: Page, path: Path) -> None:
    """The page, and its picture beside it."""
    picture = path.with_suffix(".svg")
    write_text(picture, page.curves())
    write_text(path, page.text(picture.name))
