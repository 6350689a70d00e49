"""A matrix: what a file may say, what a cell is worth, the same whatever the number of processes, and what the page shows."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from checkers import History
from checkers.op import MISSING, invoke
from checkers.verdict import Verdict
from harness.cli import status_of
from harness.matrix.grid import Cell, load_matrix
from harness.matrix.measure import Measured, lost_keys, measure
from harness.matrix.merge import Row, merge_cell
from harness.matrix.sweep import Sweep
from harness.matrix.tables import grids, markdown, surprises, warmth
from harness.plan import PlanError, load_plan
from tests.small_plans import modes_by_reads

PLAN = """
name = "base"
workload = "register"
claims = ["linearizable"]
nodes = 5
concurrency = 10
rate = 200
time_limit_s = 6
op_timeout_ms = 300
[system]
name = "kvstore"
n = 3
[options]
keys = 1
ops_per_key = 100000
[sim]
latency_ms = 10
"""
MATRIX = modes_by_reads(
    """[environments.calm]
[environments.partition]
faults = [{ kind = "partition", shape = "halves", start_s = 1.0, every_s = 4.0, for_s = 3.0 }]
""",
    seeds=2,
)


def files(folder: Path, matrix: str = MATRIX, plan: str = PLAN) -> Path:
    (folder / "plan.toml").write_text(plan)
    (folder / "matrix.toml").write_text(matrix)
    return folder / "matrix.toml"


def swept(path: Path, folder: Path, *, jobs: int = 1, stop_after: int = 10**9) -> Sweep:
    sweep = Sweep(load_matrix(path), folder)
    left = iter(range(stop_after - 1))
    sweep.go(jobs, lambda: next(left, None) is None, lambda record: None)
    return sweep


def test_every_combination_is_a_cell_and_a_refusal_is_one_too(tmp_path: Path) -> None:
    matrix = load_matrix(files(tmp_path))
    assert [cell.name for cell in matrix.cells[:4]] == [
        "mode=eventual r=1, calm", "mode=eventual r=2, calm", "mode=register r=1, calm", "mode=register r=2, calm"
    ]  # fmt: skip
    assert [cell.plan is None for cell in matrix.cells] == [False, False, True, False] * 2
    assert "needs majorities" in matrix.cells[2].refused
    plan = matrix.cells[5].plan
    assert plan is not None
    assert (plan.system_options["r"], plan.fault_kinds, plan.sim["latency_ms"]) == (2, ("partition",), 10)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('seeds = 2', 'sedes = 2', "unknown key 'sedes'; did you mean 'seeds'?"),
        ('seeds = 2', 'seeds = 0', "seeds = 0 is no number of runs of a cell; choose 1 to 1,000,000"),
        ('seeds = 2', 'seeds = "2"', "seeds must be given, as whole number, not '2'"),
        ('"system.r" = [1, 2]', '"system.r" = [1, 1]', 'axes."system.r" names a value twice'),
        ('"system.r" = [1, 2]', '"system.r" = 3', 'axes."system.r" is a list of values'),
        ('"system.r" = [1, 2]', '"sistem.r" = [1, 2]', "axes: sistem.r: no such key"),
        ('"system.r" = [1, 2]', '"system.q" = [1, 2]', "every cell is refused, the first with: .*option 'q'"),
        ("shape = ", "form = ", "environments.partition: unknown key 'form' in"),
        ("faults = [{", "fault = [{", "environments.partition: unknown key 'fault'; did you mean 'faults'?"),
        ('"plan.toml"', '"plane.toml"', "plane.toml: there is no such plan"),
        ('[axes]', '[axes', "matrix.toml:5:.*this is not TOML"),
    ],
)  # fmt: skip
def test_a_file_that_says_something_else_is_refused(
    before: str, after: str, says: str, tmp_path: Path
) -> None:
    assert before in MATRIX
    with pytest.raises(PlanError, match=says.replace("(", r"\(").replace("?", r"\?").replace("[", r"\[")):
        load_matrix(files(tmp_path, MATRIX.replace(before, after)))


@pytest.mark.slow
def test_any_number_of_processes_any_interruption_the_same_bytes(tmp_path: Path) -> None:
    path = files(tmp_path)
    whole = swept(path, tmp_path / "whole")
    assert len(whole.records) == whole.total == 12
    assert len(swept(path, tmp_path / "parts", jobs=2, stop_after=5).records) == 5
    with (tmp_path / "parts" / "runs.jsonl").open("ab") as file:
        file.write(b'{"cell": 2, "se')  # cut off by kill -9
    swept(path, tmp_path / "parts", jobs=2)
    assert (tmp_path / "parts/runs.jsonl").read_bytes() == (tmp_path / "whole/runs.jsonl").read_bytes()


def test_a_folder_is_of_one_matrix_and_damage_is_named(tmp_path: Path) -> None:
    path, folder = files(tmp_path), tmp_path / "out"
    Sweep(load_matrix(path), folder)
    head = b'{"cell": 0, "seed": 1, "reason": "", "outcome": '
    for line in (b'{"cell": "x"}', head + b'"fine"}', head + b'"valid", "levels": {"regular": "fine"}}', head + b'"valid", "more": ' + b"[" * 100_000):  # fmt: skip
        (folder / "runs.jsonl").write_bytes(line + b"\n")
        with pytest.raises(PlanError, match=r"runs.jsonl:1: no record of a run"):
            Sweep(load_matrix(path), folder)
    (folder / "runs.jsonl").write_text('{"cell": 5, "seed": 1, "outcome": "valid", "reason": ""}\n')
    with pytest.raises(PlanError, match="cell 5, seed 1, out of order"):
        Sweep(load_matrix(path), folder)
    (folder / "runs.jsonl").unlink()
    (tmp_path / "plan.toml").write_text(PLAN.replace("rate = 200", "rate = 100"))
    with pytest.raises(PlanError, match="holds the runs of another matrix"):
        Sweep(load_matrix(path), folder)


@pytest.mark.slow
def test_the_weak_cell_is_convicted_and_the_strong_one_is_not(tmp_path: Path) -> None:
    path = files(tmp_path)
    sweep = swept(path, tmp_path / "out")
    rows = [merge_cell(cell, sweep.of(cell)) for cell in sweep.matrix.cells]
    by_name = {row.cell.name: row for row in rows}
    weak, strong = by_name["mode=eventual r=1, partition"], by_name["mode=register r=2, partition"]
    assert weak.verdicts["linearizable"] is Verdict.INVALID
    assert weak.numbers["stale"]["share"] > 0.02
    assert weak.numbers["violations"]["linearizable"]["runs"] == 2
    assert strong.strongest == ("linearizable",)
    assert strong.numbers["stale"]["count"] == 0
    assert strong.numbers["available"]["share"] < weak.numbers["available"]["share"]
    assert strong.numbers["latency_ms"]["write"]["p50"] > weak.numbers["latency_ms"]["write"]["p50"]
    assert (warmth(strong), warmth(by_name["mode=register r=1, calm"])) == (4, -1)
    shown_again(sweep, weak)


def shown_again(sweep: Sweep, row: Row) -> None:
    """The plan of the row's example shows the same, byte for byte."""
    assert row.example is not None
    again = measure(row.cell.number, load_plan(sweep.finding(row.cell, row.example).plan))
    assert (again.proof, again.digest, again.claims) == (row.example.proof, row.example.digest, row.example.claims)  # fmt: skip


