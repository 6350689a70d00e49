"""`quorate matrix`: make the runs that are missing, merge them, and write matrix.md, matrix.html and cells.json."""

from __future__ import annotations

import json as json_text
import re
import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from harness.cli.console import BROKEN, emit, out, readable, say, stoppable, waiting
from harness.cli.search import UNKNOWN, budgeted
from harness.cli.workers import workers
from harness.hosted import SIM, cleaned
from harness.matrix.grid import load_matrix
from harness.matrix.measure import Measured
from harness.matrix.merge import Row
from harness.matrix.page import matrix_page, summary
from harness.matrix.sweep import Sweep
from harness.matrix.tables import HEADER, cells_of, markdown, promised
from harness.pool import Jobs
from harness.runs import alone, write_text

SHOWN = (0, 1, 2, 3, 4, 7, 8, 9, 10, 11)  # the columns that a terminal has room for
BRIEF = (8, 9, 10, 11)  # and of these without the brackets


def run_matrix(
    path: Path, seeds: int | None, budget: str, jobs: int, ray: str | None, folder: Path, *, json: bool
) -> int:
    """Sweep and write. Ctrl-C ends it as a budget does, whenever it comes: the folder is whole, and the same command goes on."""
    limit_s = budgeted(budget)
    with stoppable(patient=True) as stopping, ExitStack() as held:
        with waiting(f"reading {path.name}", quiet=json):
            matrix = load_matrix(readable(path), seeds)
            held.enter_context(alone(folder))
            sweep = Sweep(matrix, folder)
        if (hosted := sweep.matrix.hosted) is not None:
            hosted.place.refuse(max(cell.plan.nodes for cell in sweep.matrix.cells if cell.plan is not None))
        begin_s = time.monotonic()
        plans = [cell.plan for cell in sweep.matrix.cells if cell.plan is not None]
        with workers(jobs, ray, plans) as pool, cleaned(bool(sweep.todo_on_hosts())):
            try:
                with stopping.at_once():
                    make(sweep, pool, lambda: time.monotonic() - begin_s > limit_s, quiet=json)
            except KeyboardInterrupt:
                say(f"stopped; the same command goes on after run {len(sweep.records) + len(sweep.hosted)}")
        rows = sweep.rows()
        command = f"quorate matrix {shlex.quote(str(path))}" + (f" --seeds {seeds}" if seeds else "")
        written = write(sweep, rows, command)
    missing = max(0, sweep.total - len(sweep.records)) + len(sweep.todo_on_hosts())
    if json:
        emit({"matrix": sweep.matrix.name, "runs": len(sweep.records) + len(sweep.hosted), "missing": missing, "files": written, "cells": [row.numbers for row in rows]})  # fmt: skip
    else:
        show(rows)
        say(
            f"{summary(rows)}{f' {missing:,} runs are missing.' if missing else ''}\nreport: {written['html']}"
        )
    return status_of(rows, missing)


def make(sweep: Sweep, jobs: Jobs, stop: Callable[[], bool], *, quiet: bool) -> None:
    """The simulated runs, then those on hosts."""
    name, hosts = sweep.matrix.name, len(sweep.todo_on_hosts())
    told_of(f"{name}: {len(sweep.matrix.cells)} cells", sweep.total - len(sweep.records), partial(sweep.go, jobs, stop), quiet)  # fmt: skip
    if hosts and not stop():
        told_of(f"{name} on hosts", hosts, partial(sweep.go_on_hosts, jobs, stop), quiet)


def told_of(what: str, total: int, go: Callable[[Callable[[Measured], None]], None], quiet: bool) -> None:
    """So many runs, with an estimate of what is left of them."""
    made, begin_s = 0, time.monotonic()
    with waiting(what, quiet=quiet) as tick:

        def tell(_: Measured) -> None:
            nonlocal made
            made += 1
            left_s = (total - made) * (time.monotonic() - begin_s) / made
            tick(made / total, f"{made:,} of {total:,} runs, {left_s:.0f} s left")

        go(tell)


def write(sweep: Sweep, rows: Sequence[Row], command: str) -> dict[str, str]:
    """The files, and where they are."""
    for row in rows:
        if row.world == SIM and row.slowest is not None:
            sweep.supporting(row.cell, row.slowest)
    findings = {row.anchor: sweep.finding(row.cell, row.example) for row in rows if row.example is not None}
    files = {
        "markdown": (sweep.folder / "matrix.md", markdown(sweep.matrix, rows, command)),
        "html": (sweep.folder / "matrix.html", matrix_page(sweep.matrix, rows, findings, command)),
        "json": (sweep.folder / "cells.json", json_text.dumps([row.numbers for row in rows], indent=1) + "\n"),
    }  # fmt: skip
    for path, text in files.values():
        write_text(path, text)
    return {name: str(path) for name, (path, _) in files.items()}


def status_of(rows: Sequence[Row], missing: int) -> int:
    """A matrix asks: 0 if every cell has an answer, 1 if a promise of the documentation is broken, 255 after a crash or trouble with hosts, 2 if something is missing or unknown."""
    if any(promise["broken"] for row in rows for promise in row.numbers["promises"]):
        return 1
    if any(row.numbers["crashes"] or row.numbers["infrastructure"] for row in rows):
        return BROKEN
    unknown = any(row.cell.plan is not None and not (row.strongest or row.weakest_refuted) for row in rows)
    return UNKNOWN if missing or unknown else 0


def without_brackets(text: str) -> str:
    """Numbers without their intervals."""
    return re.sub(r" \([^)]*\)", "", text)


def show(rows: Sequence[Row]) -> None:
    """For a person."""
    from rich.table import Table

    console = out()
    for environment in dict.fromkeys(row.cell.environment for row in rows):
        table = Table(*(HEADER[place] for place in SHOWN), title=environment, title_justify="left")
        for row in rows:
            if row.cell.environment == environment and row.cell.plan is not None:
                cells = cells_of(row)
                table.add_row(*(without_brackets(cells[place]) if place in BRIEF else cells[place] for place in SHOWN))  # fmt: skip
        console.print(table)
    broken = [cells for row in rows for cells in promised([row]) if cells[-1].startswith("broken")]
    for promise, claim, where, verdict in broken:
        console.print(f"{verdict}: {promise}, {claim}; {where}", markup=False, soft_wrap=True)
