"""What a cell of a matrix costs, by hand: each number with its interval, in the table, in JSON and on the page; and records of before."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from hashlib import sha256
from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from checkers import History
from checkers.op import invoke
from harness.cli import status_of
from harness.clustered import Values
from harness.matrix.grid import load_matrix
from harness.matrix.measure import ANY, Measured, delta_of, done_under, measure
from harness.matrix.merge import Row, merge_cell
from harness.matrix.page import charts, matrix_page
from harness.matrix.prices import behind, prices
from harness.matrix.sweep import Sweep
from harness.matrix.tables import HEADER, between, cells_of, markdown, percent_between, succeeded, under_each
from harness.plan import PlanError
from harness.report.trade_offs import LATENCY, UNANSWERED, Point, arms, trade_off
from tests.sim.test_matrix import MATRIX, files


def run(seed: int, stale: tuple[int, int], ms: list[float], versions: list[int], **more: Any) -> Measured:
    most = (max(versions, default=0), max(ms, default=0.0))
    return Measured(
        0, seed, "valid", "", {"linearizable": "valid"}, stale=stale, behind_ms=ms, behind_versions=versions, behind_max=most,
        latency_ms={"read": {"p50": 1.0, "p99": 10.0 + seed}, "write": {"p50": 2.0, "p99": 5.0}}, **more,
    )  # fmt: skip


def six(**more: Any) -> list[Measured]:
    """Six runs of 100 reads, 10 of each stale by 1 to 10 ms and by 1 version or 2; in the last, twice as many."""
    ms, versions = [float(x) for x in range(1, 11)], [1] * 8 + [2] * 2
    twice = sorted(ms * 2), sorted(versions * 2)
    return [run(seed, (10, 100), ms, versions, delta_ms=float(seed), **more) for seed in range(5)] + [run(5, (20, 100), *twice, delta_ms=50.0, **more)]  # fmt: skip


def row_of(folder: Path, runs: list[Measured]) -> Row:
    return merge_cell(load_matrix(files(folder)).cells[0], runs)


def test_by_hand() -> None:
    found = prices(six())
    # 70 of 600: residuals -5/3 five times, 25/3: sqrt((5·25/9 + 625/9) · 6/5) / 600, t(5) = 2.571
    half = 2.571 * sqrt((5 * 25 / 9 + 625 / 9) * 6 / 5) / 600
    assert found["stale"] == {"count": 70, "of": 600, "share": 0.116667, "low": round(70 / 600 - half, 6), "high": round(70 / 600 + half, 6)}  # fmt: skip
    # 70 values, 7 of each from 1 to 10; the runs agree, so 1.96 · sqrt(70 / 4) = 8.2 ranks: 35 -> the 26th and the 45th
    assert found["behind_ms"]["p50"] == {"value": 5.0, "low": 4.0, "high": 7.0}
    # the 70th of 70 is wanted for p99, and 1.96 · sqrt(70 · 0.99 · 0.01) = 1.6 ranks below it is the 67th
    assert found["behind_ms"]["p99"] == {"value": 10.0, "low": 10.0, "high": None}
    assert found["behind_ms"]["max"] == 10.0
    assert found["behind_versions"] == {"p50": {"value": 1, "low": 1, "high": 1}, "p99": {"value": 2, "low": 2, "high": None}, "max": 2}  # fmt: skip
    # Delta of the runs: 0 1 2 3 4 50; of six the least and the greatest hold the median with 97 %
    assert found["delta_ms"] == {"p50": {"value": 2.0, "low": 0.0, "high": 50.0}, "max": 50.0}
    assert found["latency_ms"]["read"] == {"p50": 1.0, "p99": 12.0}
    assert found["latency_between_ms"]["read"]["p99"] == {"low": 10.0, "high": 15.0}


def test_what_was_not_there_is_not_made_up() -> None:
    clean = prices([run(seed, (0, 100), [], []) for seed in range(3)])
    assert (clean["behind_ms"], clean["behind_versions"], clean["delta_ms"]) == (None, None, None)
    assert (clean["stale"]["share"], clean["stale"]["low"], clean["stale"]["high"]) == (0.0, 0.0, 0.631597)
    assert clean["available_under"] == {}
    assert behind([Values(3, [1.0, 2.0, 3.0])], 3.0) == {"p50": {"value": 2.0, "low": None, "high": None}, "p99": {"value": 3.0, "low": None, "high": None}, "max": 3.0}  # fmt: skip
    assert prices([run(0, (1, 9), [1.0], [1], delta_ms=1.0), run(1, (1, 9), [1.0], [1], delta_ms=None)])["delta_ms"] is None  # fmt: skip


@pytest.mark.parametrize(
    ("shifts", "delta"),
    [
        ({}, None),
        ({"delta_ms": {}, "keys_without_delta": 0, "keys_skipped": 0}, None),
        ({"delta_ms": {"max": 7}, "keys_without_delta": 0, "keys_skipped": 0}, 7.0),
        ({"delta_ms": {"max": 7}, "keys_without_delta": 1, "keys_skipped": 0}, None),
        ({"delta_ms": {"max": 7}, "keys_without_delta": 0, "keys_skipped": 2}, None),
    ],
)
def test_delta_is_that_of_the_worst_key_if_each_has_one(shifts: dict[str, Any], delta: float | None) -> None:
    assert delta_of(shifts) == delta


def calls(*made: tuple[int, bool]) -> History:
    """One call at each time (ns), which ends ok or fails at once."""
    ops = []
    for process, (at, ok) in enumerate(made):
        call = invoke(process, "write", 0, process, time_ns=at)
        ops += [call, call.ok(process) if ok else call.fail("no")]
    return History.from_ops(ops)


def fault(kind: str, start_ns: int, end_ns: int, *, bit: bool = True) -> dict[str, Any]:
    return {"kind": kind, "start_ns": start_ns, "end_ns": end_ns, "bit": bit}


def test_availability_is_counted_under_each_kind_that_bit() -> None:
    history = calls((0, True), (10, False), (15, True), (20, True), (25, False), (30, True), (40, False))
    faults = [fault("partition", 10, 21), fault("kill", 15, 30), fault("partition", 40, 41), fault("pause", 0, 50, bit=False)]  # fmt: skip
    assert done_under(history, faults) == {ANY: (2, 5), "kill": (2, 3), "partition": (2, 4)}
    assert done_under(history, faults[-1:]) == {}
    assert done_under(history, [fault("kill", 41, 42)]) == {ANY: (0, 0), "kill": (0, 0)}


def test_availability_of_a_cell_under_each_kind() -> None:
    under = [{ANY: (80, 100), "kill": (80, 100)}, {ANY: (60, 100), "kill": (60, 100)}, {}]
    found = prices([run(seed, (0, 9), [], [], done_under=each) for seed, each in enumerate(under)])["available_under"]  # fmt: skip
    # 140 of 200: residuals 10 and -10: sqrt(200 · 2) / 200 = 0.1, t(1) = 12.7: nothing is known but that it is a share
    assert found == {name: {"count": 140, "of": 200, "share": 0.7, "low": 0.0, "high": 1.0} for name in (ANY, "kill")}  # fmt: skip
    assert under_each({"available_under": found}) == "kill 70.0 % (0.0–100.0)"
    assert under_each({"available_under": {**found, "pause": None}}).startswith("any 70.0 % (0.0–100.0), kill 70.0 %")  # fmt: skip
    assert under_each({"available_under": {}}) == "–"


def test_in_words() -> None:
    share = {"count": 70, "of": 600, "share": 0.1167, "low": 0.0718, "high": 0.1617}
    assert (percent_between(share), succeeded(share)) == ("12 % (7.2–16)", "11.7 % (7.2–16.2)")
    assert succeeded({**share, "count": 600}) == "all of 600"
    assert percent_between({**share, "low": 0.0, "high": 1.0}) == "12 % (0–100)"
    assert between({"value": 12.34, "low": 1.0, "high": None}) == "12.3 (1.0–…)"
    assert between({"value": 12.34, "low": None, "high": None}) == "12.3"
    assert between({"value": 2, "low": 1, "high": 3}) == "2 (1–3)"


def test_the_table_the_page_and_the_chart_show_them(tmp_path: Path) -> None:
    row = row_of(tmp_path, six(done_under={ANY: (80, 100), "partition": (80, 100)}))
    told = dict(zip(HEADER, cells_of(row), strict=True))
    assert told["stale reads"] == "12 % (7.4–16)"
    assert told["behind, ms: p50 / p99 / most"] == "5.0 (4.0–7.0) / 10.0 (10.0–…) / 10.0"
    assert told["behind, versions: p50 / p99 / most"] == "1 (1–1) / 2 (2–…) / 2"
    assert told["Δ of a run, ms: p50 / most"] == "2.0 (0.0–50.0) / 50.0"
    assert told["under faults"] == "partition 80.0 % (80.0–80.0)"
    assert told["read p50 / p99"] == "1.0 (1.0–1.0) / 12.0 (10.0–15.0) ms"
    matrix = load_matrix(tmp_path / "matrix.toml")
    assert " | 5.0 (4.0–7.0) / 10.0 (10.0–…) / 10.0 | " in markdown(matrix, [row], "the command")
    page = matrix_page(matrix, [row], {}, "the command")
    assert "<td>5.0 (4.0–7.0) / 10.0 (10.0–…) / 10.0</td>" in page
    assert "stale 12 % (7.4–16), half of them by 5.0 (4.0–7.0) ms or more" in page
    (slow, (fast,)), (unanswered, (shut,)) = charts([row], "calm")
    assert (slow, unanswered) == (LATENCY, UNANSWERED)
    stale = (row.numbers["stale"]["low"], row.numbers["stale"]["high"])
    assert fast[1:] == (12.0, 0.116667, True, (10.0, 15.0), stale)
    assert shut[1:] == (pytest.approx(0.2), 0.116667, True, (pytest.approx(0.2), pytest.approx(0.2)), stale)
    ((_, (clean,)),) = charts([row_of(tmp_path, [run(0, (0, 9), [], [])])], "calm")  # no fault bit
    assert clean.stale_between == (None, None)
    assert list(charts([row], "partition")) == []
    assert "<h2" in page
    assert "Latency against staleness, calm" in page
    assert "Availability under faults against staleness, calm" in page


def test_bars_reach_as_far_as_is_known() -> None:
    assert arms(5.0, (3.0, 9.0)) == [[2.0], [4.0]]
    assert arms(5.0, (None, 9.0)) == [[0.0], [4.0]]
    assert arms(0.5, (0.25, None), 100) == [[25.0], [0.0]]
    lines = re.compile(r"LineCollection_\d+")
    for price in (LATENCY, UNANSWERED):
        chart = trade_off([Point("a", 0.5, 0.1, True, (0.3, 0.9), (0.05, 0.2))], price, "x")
        assert len(set(lines.findall(chart))) == 2  # one across, one up
        assert f"{price.told} against stale reads" in chart
        assert price.axis.split(",")[0] in chart


@pytest.mark.slow
def test_a_run_keeps_how_far_each_stale_read_was_behind(tmp_path: Path) -> None:
    """Under a partition of a store whose quorums do not meet."""
    cell = load_matrix(files(tmp_path)).cells[4]
    assert cell.plan is not None
    found = measure(cell.number, cell.plan)
    assert found.stale[0] == len(found.behind_ms) == len(found.behind_versions) > 20
    assert found.behind_ms == sorted(found.behind_ms)
    assert found.behind_max == (max(found.behind_versions), max(found.behind_ms))
    assert set(found.done_under) == {ANY, "partition"}
    done, of = found.done_under["partition"]
    assert 0 < done <= of < found.done[1]
    assert found.delta_ms is not None
    assert found.delta_ms > 0


def test_records_of_before_are_refused(tmp_path: Path) -> None:
    path, folder = files(tmp_path, MATRIX), tmp_path / "out"
    Sweep(load_matrix(path), folder)
    about = json.loads((folder / "matrix.json").read_text())
    (folder / "matrix.json").write_text(json.dumps({"matrix": about["matrix"]}))
    with pytest.raises(PlanError, match=r"as another version of quorate wrote them down, .*; give --out another folder"):  # fmt: skip
        Sweep(load_matrix(path), folder)
    (folder / "matrix.json").write_text("{")
    with pytest.raises(PlanError, match=r"matrix.json: is damaged"):
        Sweep(load_matrix(path), folder)


def test_a_line_that_was_cut_off_goes_and_the_others_are_not_touched(tmp_path: Path) -> None:
    path, folder = files(tmp_path, MATRIX), tmp_path / "out"
    Sweep(load_matrix(path), folder)
    whole = b'{"cell": 0, "seed": 1, "outcome": "crash", "reason": ""}\n'
    (folder / "runs.jsonl").write_bytes(whole + b'{"cell": 1, "se')
    before = (folder / "runs.jsonl").stat().st_ino
    assert len(Sweep(load_matrix(path), folder).records) == 1
    assert ((folder / "runs.jsonl").read_bytes(), (folder / "runs.jsonl").stat().st_ino) == (whole, before)


@pytest.mark.slow
def test_the_slowest_run_stands_for_the_cell_and_its_plan_makes_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = files(tmp_path, MATRIX), tmp_path / "out"
    assert status_of(["matrix", str(path), "--jobs", "2", "--out", str(out), "--json"]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    runs = [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines()]
    for cell in cells:
        mine = [each for each in runs if each["cell"] == cell["cell"]]
        worst = max((max(of["p99"] for of in each["latency_ms"].values()), each["seed"]) for each in mine) if mine else None  # fmt: skip
        assert (worst is None) is (cell["slowest"] is None)
        if worst is not None:
            assert (cell["slowest"]["p99_ms"], cell["slowest"]["seed"]) == worst
    assert status_of(["choose", str(out), "--keep", "linearizable", "--json"]) == 0
    will_do = json.loads(capsys.readouterr().out)["will_do"]
    assert [choice["configuration"] for choice in will_do] == [{"system.mode": "register", "system.r": 2}]
    for support in will_do[0]["support"]:
        arguments = support["again"].split()
        assert status_of([*arguments[1:], "--out", str(tmp_path / "again"), "--json"]) == 0
        folder = Path(json.loads(capsys.readouterr().out)["folder"])
        again = b"".join((folder / name).read_bytes() for name in ("history.jsonl", "faults.jsonl"))
        assert sha256(again).hexdigest()[:32] == support["digest"]


def test_lines_stay_if_nothing_more_can_be_written(tmp_path: Path) -> None:
    """A process that may write no byte to a file, as on a full disk: what is cut off goes, what is whole stays."""
    path = tmp_path / "runs.jsonl"
    path.write_bytes(b"one\ntwo\nthr")
    program = f"""
import resource
from pathlib import Path
from harness.runs import cut_to
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
cut_to(Path({str(path)!r}), [b"one", b"two"])
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert path.read_bytes() == b"one\ntwo\n"
