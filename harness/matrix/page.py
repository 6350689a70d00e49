"""The matrix as one HTML file: heat maps, a chart of price against staleness, the table, the shortest example of each violation.

The colour of a cell says how many of the levels it kept; the words in it say which, so that nothing is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.hosted import SIM
from harness.matrix.grid import Matrix
from harness.matrix.measure import ANY
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
from harness.report.trade_offs import LATENCY, UNANSWERED, Point, Price, trade_off
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
                (name, price.told, Markup(trade_off(points, price, name)))
                for name in matrix.environments
                for price, points in charts(made, name)
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


def charts(rows: Sequence[Row], environment: str) -> Iterator[tuple[Price, list[Point]]]:
    """What staleness may be held against: latency, and where faults bit, how much was not answered meanwhile."""
    here = [
        row
        for row in rows
        if row.world == SIM and row.cell.environment == environment and row.numbers["stale"]
    ]
    for price, of in ((LATENCY, latency_of), (UNANSWERED, unanswered_of)):
        found = [(row, of(row.numbers)) for row in here]
        if points := [point_of(row, *known) for row, known in found if known is not None]:
            yield price, points


def latency_of(numbers: Mapping[str, Any]) -> tuple[float, tuple[float | None, float | None]] | None:
    """The slower p99, and its interval; None if nothing was read, or nothing written."""
    latencies = {f: of["p99"] for f, of in numbers["latency_ms"].items()}
    if None in latencies.values():
        return None
    slower = max(latencies, key=lambda f: float(latencies[f]))
    sure = numbers["latency_between_ms"][slower]["p99"]
    return latencies[slower], (sure["low"], sure["high"])


def unanswered_of(numbers: Mapping[str, Any]) -> tuple[float, tuple[float | None, float | None]] | None:
    """The share of calls under faults that were not acknowledged, and its interval; None if none was called."""
    share = numbers["available_under"].get(ANY)
    return None if share is None else (1 - share["share"], (1 - share["high"], 1 - share["low"]))


def point_of(row: Row, price: float, between: tuple[float | None, float | None]) -> Point:
    """With its staleness. Of a share of none the bound is not drawn: it would hide the others."""
    stale = row.numbers["stale"]
    ends = (stale["low"], stale["high"]) if stale["count"] else (None, None)
    return Point(row.cell.configuration, price, float(stale["share"]), warmth(row) == 4, between, ends)


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
