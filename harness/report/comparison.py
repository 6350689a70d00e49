"""One page for several configurations side by side: the table, and the proof of each violation. And one for two runs (`versus`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.report import versus, words
from harness.report.drawing import lanes
from harness.report.folder import Bar
from harness.report.page import embedded, render
from harness.runs import write_text


def write_comparison(folder: Path, rows: Sequence[Mapping[str, Any]], *, title: str, summary: str) -> Path:
    """Write `report.html` into the folder and return its path.

    A row holds what `demo --json` prints of it, and besides: `about` one sentence on the configuration, `sentence` the
    violation, `bars` the operations of the core (list of Bar), `link` and `command` for its run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.html"
    shown = [row_parts(row, number) for number, row in enumerate(rows)]
    plain = [{key: value for key, value in row.items() if key != "bars"} for row in rows]
    write_text(
        path,
        render(
            "comparison.html.j2",
            {"title": title, "summary": summary, "rows": shown, "data": embedded({"rows": plain})},
        ),
    )
    return path


def row_parts(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """One row in words."""
    from markupsafe import Markup

    bars: Sequence[Bar] = row.get("bars") or ()
    sentence = words.sentence(row.get("sentence") or "No violation was found")
    return {
        "anchor": re.sub(r"[^a-z0-9]+", "-", f"row-{number}-{row['name']}".lower()).strip("-"),
        "name": row["name"],
        "strongest": row["strongest"],
        "short": sentence,
        "stale": words.percent(row["stale_fraction"]),
        "worst": staleness_words(row),
        "latency": f"{words.number(row['p50_ms'])} / {words.number(row['p99_ms'])}",
        "available": words.percent(row["availability"]),
        "verdicts": list(row["verdicts"].items()),
        "about": row.get("about", ""),
        "sentence": sentence,
        "svg": Markup(
            lanes(bars, ident=f"row-{number}", alternative=f"{len(bars)} operations in lanes. {sentence}")
        ),
        "link": row.get("link"),
        "command": row.get("command"),
    }


def staleness_words(row: Mapping[str, Any]) -> str:
    """`12.5 ms, 3 versions`; a dash where no read was stale."""
    if not row.get("worst_staleness_ms"):
        return "–"
    versions = words.plural(row.get("worst_staleness_versions") or 0, "version")
    return f"{words.number(row['worst_staleness_ms'])} ms, {versions}"


def versus_html(found: Mapping[str, Any]) -> str:
    """`compared` of two runs as a page."""
    parts = {
        "title": versus.title(found),
        "runs": found["runs"],
        "changes": found["plan_changes"],
        "note": versus.NOTE,
        "news": versus.news(found),
    }
    tables = [
        ("What was claimed, and what was seen", versus.GUARANTEES, versus.guarantee_rows(found)),
        ("Numbers", versus.NUMBERS, versus.number_rows(found)),
    ]
    return render("versus.html.j2", {**parts, "tables": tables, "data": embedded(dict(found))})
