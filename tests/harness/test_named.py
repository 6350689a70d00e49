"""What a plan calls by name: found where it lies, refused in words that say what to do, and never taken for a failure of quorate."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import status_of
from harness.plan import Plan, PlanError, dump_plan, load_plan, parse_plan
from harness.plan_changes import changed
from harness.runner import Story
from harness.simulate import simulate_run
from harness.system import find_system
from harness.workload import find_workload

PLAN = """
name = "mine"
workload = "register"
claims = ["linearizable"]
nodes = 3
time_limit_s = 1

[system]
name = "SYSTEM"
"""
OURS = """
from dataclasses import dataclass
from workloads.kvstore_system import KvStoreSystem
from workloads import register

@dataclass
class Noted:
    text: str

class Mine(KvStoreSystem):
    name = "mine"

class Bare:
    name = "bare"
    nodes = ("n1",)
    def __init__(self, options, nodes):
        self.options = options
    def describe(self):
        return {}
    async def ready(self, channel):
        return True

def load(options):
    return register.workload(options)

def nothing(options):
    return None

def broken(options, nodes):
    return options["absent"]

def refusing(options, nodes):
    from harness.plan import PlanError
    raise PlanError("[system] mine has no options")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the plan and the file lie, which is not where the reader stands."""
    beside = tmp_path / "plans"
    beside.mkdir()
    (beside / "mine.py").write_text(OURS)
    return beside


def plan_of(folder: Path, system: str, workload: str = "register") -> Plan:
    path = folder / "plan.toml"
    path.write_text(PLAN.replace("SYSTEM", system).replace('"register"', f'"{workload}"'))
    return load_plan(path)


def test_a_file_beside_the_plan_is_run(folder: Path) -> None:
    plan = plan_of(folder, "mine.py:Mine", "mine.py:load")
    assert plan.system == f"{folder / 'mine.py'}:Mine"
    assert plan.workload == f"{folder / 'mine.py'}:load"
    ran = simulate_run(plan)
    assert len(ran.history) > 50
    assert ran.lines == simulate_run(plan_of(folder, "kvstore")).lines


def test_the_plan_of_a_run_names_it_from_anywhere(folder: Path) -> None:
    plan = plan_of(folder, "mine.py:Mine")
    assert parse_plan(dump_plan(plan)) == plan
    assert Story(parse_plan(dump_plan(plan)), "sim").system.name == "mine"


def test_set_takes_paths_from_where_one_stands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(folder, "kvstore")
    monkeypatch.chdir(folder)
    assert changed(plan, ["system.name=mine.py:Mine"], "p").system == f"{folder / 'mine.py'}:Mine"
    assert changed(plan, ["workload=mine.py:load"], "p").workload == f"{folder / 'mine.py'}:load"
    with pytest.raises(PlanError, match="workload must be text in quotes, not 3"):
        changed(plan, ["workload=3"], "p")


def test_a_module_is_found_by_its_name() -> None:
    assert find_system("workloads.kvstore_system:KvStoreSystem")({}, ["n1"]).name == "kvstore"


def test_two_files_of_one_name_do_not_meet(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OURS.replace('name = "mine"', 'name = "other"'))
    assert find_system(f"{folder / 'mine.py'}:Mine")({}, ["n1"]).name == "mine"
    assert find_system(f"{tmp_path / 'mine.py'}:Mine")({}, ["n1"]).name == "other"


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ("kvstor", "no system 'kvstor'; there are: kvstore; one of your own is named by its file"),
        ("absent.py:Mine", "there is no file .*/plans/absent.py; a path is taken from the plan's folder"),
        ("mine.py", "say which class or function of it makes one, after a colon; there are Noted, Mine, Bare, load"),
        ("mine.py:Mein", r"there is no class or function 'Mein' in it; did you mean 'Mine'\?"),
        ("mine.py:OURS", "there is no class or function 'OURS' in it; there are Noted, Mine"),
        ("no.such:Thing", "this Python finds no module 'no'; install it, set PYTHONPATH, or name a file"),
        ("workloads.absent:Thing", "this Python finds no module 'workloads.absent'"),
        ("mine.py:broken", r"mine.py:broken' cannot be made: KeyError: 'absent' \(mine.py, line \d+\)"),
        ("mine.py:load", r"cannot be made: TypeError: load\(\) takes 1 positional argument but 2 were given$"),
        ("mine.py:refusing", r"^\[system\] mine has no options$"),
        ("mine.py:Bare", "Bare has no simulated form .*; run it with --world hosts"),
        ("mine.py:Noted", "cannot be made: TypeError"),
    ],
)  # fmt: skip
def test_wrong_names_are_refused(system: str, message: str, folder: Path) -> None:
    with pytest.raises(PlanError, match=message):
        Story(plan_of(folder, system), "sim")


def test_what_a_world_needs_is_named(folder: Path) -> None:
    with pytest.raises(PlanError, match="lacks deployment, dial, which the world hosts needs"):
        Story(plan_of(folder, "mine.py:Bare"), "hosts")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def half(:", r"it cannot be read: SyntaxError: invalid syntax \(bad.py, line 1\)$"),
        ("import json\njson.loads('{')", r"it cannot be read: JSONDecodeError: .* \(bad.py, line 2\)"),
        ("import absent_module", r"it cannot be read: ModuleNotFoundError: .* \(bad.py, line 1\)"),
        ("raise SystemExit(3)", r"it cannot be read: SystemExit: 3 \(bad.py, line 1\)"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_by_its_line(text: str, message: str, folder: Path) -> None:
    (folder / "bad.py").write_text(text)
    with pytest.raises(PlanError, match=message):
        Story(plan_of(folder, "bad.py:Store"), "sim")


def test_a_file_is_read_anew_once_it_is_mended(folder: Path) -> None:
    (folder / "later.py").write_text("raise ValueError")
    with pytest.raises(PlanError):
        find_system(f"{folder / 'later.py'}:Mine")
    (folder / "later.py").write_text(OURS)
    assert find_system(f"{folder / 'later.py'}:Mine")({}, ["n1"]).name == "mine"


def test_a_workload_that_is_none_is_refused(folder: Path) -> None:
    with pytest.raises(PlanError, match="it makes a NoneType, and no harness"):
        find_workload(f"{folder / 'mine.py'}:nothing")({})


def test_explore_refuses_at_once_and_leaves_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan_of(folder, "mine.py:Bare")
    out = folder / "explored"
    assert status_of(["explore", str(folder / "plan.toml"), "--runs", "2", "--out", str(out)]) == 254
    assert "has no simulated form" in capsys.readouterr().err
    assert not out.exists()
