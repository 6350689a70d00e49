"""Offsets of clocks as the page tells them: from faults made by hand, and of a simulated run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
import run_folders

from harness.plan import load_plan
from harness.report import write_report
from harness.report.clocks import Shift, apart, in_words, line, own_rows, shifts_of, span_ms, spread_ms
from harness.report.folder import read_folder
from harness.report.markdown import run_markdown
from harness.report.rows import clock_rows
from harness.runner import run

S = 1_000_000_000
EXAMPLES = Path(__file__).parents[2] / "examples"


def clock(start_s: int, end_s: int | None, **offsets: float | None) -> dict[str, Any]:
    """A fault; an offset of None was asked to be 50 ms while there was no process."""
    evidence = {node: {"asked_ms": 50, "state": "gone"} if ms is None else {"asked_ms": ms, "measured_ms": ms + 1, "measured_after_ms": 0.2} for node, ms in offsets.items()}  # fmt: skip
    asked = {node: 50 if ms is None else ms for node, ms in offsets.items()}
    return {"kind": "clock", "nodes": list(offsets), "offsets_ms": asked, "start_ns": start_s * S, "end_ns": None if end_s is None else end_s * S, "bit": True, "evidence": evidence}  # fmt: skip


def test_what_was_measured_is_told_rather_than_what_was_asked() -> None:
    [one, other] = shifts_of([{"kind": "kill", "nodes": ["n1"]}, clock(2, 4, n2=300.0), clock(1, None, n1=None)], 9 * S)  # fmt: skip
    assert one == Shift("n1", 1 * S, 9 * S, 50, None, None)
    assert other == Shift("n2", 2 * S, 4 * S, 300, 301, 0.2)
    assert (one.offset_ms, other.offset_ms) == (50, 301)


def corners(shifts: list[Shift], node: str) -> list[tuple[float, float]]:
    return list(zip(*line(shifts, node, 9 * S), strict=True))


def test_a_line_goes_back_to_what_was_measured_after() -> None:
    shifts = shifts_of([clock(2, 4, n2=300.0)], 9 * S)
    assert corners(shifts, "n2") == [(0, 0), (2, 0), (2, 301), (4, 301), (4, 0.2), (9, 0.2)]
    assert corners(shifts, "n1") == [(0, 0), (9, 0)]


def test_a_later_shift_takes_the_place_of_one_that_goes_on() -> None:
    found = corners(shifts_of([clock(2, 6, n2=300.0), clock(4, 8, n2=-100.0)], 9 * S), "n2")
    assert found[2:4] == [(2, 301), (4, 301)]
    assert (6, 301) not in found
    assert found[-3:] == [(8, -99), (8, 0.2), (9, 0.2)]


def moving(node: str, how: dict[str, float], seen: list[list[float]]) -> dict[str, Any]:
    """A clock that moves for four seconds, to 100 ms."""
    evidence = {node: {"asked_ms": 100.0, "seen": seen, "measured_after_ms": 0.1}}
    return {"kind": "clock", "nodes": [node], "offsets_ms": {node: 100.0}, **how, "start_ns": 2 * S, "end_ns": 6 * S, "bit": True, "evidence": evidence}  # fmt: skip


def test_a_clock_that_drifts_is_drawn_as_a_slope() -> None:
    [shift] = shifts_of([moving("n1", {"drift_s": 2}, [[0.5, 50.1], [1.0, 99.9]])], 9 * S)
    assert (shift.measured_ms, shift.motion) == (99.9, "drifts for 2 s")
    assert corners([shift], "n1") == [(0, 0), (2, 0), (4, 100), (6, 100), (6, 0.1), (9, 0.1)]
    [slow] = shifts_of([moving("n1", {"drift_s": 8}, [[0.5, 50.1]])], 9 * S)
    assert corners([slow], "n1")[2:4] == [(6, 50), (6, 50)]  # it came half the way


def test_a_clock_that_jumps_is_drawn_jump_by_jump() -> None:
    [shift] = shifts_of([moving("n1", {"strobe_ms": 1000}, [[1, 100.0], [0, 0.0]])], 9 * S)
    assert shift.motion == "jumps every 1000 ms"
    assert corners([shift], "n1") == [(0, 0), (2, 0), (2, 0), (2, 100), (3, 100), (3, 0), (4, 0), (4, 100), (5, 100), (5, 0), (6, 0.1), (9, 0.1)]  # fmt: skip
    [fast] = shifts_of([moving("n1", {"strobe_ms": 1}, [])], 9 * S)
    assert len(corners([fast], "n1")) < 500


@pytest.mark.parametrize(("at_s", "apart"), [(1, 0), (2, 301), (3, 501), (5, 200)])
def test_how_far_two_clocks_are_apart(at_s: int, apart: float) -> None:
    shifts = shifts_of([clock(2, 4, n2=300.0), clock(3, 6, n1=-201.0)], 9 * S)
    assert spread_ms(shifts, ["n1", "n2", "n3"], at_s * S) == pytest.approx(apart)
    assert "n1, n2 were off at times; two clocks were up to 501.0 ms apart." in in_words(shifts, ["n1", "n2", "n3"], "sim")  # fmt: skip
    assert "Never shifted: n3." in in_words(shifts, ["n1", "n2", "n3"], "hosts")


def test_each_world_says_how_well_it_is_known() -> None:
    some = shifts_of([clock(2, 4, n2=300.0)], 9 * S)
    assert "this is exact" in in_words(some, ["n1"], "sim")
    assert "to a few milliseconds" in in_words(some, ["n1"], "hosts")
    assert "agreed exactly" in in_words([], ["n1"], "sim")
    assert in_words([], ["n1"], "hosts") == "No clock was shifted."
    assert (apart({}, "sim"), apart({}, "hosts")) == ("", "How far the hosts' own clocks are apart was not measured.")  # fmt: skip


def own(offset_ms: float | None, within_ms: float = 1.0, later_ms: float | None = None) -> dict[str, Any]:
    """A host's clock; None: it is this machine's."""
    begin = {"offset_ms": offset_ms or 0.0, "within_ms": within_ms}
    end = None if later_ms is None else {"offset_ms": later_ms, "within_ms": within_ms}
    return {"shared": offset_ms is None, "begin": begin, "end": end}


def test_clocks_of_hosts_that_share_a_kernel_are_not_apart() -> None:
    assert apart({"n1": own(None), "n2": own(None)}, "hosts").startswith(
        "All hosts have this machine's kernel"
    )
    assert list(own_rows({"n1": own(None)})) == []


def test_clocks_of_hosts_of_their_own_are_told_with_their_bounds() -> None:
    clocks = {"n1": own(3000.0, 2.0, 3010.0), "n2": own(-1.0, 0.5, -1.0), "n3": own(None)}
    told = apart(clocks, "hosts")
    assert told.startswith("The hosts' own clocks were 2,998.5 to 3,003.5 ms apart when the run began and 3,008.5 to 3,013.5 ms apart when it was over; each was measured against this machine's to within 2.0 ms or less.")  # fmt: skip
    assert told.endswith("as if a fault of the clocks had gone on throughout.")
    assert [*own_rows(clocks)] == [
        ("n1", "+3,000.0 ± 2.0 ms", "+3,010.0 ± 2.0 ms", "+10.0 ± 4.0 ms"),
        ("n2", "-1.0 ± 0.5 ms", "-1.0 ± 0.5 ms", "+0.0 ± 1.0 ms"),
        ("n3", "this machine's", "this machine's", "–"),
    ]
    near = apart({"n1": own(1.0, 2.0), "n2": own(-1.0, 2.0)}, "hosts")
    assert "were at most 6.0 ms apart when the run began; each" in near
    assert "as if a fault" not in near
    assert [row[2] for row in own_rows({"n1": own(1.0)})] == ["no answer"]


@given(st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(0, 100), st.floats(-1, 1)), min_size=2, max_size=6))
def test_the_truth_lies_between_the_least_and_the_most(hosts: list[tuple[float, float, float]]) -> None:
    """`true` offsets, seen with an error of a share of the bound."""
    seen = {f"n{at}": own(true + share * within, within) for at, (true, within, share) in enumerate(hosts)}
    span = span_ms(seen, "begin")
    assert span is not None
    truth = max(true for true, _, _ in hosts) - min(true for true, _, _ in hosts)
    assert span[0] - 1e-6 <= truth <= span[1] + 1e-6


def test_a_simulated_run_tells_its_clocks_on_page_and_in_markdown(tmp_path: Path) -> None:
    told = read_folder(run(load_plan(EXAMPLES / "monotonic_skewed.toml"), world="sim", out=tmp_path).folder)
    rows = list(clock_rows(told))
    asked = [(node, ms) for fault in told.faults for node, ms in fault["offsets_ms"].items()]
    assert [(row[0], row[3]) for row in rows] == [(node, f"{ms:,.1f} ms") for node, ms in asked]
    assert all(row[3] == row[4] and row[5] == "0.0 ms" for row in rows)  # exact
    page, text = (told.folder / "report.html").read_text(), run_markdown(told)
    assert 'aria-label="Offsets of clocks over time"' in page
    for part in (page, text):
        assert "The clocks of n1" in part


def test_a_run_without_shifts_has_no_plot(tmp_path: Path) -> None:
    page = write_report(run_folders.make(tmp_path / "run", ops=50)).read_text()
    assert "No clock was shifted" in page
    assert "Offsets of clocks over time" not in page
    (tmp_path / "run" / "faults.jsonl").write_text(json.dumps(clock(2, 4, n2=None)) + "\n")
    page = write_report(tmp_path / "run").read_text()
    assert "no process" in page
