"""What a fault did to the clients, on histories whose answers are counted by hand."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run_folders

from harness.report import write_report
from harness.report.folder import Bar, read_folder
from harness.report.outages import IN_A_ROW, Outage, outages, runs_of_ok, silence_ns
from harness.report.rows import outage_rows


def calls(*outcomes: str) -> list[Bar]:
    """One call each 10 ns, answered 4 ns later."""
    return [
        Bar(2 * at, 0, "n1", "read", 1, 7, outcome, 10 * at, None if outcome == "info" else 10 * at + 4)
        for at, outcome in enumerate(outcomes)
    ]


def fault(start: int, end: int | None, kind: str = "kill", *, bit: bool = True) -> dict[str, Any]:
    return {"kind": kind, "start_ns": start, "end_ns": end, "bit": bit, "nodes": ["n1"]}


def test_what_a_fault_did_is_counted() -> None:
    bars = calls(*["ok"] * 10, "fail", "info", "ok", "fail", "fail", *["ok"] * 25)
    [found] = outages(bars, [fault(100, 140)], 400)
    # calls at 100, 110, 120, 130; one answer within, at 124; the last failure is called at 140, then all is well
    assert found == Outage(0, 4, 1, 24, 10, ())


def test_a_silence_counts_from_the_edges_of_the_fault() -> None:
    assert silence_ns([5, 20, 90], 10, 80) == 60
    assert silence_ns([], 10, 80) == 70
    assert silence_ns([10, 11, 79], 10, 80) == 68


def test_well_again_means_many_in_a_row() -> None:
    bars = calls(*["ok"] * (IN_A_ROW - 1), "fail", *["ok"] * (IN_A_ROW + 1))
    assert runs_of_ok(bars) == [IN_A_ROW, IN_A_ROW + 1]
    assert runs_of_ok(calls(*["ok"] * (IN_A_ROW - 1))) == []


def test_runs_of_ok_are_those_that_a_plain_look_finds() -> None:
    rng = random.Random(3)
    for _ in range(50):
        bars = calls(*("ok" if rng.random() < 0.9 else "info" for _ in range(200)))
        plain = [at for at in range(200 - IN_A_ROW + 1) if all(bar.outcome == "ok" for bar in bars[at : at + IN_A_ROW])]  # fmt: skip
        assert runs_of_ok(bars) == plain


@pytest.mark.parametrize("end", [None, 380])
def test_what_did_not_recover_is_not_said_to_have(end: int | None) -> None:
    [found] = outages(calls(*["ok"] * 40), [fault(100, end)], 400)
    assert found.recovered_ns is None


def test_what_went_on_beside_is_named_and_what_did_not_bite_is_left_out() -> None:
    faults = [
        fault(100, 200),
        fault(150, 300, "partition"),
        fault(120, 350, "pause", bit=False),
        fault(210, 220, "clock"),
    ]
    found = list(outages(calls(*["ok"] * 60), faults, 600))
    assert [each.fault for each in found] == [0, 1, 3]
    assert [each.beside for each in found] == [("partition",), (), ("partition",)]


def test_a_fault_without_a_call_has_no_share(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", ops=200)
    (folder / "faults.jsonl").write_text(json.dumps(fault(20_000_000, 20_000_001)) + "\n")
    [row] = outage_rows(read_folder(folder))
    assert row[:6] == ("kill", "n1", "0.0 s", "0", "–", "0.0 ms")


def test_it_stands_on_the_page(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run")
    html = write_report(folder).read_text()
    run = read_folder(folder)
    [partition, kill] = outage_rows(run)
    assert (partition[0], partition[2], kill[0], kill[2]) == ("partition", "10.0 s", "kill", "18.0 s")
    for cell in (*partition, *kill):
        assert f">{cell}</td>" in html
