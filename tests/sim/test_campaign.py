"""Campaigns end to end: nights that are cut off and gone on with, what a wrong file is told, the commands, and the pytest plugin."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.campaign.file import load_campaign
from harness.campaign.ledger import Record, opened
from harness.campaign.night import todo
from harness.cli import status_of
from harness.plan import PlanError
from harness.search.finding import Target
from tests.killing import killed
from tests.polling import poll
from tests.sim.from_file import shown_by

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("QUORATE_KILLS", "3"))
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
[options]
keys = 1
ops_per_key = 100000
[[faults]]
kind = "partition"
start_s = 1.0
every_s = 3.0
for_s = 2.0
"""
FILE = """
name = "small"
[[items]]
name = "right"
plan = "plan.toml"
runs = 3
set = { "system.mode" = "register" }
[[items]]
name = "wrong"
plan = "plan.toml"
runs = 2
set = { "system.mode" = "eventual" }
"""


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """A campaign of five short runs, two of them with violations."""
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "small.toml").write_text(FILE)
    return tmp_path / "small.toml"


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, Any]:
    status = status_of(["campaign", *map(str, arguments)])
    return status, json.loads(capsys.readouterr().out)


def records(folder: Path) -> list[Record]:
    """All runs, without what they cost."""
    import msgspec

    with opened(folder / "campaign.sqlite") as ledger:
        return [msgspec.structs.replace(record, cpu_s=0.0, real_s=0.0) for record in ledger.records()]


@pytest.mark.parametrize("runs", [1, 2, 4])
def test_a_night_has_other_seeds_also_if_there_are_fewer_runs_or_more(runs: int, campaign: Path, tmp_path: Path) -> None:  # fmt: skip
    whole = load_campaign(campaign)
    item = whole.items[0]
    with opened(tmp_path / "campaign.sqlite", make=True) as ledger:
        for number in range(4):
            night = ledger.begin(str(number), "1")
            for name, run, plan in list(todo(whole, ledger, night)):
                ledger.add(Record(night.number, name, run, plan.seed, "ok", ""))
            assert not list(todo(whole, ledger, night))
            ledger.end(night, str(number))
        before = [record.seed for record in ledger.records() if record.item == item.name]
        assert before == list(range(item.plan.seed, item.plan.seed + 4 * item.runs))
        other = replace(whole, items=(replace(item, runs=runs), *whole.items[1:]))
        night = ledger.begin("4", "1")
        seeds = [plan.seed for name, _, plan in todo(other, ledger, night) if name == item.name]
    assert len(seeds) == runs
    assert not {*seeds} & {*before}


