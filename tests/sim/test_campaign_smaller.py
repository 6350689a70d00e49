"""A campaign whose file asks for it makes its new findings small, links to them, and does it once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.campaign.night import broken_by
from harness.campaign.smaller import make_smaller
from harness.cli import status_of
from harness.plan import dump_plan, load_plan, parse_plan
from harness.search.finding import Target
from harness.simulate import simulate_run
from tests.sim.from_file import shown_by
from tests.small_plans import stale

PLAN = stale("linearizable")
FILE = 'name = "small"\nSHRINK\n[[items]]\nname = "wrong"\nplan = "plan.toml"\nruns = 1\n'


def night(folder: Path, capsys: pytest.CaptureFixture[str], shrink: str, *more: str) -> tuple[int, Any]:
    (folder / "plan.toml").write_text(PLAN)
    (folder / "small.toml").write_text(FILE.replace("SHRINK", shrink))
    arguments = ["run", str(folder / "small.toml"), "--out", str(folder / "out"), "--jobs", "1", "--json"]
    status = status_of(["campaign", *arguments, *more])
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_a_new_finding_is_made_small_once_and_linked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, made = night(tmp_path, capsys, 'shrink = "15s"')
    assert status == 1
    (finding,) = made["findings"]
    smallest = Path(finding["ways"]["smallest"])
    plan = load_plan(smallest)
    assert 0 < len(plan.script) < 120  # of as many operations as the run had
    shown = broken_by(simulate_run(plan))
    assert (
        finding["claim"],
        finding["anomaly"],
        finding["pattern"],
    ) in shown  # this finding, and not its neighbour
    assert smallest.with_suffix(".md").read_text().startswith(f"# {finding['anomaly']}: ")
    said = (tmp_path / "out" / "morning.md").read_text()
    assert f"the smallest, {finding['ways']['size']}: `quorate replay {smallest} --trace`" in said
    assert "quorate shrink" not in said
    assert str(smallest) in (tmp_path / "out" / "morning.html").read_text()
    before = smallest.stat().st_mtime_ns
    night(tmp_path, capsys, 'shrink = "15s"')
    assert smallest.stat().st_mtime_ns == before


def test_who_does_not_ask_pays_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, made = night(tmp_path, capsys, "")
    (finding,) = made["findings"]
    assert Target(finding["claim"], finding["anomaly"]) in shown_by(Path(finding["plan"]))
    assert (finding["ways"]["smallest"], finding["ways"]["smaller"]) == (None, f"quorate shrink {finding['plan']}")  # fmt: skip
    assert [path.name for path in (tmp_path / "out" / "findings").iterdir()] == [f"{finding['id']}.toml"]


def test_a_budget_that_is_none_is_told_before_anything_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "small.toml").write_text(FILE.replace("SHRINK", 'shrink = "soon"'))
    assert status_of(["campaign", "run", str(tmp_path / "small.toml"), "--out", str(tmp_path / "out")]) == 254
    assert "'soon' is no length of time" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_what_the_plan_shows_no_more_is_left_alone() -> None:
    right = dump_plan(parse_plan(PLAN.replace("eventual", "register")))
    assert make_smaller(right, "linearizable", "stale-read", "", 10.0) is None
    assert make_smaller(PLAN, "linearizable", "stale-read", "another pattern", 10.0) is None
