"""The nodes' logs on the time of the history, from whatever wrote them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.plan import load_plan
from harness.report.logs import Line, kept, lines_of, stamped, timed
from harness.runner import run

BEGAN = "2026-11-28T19:28:06.500000+00:00"


@pytest.mark.parametrize(
    ("line", "began", "expected"),
    [
        ("  5.016316 killed, pid 1", 0.016316, (5_000_000_000, "killed, pid 1")),
        ("  0.000000 started", 0.25, (-250_000_000, "started")),
        ("2026-11-28T19:28:07.750Z n1 serves", BEGAN, (1_250_000_000, "n1 serves")),
        ("2026-11-28T20:28:07+01:00 n1", BEGAN, (500_000_000, "n1")),
        ('{"ts":"2026-11-28T19:28:06.500Z","node":"n1"}', BEGAN, (0, '{"ts":"2026-11-28T19:28:06.500Z","node":"n1"}')),
        ("98:M 28 Nov 2026 19:27:59.885 * ready", BEGAN, (None, "98:M 28 Nov 2026 19:27:59.885 * ready")),
        ("2026-13-41T19:28:07Z x", BEGAN, (None, "2026-13-41T19:28:07Z x")),
        ("  5.016316 killed", None, (None, "  5.016316 killed")),
        ("2026-11-28T19:28:07Z x", 0.0, (None, "2026-11-28T19:28:07Z x")),
    ],
)  # fmt: skip
def test_when_a_line_was_written(line: str, began: object, expected: tuple[int | None, str]) -> None:
    assert stamped(line, began) == expected


def test_a_line_without_a_time_belongs_to_the_one_before() -> None:
    told = ["lost", "  1.000000 fell", "Traceback", "", "  2.000000 rose"]
    assert list(timed("n1", told, 0.0)) == [
        Line(1_000_000_000, "n1", "fell"),
        Line(1_000_000_000, "n1", "Traceback"),
        Line(2_000_000_000, "n1", "rose"),
    ]


def test_of_many_lines_those_near_what_matters_are_kept() -> None:
    lines = [Line(at, "n1", str(at)) for at in range(0, 1_000, 10)]
    assert [line.at_ns for line in kept(lines, [500, 905], 5)] == [490, 500, 510, 900, 910]
    assert kept(lines, [], 3) == lines[:3]
    assert kept(lines, [500], 100) is lines


def test_a_run_has_its_logs_on_its_own_time(tmp_path: Path) -> None:
    plan = load_plan(Path(__file__).parents[2] / "examples" / "register.toml")
    folder = run(replace(plan, time_limit_s=7.0), world="sim", out=tmp_path).folder
    began = json.loads((folder / "environment.json").read_text())["began"]
    (kill,) = [fault for fault in map(json.loads, (folder / "faults.jsonl").read_text().splitlines()) if fault["kind"] == "kill"]  # fmt: skip
    killed = [line for line in lines_of(folder, began) if line.text.startswith("killed")]
    assert [line.node for line in killed] == kill["nodes"]
    assert 0 <= killed[0].at_ns - kill["start_ns"] < 100_000_000
    assert f'"{killed[0].text}"' in (folder / "report.html").read_text()