@pytest.mark.slow
def test_a_night_is_run_told_and_followed_by_another(
    campaign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    status, first = told(capsys, "run", campaign, "--out", out, "--jobs", "2", "--json")
    assert (status, first["outcome"], first["night"], first["runs"]) == (1, "violation", 0, 5)
    (finding,) = first["findings"]
    assert (finding["state"], finding["items"], finding["nights"]) == ("new", ["wrong"], {"0": [2, 2]})
    assert [item["outcomes"] for item in first["items"]] == [{"ok": 3}, {"violation": 2}]
    assert first["items"][0]["faults"]["partition"] > 0
    assert {path.name for path in out.iterdir()} == {"campaign.sqlite", "findings", "morning.html", "morning.md", "morning.json", "junit.xml", "findings.sarif"}  # fmt: skip
    assert Target(finding["claim"], finding["anomaly"]) in shown_by(Path(finding["plan"]))
    campaign.write_text(campaign.read_text() + f'[[accepted]]\nfinding = "{finding["id"]}"\nowner = "ada"\nnote = "known"\nuntil = 2999-01-01\n')  # fmt: skip
    status, second = told(capsys, "run", campaign, "--out", out, "--jobs", "2", "--json")
    assert (status, second["outcome"], second["night"]) == (0, "ok", 1)
    assert second["findings"][0]["state"] == "ongoing"
    seeds = [record.seed for record in records(out)]
    assert seeds == [1, 2, 3, 1, 2, 4, 5, 6, 3, 4]  # every night looks at other seeds
    assert status_of(["campaign", "diff", str(campaign), "0", "1", "--out", str(out)]) == 0
    assert "still there:\n  " + finding["id"] in capsys.readouterr().out
    assert status_of(["campaign", "report", str(campaign), "--format", "github", "--out", str(out)]) == 0
    assert capsys.readouterr().out == "no new finding\n"


@pytest.mark.slow
def test_killed_at_any_moment_and_gone_on_with_it_is_the_same_night(campaign: Path, tmp_path: Path) -> None:
    """The night is as long as the kills need: ten runs each. `QUORATE_KILLS=20` has 200."""
    campaign.write_text(
        FILE.replace("runs = 3", f"runs = {6 * KILLS}").replace("runs = 2", f"runs = {4 * KILLS}")
    )
    whole = tmp_path / "whole"
    assert status_of(["campaign", "run", str(campaign), "--out", str(whole), "--jobs", "2", "--json"]) == 1
    rng, out = random.Random(5), tmp_path / "parts"
    command = [str(Path(sys.executable).parent / "quorate"), "campaign", "run", str(campaign), "--out", str(out), "--jobs", "2", "--json"]  # fmt: skip
    killed = 0
    while killed < KILLS and _killed(command, out, more=rng.randrange(3), later_s=rng.uniform(0, 0.2)):
        killed += 1
    assert killed
    print(f"killed {killed} times, after {_count(out)} of {10 * KILLS} runs")
    while not _ended(out):
        assert status_of(["campaign", "run", str(campaign), "--out", str(out), "--jobs", "1", "--json"]) == 1
    assert [record for record in records(out) if record.night == 0] == records(whole)


def _killed(command: list[str], out: Path, *, more: int, later_s: float) -> bool:
    """Start it, and kill it so long after so many more runs; False if the night ended first."""
    wanted = _count(out) + more
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    poll(lambda: process.poll() is not None or _count(out) >= wanted, wait_s=600)
    return killed(process, later_s)


def _count(out: Path) -> int:
    return int(_asked(out, "select count(*) from runs"))


def _ended(out: Path) -> bool:
    return bool(_asked(out, "select count(*) from nights where number = 0 and ended is not null"))


def _asked(out: Path, query: str) -> int:
    if not (out / "campaign.sqlite").exists():
        return 0
    connection = sqlite3.connect(f"file:{out / 'campaign.sqlite'}?mode=ro", uri=True, timeout=10)
    try:
        return int(connection.execute(query).fetchone()[0])
    except sqlite3.OperationalError:  # the tables are being made
        return 0
    finally:
        connection.close()


def test_nothing_can_be_counted_twice(tmp_path: Path) -> None:
    with opened(tmp_path / "campaign.sqlite", make=True) as ledger:
        night = ledger.begin("then", "1")
        assert ledger.begin("later", "1") == night
        ledger.add(Record(0, "item", 0, 1, "ok", ""))
        with pytest.raises(sqlite3.IntegrityError):
            ledger.add(Record(0, "item", 0, 1, "ok", ""))
        ledger.end(night, "now")
        assert ledger.begin("tomorrow", "2").number == 1
        assert len(list(ledger.records())) == 1


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def test_who_looks_while_a_ledger_is_made_ends_nobody(impatient: None, tmp_path: Path) -> None:
    """Each that finds no tables makes them: of two at once one was told that the file is no ledger."""
    for number in range(20):
        together, seen = threading.Barrier(8), list[int]()
        path = tmp_path / str(number) / "campaign.sqlite"

        def look(path: Path, together: threading.Barrier, seen: list[int]) -> None:
            together.wait()
            with opened(path, make=True) as ledger:
                seen.append(len(ledger.nights()))

        threads = [threading.Thread(target=look, args=(path, together, seen)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [0] * 8


def test_a_ledger_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "campaign.sqlite"
    with pytest.raises(PlanError, match="holds no campaign"), opened(path):
        pass
    path.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    with pytest.raises(PlanError, match="is no ledger of a campaign"), opened(path):
        pass
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("pragma user_version = 99")
    connection.execute("create table t (a)")
    connection.commit()
    connection.close()
    with pytest.raises(PlanError, match="format 99, and this is quorate with format 1"), opened(path):
        pass


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('name = "small"', "", "name must be given"),
        ("[[items]]", "[[item]]", "unknown key 'item'; did you mean 'items'?"),
        ('name = "small"', 'name = "small"\nkeep_nights = 0', "keep_nights = 0 is no number of nights"),
        ("runs = 3", "runs = 0", "item 'right': runs = 0 is no number of runs"),
        ("runs = 3", "run = 3", "unknown key 'run'; did you mean 'runs'?"),
        ('"plan.toml"', '"plane.toml"', "plane.toml: there is no such plan"),
        ('"wrong"', '"right"', "two items are named 'right'"),
        ('"system.mode" = "eventual"', '"system.mood" = 1', "item 'wrong': .*no option 'mood'"),
        ('"system.mode" = "eventual"', "sede = 1", "item 'wrong': --set sede: no such key"),
        ("runs = 2", 'runs = 2\nworld = "host"', "item 'wrong': there is no world 'host'; did you mean 'hosts'?"),
        ("runs = 2", 'runs = 2\nkind = "netns"', "item 'wrong': kind is of hosts; write world = \"hosts\" too"),
        ("runs = 2", 'runs = 2\nworld = "hosts"\nkind = "vm"', "item 'wrong': hosts of kind 'vm' are not made by quorate; there are netns"),
        ("runs = 2", 'runs = 2\nworld = "hosts"\nkind = "netns"\ninventory = "x.toml"', "item 'wrong': kind and inventory exclude each other"),
        ("[[items]]\nname", '[[accepted]]\nfinding = "x"\nowner = "y"\nnote = "z"\nuntil = "soon"\n[[items]]\nname', "until is a day"),
        ("[[items]]\nname", '[[accepted]]\nfinding = "x"\nnote = "z"\nuntil = 2030-01-01\n[[items]]\nname', "owner must be given"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told(before: str, after: str, says: str, campaign: Path) -> None:
    text = campaign.read_text()
    assert before in text
    campaign.write_text(text.replace(before, after))
    with pytest.raises(PlanError, match=says.replace("?", r"\?")):
        load_campaign(campaign)


def test_a_campaign_without_items_is_refused(campaign: Path) -> None:
    campaign.write_text('name = "none"\n')
    with pytest.raises(PlanError, match="a campaign has items"):
        load_campaign(campaign)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "nowhere.toml"], "nowhere.toml does not exist"),
        (["run", "small.toml", "--budget", "soon"], "'soon' is no length of time"),
        (["run", "small.toml", "--jobs", "-1"], "--jobs is from 0"),
        (["report", "small.toml", "--out", "empty"], "empty holds no campaign"),
        (["diff", "small.toml", "0", "1", "--out", "empty"], "empty holds no campaign"),
    ],
)
def test_wrong_arguments_of_campaign(arguments: list[str], says: str, campaign: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.chdir(campaign.parent)
    assert status_of(["campaign", *arguments]) == 254
    assert says in " ".join(capsys.readouterr().err.split())


def pytested(folder: Path, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", *arguments], cwd=folder, capture_output=True, text=True)  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.slow
def test_pytest_collects_a_campaign(campaign: Path) -> None:
    said = pytested(campaign.parent, "small.toml", "--junitxml=report.xml")
    assert "2 failed, 3 passed" in said
    assert "stale-read against linearizable: " in said
    assert "|--read" in said
    assert "again:   quorate replay " in said
    assert "Traceback" not in said
    assert (campaign.parent / "report.xml").exists()
    campaign.write_text(FILE.replace("runs = 3", "runs = none"))
    assert "this is not TOML" in pytested(campaign.parent, "small.toml")


@pytest.mark.slow
def test_a_test_of_ones_own_is_ten_lines(campaign: Path) -> None:
    (campaign.parent / "test_mine.py").write_text("""
from harness.pytest_plugin import consistency_test

@consistency_test("plan.toml", runs=2, set={"system.mode": "register"})
def test_fresh(run):
    assert run.results["staleness"]["stale_reads"] == 0

@consistency_test("plan.toml", set={"system.mode": "register"})
def test_own_assertion(run):
    assert run.results["staleness"]["stale_reads"] == 1

@consistency_test("plan.toml", set={"system.mode": "eventual"})
def test_claim(run):
    pass

@consistency_test("plan.toml", set={"system.mode": "register", "time_limit_s": 0.5, "rate": 1})
def test_nothing(run):
    raise RuntimeError("a run that proves nothing does not get here")
""")
    said = pytested(campaign.parent, "test_mine.py")
    assert "2 failed, 2 passed, 1 skipped" in said
    assert "FAILED test_mine.py::test_claim[seed 1]" in said
    assert "FAILED test_mine.py::test_own_assertion[seed 1]" in said
    assert "PASSED test_mine.py::test_fresh[seed 2]" in said
    assert "vacuous: " in said


def test_a_session_without_a_campaign_loads_nothing_of_ours(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("""
import sys

def test_light():
    assert "harness.pytest_plugin" in sys.modules
    assert not {"harness.simulate", "checkers._core", "harness.plan"} & sys.modules.keys()
""")
    (tmp_path / "some.toml").write_text("[tool]\n")
    assert "1 passed" in pytested(tmp_path, ".")
