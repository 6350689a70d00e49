"""Two commands that go on in one folder at the same time: the second is refused, so that no run is made, or counted, twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import status_of
from harness.plan import PlanError
from harness.runs import alone
from harness.search.explore import Exploration
from tests.sim.test_explore import PLAN, explored
from tests.small_plans import calm, modes_by_reads

CAMPAIGN = 'name = "small"\nbudget = "1m"\n[[items]]\nname = "calm"\nplan = "plan.toml"\nruns = 1\n'
COMMANDS = {
    "explore": ["explore", "plan.toml", "--runs", "1"],
    "matrix": ["matrix", "matrix.toml"],
    "campaign": ["campaign", "run", "campaign.toml"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_is_of_one_process(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.toml").write_text(calm("linearizable"))
    (tmp_path / "matrix.toml").write_text(modes_by_reads("[environments.calm]\nfaults = []\n"))
    (tmp_path / "campaign.toml").write_text(CAMPAIGN)
    command = [*COMMANDS[name], "--jobs", "1", "--out", "there", "--json"]
    with alone(Path("there")):
        assert status_of(command) == 254
        assert list(Path("there").iterdir()) == []
    said = json.loads(capsys.readouterr().out)["error"]
    assert "another process makes runs there" in said


def test_a_strategy_that_is_not_there_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plan.toml").write_text(calm("linearizable"))
    assert status_of(["explore", "plan.toml", "--strategy", "sedes", "--out", "there"]) == 254
    assert not Path("there").exists()


def test_a_folder_is_free_again(tmp_path: Path) -> None:
    for _ in range(2):
        with alone(tmp_path / "a" / "b"):
            pass


def test_a_run_that_is_there_twice_is_named(tmp_path: Path) -> None:
    """As two explorations at once wrote it down, before the folder was held."""
    explored(PLAN, tmp_path, 1)
    file = tmp_path / "explored.jsonl"
    file.write_bytes(file.read_bytes() * 2)
    with pytest.raises(PlanError, match=r"explored.jsonl:2: is run 0, and run 1 comes here"):
        Exploration(PLAN, "seeds", tmp_path)
