"""`quorate campaign status`, `show` and `replay` on a ledger that a night left, and on what is none."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from harness.campaign.ledger import opened
from harness.cli import status_of

PLAN = """
name = "base"
workload = "register"
claims = ["linearizable"]
nodes = 5
concurrency = 10
rate = 100
time_limit_s = 4
op_timeout_ms = 300
[system]
name = "kvstore"
n = 3
mode = "eventual"
[options]
keys = 1
ops_per_key = 100000
[[faults]]
kind = "partition"
start_s = 1.0
every_s = 3.0
for_s = 2.0
"""
FILE = 'name = "small"\n[[items]]\nname = "wrong"\nplan = "plan.toml"\nruns = 2\n'


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a night of two runs, both with a stale read."""
    folder = tmp_path_factory.mktemp("a night")
    (folder / "plan.toml").write_text(PLAN)
    (folder / "small.toml").write_text(FILE)
    arguments = [
        "campaign",
        "run",
        str(folder / "small.toml"),
        "--out",
        str(folder / "out"),
        "--jobs",
        "1",
        "--json",
    ]
    assert status_of(arguments) == 1
    return folder


@pytest.fixture
def finding(night: Path) -> str:
    (name,) = (path.stem for path in (night / "out" / "findings").iterdir())
    return name


def told(
    capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str, file: str = "small.toml"
) -> tuple[int, Any]:
    what, *more = arguments
    status = status_of(["campaign", what, str(folder / file), *more, "--out", str(folder / "out"), "--json"])
    return status, json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert status_of(["campaign", *arguments]) == 254
    said = capsys.readouterr()
    assert said.out == ""
    return " ".join(said.err.split())


def changed(night: Path, name: str, before: str, after: str) -> str:
    """A campaign file like that of the night but for one thing."""
    (night / f"{name}-plan.toml").write_text(PLAN.replace(before, after))
    (night / f"{name}.toml").write_text(FILE.replace("plan.toml", f"{name}-plan.toml").replace(before, after))
    return f"{name}.toml"


