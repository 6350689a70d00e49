"""The matrix as one HTML file: heat maps, a chart of price against staleness, the table, the shortest example of each violation.

The colour of a cell says how many of the levels it kept; the words in it say which, so that nothing is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.hosted import SIM
from harness.matrix.grid import Matrix
from harness.matrix.merge import Row
from harness.matrix.tables import (
    HEADER,
    OPEN,
    between,
    broken,
    cells_of,
    grids,
    kept,
    percent_between,
    promised,
    surprises,
    warmth,
)
from harness.report import words
from harness.report.page import embedded, render
from harness.report.plots import Point, trade_off
from harness.ways import Ways

EXAMPLES_MAX = 60


def matrix_page(matrix: Matrix, rows: Sequence[Row], findings: Mapping[str, Ways], command: str) -> str:
    """The page. `findings` has, by the anchor of a row, how its violation is seen again."""
    from markupsafe import Markup

    numbers = [row.numbers for row in rows]
    made = [row for row in rows if row.numbers["runs"]]
    return render(
        "matrix.html.j2",
        {
            "title": f"{matrix.name}: which configuration keeps what",
            "summary": summary(rows),
            "grids": [grid_parts(grid) for grid in grids(matrix, rows)],
            "header": HEADER,
            "open_end": OPEN,
            "environments": [
                (name, [(cells_of(row), anchor(row)) for row in made if row.cell.environment == name])
                for name in matrix.environments
            ],
            "surprises": [row.name for row in surprises(rows)],
            "promises": promised(rows),
            "examples": list(examples(made, findings)),
            "charts": [
                (name, Markup(trade_off(points(made, name), name)))
                for name in matrix.environments
                if points(made, name)
            ],
            "refused": {row.cell.configuration: row.cell.refused for row in rows if row.cell.plan is None},
            "command": command,
            "data": embedded({"matrix": matrix.name, "cells": numbers}),
        },
    )


def summary(rows: Sequence[Row]) -> str:
    """How much was looked at, in one sentence."""
    made = [row for row in rows if row.numbers["runs"] and row.world == SIM]
    runs = sum(row.numbers["runs"] for row in made)
    whole = sum(warmth(row) == 4 for row in made)
    hosted = [row for row in rows if row.numbers["runs"] and row.world != SIM]
    beside = f" On hosts {words.plural(sum(row.numbers['runs'] for row in hosted), 'run')} of {words.plural(len(hosted), 'cell')} beside." if hosted else ""  # fmt: skip
    return (
        f"{words.plural(runs, 'run')} of {words.plural(len(made), 'cell')}; in {whole:,} no run refuted linearizability. "
        f"Kept means: not refuted in these runs.{beside}"
    )


def anchor(row: Row) -> str:
    """The id of the cell's example, empty if it has none."""
    return row.anchor if row.example is not None else ""


def grid_parts(grid: Any) -> dict[str, Any]:
    """A heat map for the template."""
    return {
        "title": grid.title,
        "down": grid.down,
        "columns": grid.columns,
        "rows": [
            (label, [{"warmth": warmth(row), "kept": kept(row), "more": tell(row), "anchor": anchor(row)} for row in cells])
            for label, cells in grid.rows
        ],
    }  # fmt: skip


def tell(row: Row) -> str:
    """What else a cell of a heat map says."""
    if not row.numbers["runs"]:
        return ""
    stale = row.numbers["stale"]
    told = [f"broke {broken(row)}"] if row.weakest_refuted else []
    if stale and stale["count"]:
        told.append(
            f"stale {percent_between(stale)}, half of them by {between(row.numbers['behind_ms']['p50'])} ms or more"
        )
    return "; ".join(told)


def points(rows: Sequence[Row], environment: str) -> list[Point]:
    """Of each cell that has them the slower p99 and the share of stale reads. Of a share of none the bound is not drawn: it would hide the others."""
    found = []
    for row in rows:
        numbers, stale = row.numbers, row.numbers["stale"]
        latencies = {f: numbers["latency_ms"][f]["p99"] for f in ("read", "write")}
        here = row.world == SIM and row.cell.environment == environment
        if not here or None in latencies.values() or stale is None:
            continue
        slower = max(latencies, key=lambda f: float(latencies[f]))
        sure = numbers["latency_between_ms"][slower]["p99"]
        ends = (stale["low"], stale["high"]) if stale["count"] else (None, None)
        found.append(Point(row.cell.configuration, latencies[slower], float(stale["share"]), warmth(row) == 4, (sure["low"], sure["high"]), ends))  # fmt: skip
    return found


def examples(rows: Sequence[Row], findings: Mapping[str, Ways]) -> Iterator[dict[str, Any]]:
    """The shortest proof of each cell that broke something."""
    for row in [row for row in rows if row.example is not None][:EXAMPLES_MAX]:
        assert row.example is not None
        yield {
            "anchor": anchor(row),
            "name": row.name,
            "seed": row.example.seed,
            "broken": broken(row),
            "proof": words.sentence(row.example.proof or row.example.reason),
            "drawing": row.example.drawing,
            "ways": findings.get(row.anchor),
        }