@pytest.mark.slow
def test_meeting_quorums_that_are_not_linearizable_are_called_a_surprise(tmp_path: Path) -> None:
    plan = PLAN.replace("n = 3", "n = 3\nr = 2\nw = 2").replace("rate = 200", "rate = 400").replace("latency_ms = 10", "latency_ms = 20")  # fmt: skip
    matrix = 'name = "m"\nplan = "plan.toml"\nseeds = 4\n[axes]\n"system.mode" = ["quorum", "register"]\n[environments.crash]\nfaults = [{kind = "kill", targets = "minority", start_s = 1.0, every_s = 2.5, for_s = 1.0}]'
    sweep = swept(files(tmp_path, matrix, plan), tmp_path / "out", jobs=2)
    rows = [merge_cell(cell, sweep.of(cell)) for cell in sweep.matrix.cells]
    (surprise,) = surprises(rows)
    assert surprise.cell.name == "mode=quorum, crash"
    shown_again(sweep, surprise)
    page = markdown(sweep.matrix, rows, "the command")
    assert "In 1 cell every read quorum meets every write quorum" in page
    assert re.search(r"## R \+ W > N.*```text\n.*read", page, re.DOTALL)


def test_a_run_in_doubt_or_a_crash_acquits_nobody() -> None:
    cell = Cell(0, {}, "calm", load_plan(Path(__file__).parents[2] / "examples/register.toml"))
    fine = Measured(0, 1, "valid", "", {"linearizable": "valid", "regular": "valid"})
    assert merge_cell(cell, [fine, fine]).strongest == ("linearizable",)
    assert merge_cell(cell, [fine, Measured(0, 2, "crash", "it fell")]).strongest == ()
    doubt = Measured(0, 2, "unknown", "", {"linearizable": "unknown", "regular": "unknown"})
    assert merge_cell(cell, [fine, doubt]).strongest == ()
    bad = Measured(0, 3, "invalid", "", {"linearizable": "invalid", "regular": "valid"}, core_ops=3)
    row = merge_cell(cell, [fine, bad, Measured(0, 4, "crash", "it fell")])
    assert (row.weakest_refuted, row.strongest, row.example) == (("linearizable",), (), bad)
    assert row.numbers["crashes"] == 1
    assert merge_cell(cell, []).verdicts == {}


def test_a_crash_of_a_run_is_its_record() -> None:
    plan = load_plan(Path(__file__).parents[2] / "examples/register.toml")
    record = measure(7, plan.__class__(name="x", workload="nothing", system="kvstore", claims=("linearizable",)))  # fmt: skip
    assert (record.cell, record.outcome) == (7, "crash")
    assert "nothing" in record.reason