def test_the_command_that_show_gives_brings_it_back_byte_for_byte(
    night: Path, finding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, one = told(capsys, night, "show", finding)
    assert (status, one["id"], one["state"]) == (0, finding, "new")
    assert [(each["night"], each["hits"], each["runs"]) for each in one["history"]] == [(0, 2, 2)]
    quorate, *arguments = shlex.split(one["replay"])
    assert quorate == "quorate"
    assert status_of([*arguments, "--json"]) == 1
    again = json.loads(capsys.readouterr().out)
    assert (again["came_back"], again["same_bytes"], again["seed"]) == (True, True, one["example"]["seed"])
    assert (again["digest"], again["drawing"]) == (one["example"]["digest"], one["drawing"])
    assert status_of(arguments) == 1
    assert "came back, byte for byte" in capsys.readouterr().out


def test_show_draws_the_core_and_says_what_to_type(
    night: Path, finding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        status_of(["campaign", "show", str(night / "small.toml"), finding, "--out", str(night / "out")]) == 0
    )
    said = capsys.readouterr().out
    assert said.startswith(f"{finding} stale-read against linearizable: new\nkvstore mode=eventual n=3\n")
    assert "|--read" in said
    assert f"quorate campaign replay '{night / 'small.toml'}' {finding} --out" in said
    assert f"smaller: quorate shrink '{night / 'out' / 'findings' / finding}.toml'" in said


def test_a_plan_that_has_changed_makes_another_history(
    night: Path, finding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, again = told(
        capsys, night, "replay", finding, file=changed(night, "slow", "rate = 100", "rate = 90")
    )
    assert (status, again["came_back"], again["same_bytes"]) == (1, True, False)
    assert "in another history" in again["told"]
    status, again = told(
        capsys,
        night,
        "replay",
        finding,
        file=changed(night, "calm", "rate = 100\ntime_limit_s = 4", "rate = 1\ntime_limit_s = 0.5"),
    )
    assert (again["came_back"], again["same_bytes"]) == (False, False)
    assert (status, again["outcome"]) == (2, "vacuous")


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('mode = "eventual"', 'mode = "register"', "is 'kvstore mode=register n=3' now and was 'kvstore mode=eventual n=3'; give the file as it was"),
        ('name = "wrong"', 'name = "other"', "has no item 'wrong' any more; give the file as it was"),
    ],
)  # fmt: skip
def test_what_the_file_cannot_make_any_more_is_told(
    before: str, after: str, says: str, night: Path, finding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = changed(night, "edited", before, after)
    assert says in refused(capsys, "replay", str(night / file), finding, "--out", str(night / "out"))
    status, one = told(capsys, night, "show", finding, file=file)
    assert (status, one["plan"], one["replay"]) == (0, None, None)
    assert status_of(["campaign", "show", str(night / file), finding, "--out", str(night / "out")]) == 0
    assert says in capsys.readouterr().out


def test_status_of_a_night_that_ended_and_of_one_that_goes_on(
    night: Path, finding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found = told(capsys, night, "status")
    assert (status, found["nights"], found["last"]["outcome"], found["going"]) == (0, 1, "violation", None)
    assert [each["id"] for each in found["open"]["new"]] == [finding]
    out = tmp_path / "out"
    out.mkdir()
    (out / "campaign.sqlite").write_bytes((night / "out" / "campaign.sqlite").read_bytes())
    with opened(out / "campaign.sqlite") as ledger:
        ledger.begin("tonight", "9")
    assert status_of(["campaign", "status", str(night / "small.toml"), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "not ended: night 1, began tonight: 0 of 2 runs (no run)\n  wrong: 0 of 2\n" in said
    assert f"new: 1\n  {finding} stale-read against linearizable" in said
    assert {path.name for path in out.iterdir()} == {"campaign.sqlite"}  # it only looks


def test_runs_are_listed_by_what_is_asked_for(
    night: Path, finding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, every = told(capsys, night, "runs")
    assert [(run["night"], run["seed"], run["outcome"], run["findings"]) for run in every] == [
        (0, 1, "violation", [finding]),
        (0, 2, "violation", [finding]),
    ]
    for one in (finding, finding.partition("-")[0]):
        assert told(capsys, night, "runs", "--finding", one, "--item", "wrong", "--outcome", "violation")[1] == every  # fmt: skip
    for none in (["--night", "1"], ["--item", "right"], ["--outcome", "ok"], ["--finding", "00000000"]):
        assert told(capsys, night, "runs", *none) == (0, [])
    place = [str(night / "small.toml"), "--out", str(night / "out")]
    assert status_of(["campaign", "runs", *place]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["night", "seed", "world", "outcome", "ops", "item"]
    assert [line.split()[:4] for line in said[1:3]] == [["0", "1", "sim", "violation"], ["0", "2", "sim", "violation"]]  # fmt: skip
    assert said[3] == "2 runs"
    assert "'bad'" in refused(capsys, "runs", *place, "--outcome", "bad")


@pytest.mark.parametrize("what", [["status"], ["runs"], ["show", "3419363c"], ["replay", "3419363c"]])
def test_a_ledger_that_is_missing_or_empty_is_told(
    what: list[str], night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *more = what
    arguments = [name, str(night / "small.toml"), *more, "--out", str(tmp_path / "none")]
    assert "none holds no campaign; begin one with" in refused(capsys, *arguments)
    assert not (tmp_path / "none").exists()
    with opened(tmp_path / "none" / "campaign.sqlite", make=True):
        pass
    assert "none holds no night yet; begin with `quorate campaign run" in refused(capsys, *arguments)


@pytest.mark.parametrize("what", ["show", "replay"])
def test_an_unknown_finding_is_told(
    what: str, night: Path, finding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, what, str(night / "small.toml"), "ffffffff", "--out", str(night / "out"))
    assert f"there is no finding 'ffffffff'; there are {finding}" in said
