"""Merging a row's runs: one violation spoils a guarantee, a run without a verdict proves none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run_folders

from checkers.verdict import Verdict
from harness.demo import Ran, Row, merge_row, quantile
from harness.plan import FaultPlan, Plan
from harness.report.folder import read_folder

KEYS = {
    "name", "mode", "n", "r", "w", "clocks", "verdicts", "strongest", "stale_fraction", "worst_staleness_ms",
    "worst_staleness_versions", "p50_ms", "p99_ms", "availability", "core",
}  # fmt: skip


def row(keeps: str, breaks: str | None, **plan: Any) -> Row:
    options = {"mode": "quorum", "n": 3, "r": 2, "w": 2}
    base = Plan(
        name="d",
        workload="register",
        system="kvstore",
        claims=("linearizable",),
        system_options=options,
        **plan,
    )
    return Row(name="quorum", plan=base, seeds=(1, 2), keeps=keeps, breaks=breaks, about="")


def ran(folder: Path, outcome: str, seed: int = 1) -> Ran:
    read = read_folder(run_folders.make(folder / f"{outcome}{seed}", outcome, ops=5))
    return Ran(
        seed=seed,
        folder=read.folder,
        results=read.results,
        latencies_ms=(1.0, 2.0, 3.0),
        core=tuple(read.core_bars),
    )


def test_one_violation_spoils_the_row(tmp_path: Path) -> None:
    shown = merge_row(row("regular", "linearizable"), [ran(tmp_path, "valid"), ran(tmp_path, "invalid", 2)])
    assert set(shown.table) == KEYS
    assert shown.table["verdicts"] == {"linearizable": "invalid", "regular": "valid", "integrity": "valid"}
    assert shown.table["strongest"] == "regular"
    assert shown.sentence == run_folders.SENTENCE
    assert shown.best.seed == 2
    assert shown.table["core"] == shown.best.results["core"]["ops"]
    assert shown.table["stale_fraction"] == pytest.approx(8 / 602)
    assert (shown.table["p50_ms"], shown.table["p99_ms"]) == (2.0, 3.0)


def test_what_must_hold_and_what_must_break(tmp_path: Path) -> None:
    good, bad, dark = (ran(tmp_path, outcome) for outcome in ("valid", "invalid", "unknown"))
    assert merge_row(row("regular", "linearizable"), [bad]).as_promised is Verdict.VALID
    assert merge_row(row("regular", "linearizable"), [good]).as_promised is Verdict.UNKNOWN
    assert merge_row(row("linearizable", None), [bad]).as_promised is Verdict.INVALID
    assert merge_row(row("linearizable", None), [good]).as_promised is Verdict.VALID
    assert merge_row(row("integrity", None), [dark]).as_promised is Verdict.UNKNOWN


def test_a_run_without_a_verdict_keeps_nothing(tmp_path: Path) -> None:
    shown = merge_row(row("integrity", None), [ran(tmp_path, "valid"), ran(tmp_path, "unknown", 2)])
    assert shown.table["strongest"] is None
    assert shown.table["core"] is None


def test_clocks_are_told_from_the_plan() -> None:
    assert row("integrity", None).clocks == "synchronised"
    assert row("integrity", None, faults=(FaultPlan(kind="clock"),)).clocks == "skewed"


def test_quantiles_are_nearest_rank() -> None:
    values = [float(value) for value in range(1, 101)]
    assert [quantile(values, q) for q in (0.5, 0.99)] == [50.0, 99.0]
    assert quantile([], 0.5) is None