def history(*calls: tuple[int, str, Any, str, int, int]) -> History:
    """(process, f, value, outcome, call, return)"""
    events = []
    for process, f, value, outcome, start, end in calls:
        call = invoke(process, f, 0, value if f == "write" else MISSING, time_ns=start)
        done = {"ok": call.ok(value), "info": call.info("why"), "fail": call.fail("why")}[outcome]
        events += [(start, call), (end, replace(done, time_ns=end))]
    return History.from_ops(op for _, op in sorted(events, key=lambda event: event[0]))


@pytest.mark.parametrize(
    ("reads", "lost"),
    [
        ([(2, "read", 2, "ok", 100, 110)], (0, 1)),
        ([(2, "read", 1, "ok", 100, 110)], (1, 1)),
        ([(2, "read", None, "ok", 100, 110)], (1, 1)),
        ([(2, "read", 1, "ok", 100, 110), (3, "read", 2, "ok", 100, 110)], (0, 1)),  # one replica has it
        ([(2, "read", 1, "ok", 60, 70)], (0, 0)),  # the load was still going on
        ([(2, "read", 3, "ok", 100, 110)], (0, 1)),  # in doubt, but it may have come later
        ([(2, "read", 1, "fail", 100, 110)], (0, 0)),
    ],
)
def test_what_counts_as_lost(reads: list[Any], lost: tuple[int, int]) -> None:
    written = [(0, "write", 1, "ok", 0, 10), (0, "write", 2, "ok", 20, 30), (1, "write", 3, "info", 5, 50)]
    assert lost_keys(history(*written, *reads), 90) == lost


@pytest.mark.parametrize("name", ["cas", "crdt-set", "siblings"])
def test_of_keys_that_are_no_registers_nothing_is_said_to_be_lost(name: str) -> None:
    """A compare-and-set had come after the write; a set and siblings were a crash of ours."""
    path = Path(__file__).parents[2] / f"examples/{name}.toml"
    plan = dataclasses.replace(load_plan(path), time_limit_s=2.0, rate=30.0, faults=())
    found = measure(0, plan)
    assert (found.outcome, found.reason) == ("valid", f"every claim held: {', '.join(plan.claims)}")
    assert found.lost_keys[0] == 0


def test_with_fewer_seeds_than_were_run_nothing_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, matrix = tmp_path / "plan.toml", tmp_path / "matrix.toml"
    plan.write_text(PLAN)
    matrix.write_text('name = "m"\nplan = "plan.toml"\n[axes]\n"system.n" = [1, 3]\n')
    for seeds in ("2", "1"):
        assert status_of(["matrix", str(matrix), "--seeds", seeds, "--jobs", "1", "--out", str(tmp_path / "out"), "--json"]) in (0, 2)  # fmt: skip
        answer = json.loads(capsys.readouterr().out)
        assert (answer["runs"], answer["missing"]) == (4, 0)


@pytest.mark.slow
def test_the_command_goes_on_and_its_page_takes_any_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = '<script>alert(1)</script>"'
    text = MATRIX.replace("[environments.calm]", f"[environments.'{evil}']")
    path, out = files(tmp_path, text), tmp_path / "out"
    assert status_of(["matrix", str(path), "--seeds", "1", "--budget", "1ms", "--out", str(out), "--jobs", "1"]) == 2  # fmt: skip
    assert "runs are missing" in " ".join(capsys.readouterr().err.split())
    assert status_of(["matrix", str(path), "--seeds", "1", "--out", str(out), "--jobs", "2", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["runs"], answer["missing"], len(answer["cells"])) == (6, 0, 8)
    page = (out / "matrix.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert page.count('<table class="heat">') == 2
    assert page.count('class="plot"') == 3  # latency twice, availability where a fault bit
    assert json.loads((out / "cells.json").read_text()) == answer["cells"]
    assert evil in (out / "matrix.md").read_text()


def test_grids_have_the_two_last_axes_as_rows_and_columns(tmp_path: Path) -> None:
    text = MATRIX.replace("[environments.calm]", '"system.w" = [2, 3]\n[environments.calm]')
    matrix = load_matrix(files(tmp_path, text))
    found = list(grids(matrix, [merge_cell(cell, []) for cell in matrix.cells]))
    assert [grid.title for grid in found] == ["calm, mode eventual", "calm, mode register", "partition, mode eventual", "partition, mode register"]  # fmt: skip
    assert found[0].columns == ("w 2", "w 3")
    assert [label for label, _ in found[0].rows] == ["r 1", "r 2"]
    assert [row.cell.coordinates["system.w"] for row in found[1].rows[1][1]] == [2, 3]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.toml"], "nowhere.toml does not exist"),
        (["plan.toml"], "unknown key 'workload'"),
        (["matrix.toml", "--budget", "soon"], "'soon' is no length of time"),
        (["matrix.toml", "--jobs", "-1"], "--jobs is from 0"),
        (["matrix.toml", "--seeds", "0"], "seeds = 0 is no number of runs"),
    ],
)
def test_wrong_arguments(arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    files(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert status_of(["matrix", *arguments]) == 254
    assert says in " ".join(capsys.readouterr().err.split())
