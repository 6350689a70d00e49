"""The run folder: made once, found again, never seen half written."""

from __future__ import annotations

import json
import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness import runs
from harness.plan import PlanError

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)


def test_the_folder_is_named_by_time_and_seed_and_latest_points_to_it(tmp_path: Path) -> None:
    folder = runs.create(tmp_path, "demo", 7, NOW)
    assert folder == tmp_path / "demo" / "20260102T030405.678-7"
    latest = tmp_path / "demo" / "latest"
    assert latest.is_symlink()
    assert latest.resolve() == folder
    later = runs.create(tmp_path, "demo", 8, NOW)
    assert latest.resolve() == later


def test_two_runs_of_one_millisecond_get_folders_of_their_own(tmp_path: Path) -> None:
    folders = [runs.create(tmp_path, "demo", 7, NOW) for _ in range(3)]
    assert len(set(folders)) == 3


def make(arguments: tuple[Path, int]) -> Path:
    """Make a run folder in a process of its own."""
    return runs.create(arguments[0], "demo", 7, NOW)


def test_processes_that_start_together_do_not_share(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        folders = pool.map(make, [(tmp_path, number) for number in range(20)], chunksize=1)
    assert len(set(folders)) == 20
    assert (tmp_path / "demo" / "latest").resolve() in folders
    assert [path for path in (tmp_path / "demo").iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["", "..", "a/b", "latest", ".hidden", "a b"])
def test_a_name_that_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PlanError, match="cannot be a folder"):
        runs.create(tmp_path, name, 1, NOW)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        PlanError, match=r"no run folder can be made in .*give --out a folder you can write to"
    ):
        runs.create(tmp_path / "file", "demo", 1, NOW)


def test_a_run_is_found_by_its_path_its_name_or_latest(tmp_path: Path) -> None:
    folder = runs.create(tmp_path, "demo", 7, NOW)
    runs.write_text(folder / "plan.toml", "x = 1\n")
    for where in (folder, tmp_path / "demo", tmp_path / "demo" / "latest"):
        assert runs.find(where) == folder.resolve()
    with pytest.raises(PlanError, match="holds no run; give the folder of one"):
        runs.find(tmp_path)


def test_files_are_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    runs.write_json(path, {"schema": 1, "text": "é"})
    runs.write_json(path, {"schema": 2, "text": "é"})
    assert json.loads(path.read_text()) == {"schema": 2, "text": "é"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    runs.write_json(path, {"schema": 1})
    with pytest.raises(TypeError):
        runs.write_json(path, {("a",): 1})  # type: ignore[dict-item]
    assert json.loads(path.read_text()) == {"schema": 1}


def test_the_environment_names_versions() -> None:
    environment = runs.environment()
    assert environment["python"].startswith("3.")
    assert {"quorate", "msgspec", "paramiko"} <= set(environment["versions"])
    assert json.loads(json.dumps(environment)) == environment
