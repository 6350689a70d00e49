"""`quorate demo`: run the rows, print the table, write the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checkers.verdict import merge
from harness import demo
from harness.cli.console import STYLES, emit, out, say, waiting
from harness.report import words, write_comparison
from harness.report.comparison import staleness_words

TITLE = "Which configurations keep their promise?"


def show_demo(folder: Path, *, json: bool) -> int:
    """Run it; the exit status says whether every row did what it is there to show."""
    rows = demo.load_rows()
    runs = sum(len(row.seeds) for row in rows)
    with waiting(f"{len(rows)} configurations, {runs} simulated runs under faults", quiet=json) as tick:
        ran = demo.run_all(rows, folder, lambda done, of, what: tick(done / of, f"{done}/{of} {what}"))
    shown = list(demo.merge_all(rows, ran))
    target = folder / "demo"
    report = write_comparison(
        target, [one.for_page(target) for one in shown], title=TITLE, summary=summary(rows, runs)
    )
    if json:
        emit({"rows": [one.table for one in shown], "report": str(report)})
    else:
        print_table(shown)
        print_surprises(shown)
        say(f"report: {report}")
    return merge(one.as_promised for one in shown).exit_status


def summary(rows: Sequence[demo.Row], runs: int) -> str:
    """What was run, in one sentence."""
    seconds = max(row.plan.time_limit_s for row in rows)
    return (
        f"{len(rows)} configurations, {runs} runs of {seconds:g} virtual seconds in the simulator with fixed seeds, under partitions, pauses and "
        "crashes. A configuration keeps a guarantee if no run broke it; one violation breaks it, and the operations that prove it are drawn below."
    )


WIDE = 120  # columns a terminal needs for the sentences to stand in the table; below that they follow it


def print_table(shown: Sequence[demo.Shown]) -> None:
    """The table for people."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console = out()
    wide = console.width >= WIDE
    table = Table(
        box=box.SIMPLE_HEAD, title=TITLE, title_justify="left", title_style="bold", pad_edge=False, show_lines=wide
    )  # fmt: skip
    table.add_column("configuration", no_wrap=wide)
    table.add_column("strongest\nclaim kept", no_wrap=True)
    if wide:
        table.add_column("violation found", ratio=1, min_width=30)
    for heading in ("stale\nreads", "worst\nstaleness", "p50 / p99\nms", "available in\npartition"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in shown:
        table.add_row(*cells(one, wide=wide))
    console.print(table)
    if not wide:
        for one in shown:
            console.print(Text.assemble((f"{one.row.name}: ", "bold"), one.sentence))


def cells(one: demo.Shown, *, wide: bool) -> list[Any]:
    """One row of the table."""
    from rich.text import Text

    row = one.table
    kept = row["strongest"]
    style = STYLES["valid" if kept == "linearizable" else "unknown" if kept else "invalid"]
    return [
        row["name"],
        Text(kept or "none", style=style),
        *([Text(one.sentence)] if wide else []),
        words.percent(row["stale_fraction"]),
        staleness_words(row).replace(", ", "\n"),
        f"{words.number(row['p50_ms'])} / {words.number(row['p99_ms'])}",
        words.percent(row["availability"]),
    ]


def print_surprises(shown: Sequence[demo.Shown]) -> None:
    """The rows that did not do what they are there to show."""
    for one in shown:
        if one.as_promised.value != "valid":
            breaks = f" and to break {one.row.breaks}" if one.row.breaks else ""
            say(
                f"{one.row.name}: not as expected; it is there to keep {one.row.keeps}{breaks}, and gave {dict(one.table['verdicts'])}"
            )
