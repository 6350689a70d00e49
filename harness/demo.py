"""The demo: the same operations and faults against several configurations, side by side.

    rows.toml ─► (row, seed) pairs ─► a pool of processes, one simulated run each ─► merged by row ─► table, report, JSON

A row names a plan, the guarantee its configuration is there to *keep* and the one it is there to *break*. The demo
knows no store: an installed package registers its rows under the entry-point group `quorate.demos`, as a package that
holds `rows.toml` and the plans.

Merging over seeds: one violation makes the row's guarantee invalid; a run without a verdict makes it unknown.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

from checkers.verdict import Verdict, merge
from harness.plan import Plan, PlanError, parse_plan
from harness.report.folder import Bar, read_folder

LEVELS = ("linearizable", "regular", "integrity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A configuration and what it is there to show."""

    name: str
    plan: Plan
    seeds: tuple[int, ...]
    keeps: str
    breaks: str | None
    about: str

    @property
    def clocks(self) -> str:
        """`skewed` if the plan shifts clocks."""
        return "skewed" if any(fault.kind == "clock" for fault in self.plan.faults) else "synchronised"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What one run of a row gave; small enough to come back from another process."""

    seed: int
    folder: Path
    results: Mapping[str, Any]
    latencies_ms: tuple[float, ...]
    core: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A row after its runs. `table` is what `demo --json` prints of it."""

    row: Row
    table: Mapping[str, Any]
    sentence: str
    best: Ran
    as_promised: Verdict

    def for_page(self, report_folder: Path) -> dict[str, Any]:
        """The row as the comparison page wants it."""
        link = os.path.relpath(self.best.folder / "report.html", report_folder)
        return {
            **self.table, "about": self.row.about, "sentence": self.sentence, "bars": self.best.core,
            "link": link, "command": self.best.results.get("command"),
        }  # fmt: skip


def load_rows() -> list[Row]:
    """The rows of every installed demo. Raises PlanError when there are none."""
    rows: list[Row] = []
    for point in sorted(entry_points(group="quorate.demos"), key=lambda point: point.name):
        folder = files(import_module(point.value))
        for table in tomllib.loads(folder.joinpath("rows.toml").read_text())["row"]:
            plan = parse_plan(folder.joinpath(table["plan"]).read_text(), table["plan"])
            rows.append(
                Row(
                    name=table["name"],
                    plan=plan,
                    seeds=tuple(table["seeds"]),
                    keeps=table["keeps"],
                    breaks=table.get("breaks"),
                    about=table["about"],
                )
            )
    if not rows:
        raise PlanError(
            "no demo is installed; install quorate anew with `pip install --force-reinstall quorate`"
        )
    return rows


def run_one(plan: Plan, out: Path) -> Ran:
    """One simulated run, in whatever process this is."""
    from harness.runner import run

    outcome = run(plan, world="sim", out=out, progress=None, inventory=None)
    read = read_folder(outcome.folder)
    ended = (bar.end_ns - bar.start_ns for bar in read.bars if bar.outcome == "ok" and bar.end_ns is not None)
    return Ran(
        seed=plan.seed, folder=outcome.folder, results=read.results,
        latencies_ms=tuple(ns / 1e6 for ns in ended), core=tuple(read.core_bars),
    )  # fmt: skip


def run_all(rows: Sequence[Row], out: Path, progress: Callable[[int, int, str], None]) -> list[list[Ran]]:
    """Every row with every seed, on all cores; `progress(done, of, what)` after each."""
    work = [(number, replace(row.plan, seed=seed)) for number, row in enumerate(rows) for seed in row.seeds]
    found: list[list[Ran]] = [[] for _ in rows]
    context = multiprocessing.get_context("spawn")
    workers = min(os.cpu_count() or 1, len(work))
    with ProcessPoolExecutor(workers, mp_context=context, initializer=ignore_ctrl_c) as pool:
        futures: dict[Future[Ran], int] = {pool.submit(run_one, plan, out): number for number, plan in work}
        try:
            for done, future in enumerate(as_completed(futures), 1):
                number = futures[future]
                found[number].append(future.result())
                progress(done, len(work), f"{rows[number].name}, seed {found[number][-1].seed}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [sorted(ran, key=lambda one: one.seed) for ran in found]


def ignore_ctrl_c() -> None:
    """In a worker: Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def merge_row(row: Row, ran: Sequence[Ran]) -> Shown:
    """One row from its runs."""
    verdicts = {level: merge(verdict_of(one, level) for one in ran) for level in LEVELS}
    guilty = sorted((one for one in ran if one.core), key=lambda one: (len(one.core), one.seed))
    best = guilty[0] if guilty else ran[0]
    stale = [one.results.get("staleness") or {} for one in ran]
    latencies = sorted(latency for one in ran for latency in one.latencies_ms)
    options = row.plan.system_options
    table = {
        "name": row.name,
        "mode": options.get("mode"),
        "n": options.get("n"),
        "r": options.get("r"),
        "w": options.get("w"),
        "clocks": row.clocks,
        "verdicts": {level: verdict.value for level, verdict in verdicts.items()},
        "strongest": next((level for level in LEVELS if verdicts[level] is Verdict.VALID), None),
        "stale_fraction": share(sum(one.get("stale_reads") or 0 for one in stale), sum(one.get("reads") or 0 for one in stale)),
        "worst_staleness_ms": max((one.get("worst_staleness_ms") or 0.0 for one in stale), default=0.0),
        "worst_staleness_versions": max((one.get("worst_staleness_versions") or 0 for one in stale), default=0),
        "p50_ms": quantile(latencies, 0.50),
        "p99_ms": quantile(latencies, 0.99),
        "availability": mean([(one.results.get("availability") or {}).get("under_partitions") for one in ran]),
        "core": (best.results.get("core") or {}).get("ops") if guilty else None,
    }  # fmt: skip
    return Shown(
        row=row,
        table=table,
        sentence=violation(best, bool(guilty)),
        best=best,
        as_promised=promise_kept(row, verdicts),
    )


def verdict_of(one: Ran, level: str) -> Verdict:
    """The verdict on a level in one run. A run that ended without a verdict proves no level valid."""
    result = (one.results.get("levels") or {}).get(level)
    verdict = Verdict(result["verdict"]) if result else Verdict.UNKNOWN
    doubtful = one.results["outcome"] == Verdict.UNKNOWN.value
    return Verdict.UNKNOWN if doubtful and verdict is Verdict.VALID else verdict


def violation(best: Ran, found: bool) -> str:
    """The violation in one sentence, or that there was none."""
    if not found:
        doubt = best.results["outcome"] == Verdict.UNKNOWN.value
        return f"no verdict: {best.results.get('reason')}" if doubt else "no violation was found"
    return str((best.results.get("core") or {}).get("sentence") or best.results.get("reason"))


def promise_kept(row: Row, verdicts: Mapping[str, Verdict]) -> Verdict:
    """VALID: kept what it is there to keep and broke what it is there to break. UNKNOWN: the violation was not found."""
    if verdicts[row.keeps] is not Verdict.VALID:
        return verdicts[row.keeps]
    return Verdict.VALID if row.breaks is None or verdicts[row.breaks] is Verdict.INVALID else Verdict.UNKNOWN


def share(part: int, whole: int) -> float | None:
    """A fraction, or None of nothing."""
    return part / whole if whole else None


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of what was measured."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def quantile(ordered: Sequence[float], q: float) -> float | None:
    """The smallest value that at least this share of the values does not exceed (nearest rank)."""
    if not ordered:
        return None
    return round(ordered[max(0, -(-int(q * 100) * len(ordered) // 100) - 1)], 3)


def merge_all(rows: Sequence[Row], ran: Sequence[Sequence[Ran]]) -> Iterator[Shown]:
    """Every row, merged."""
    return (merge_row(row, some) for row, some in zip(rows, ran, strict=True))
