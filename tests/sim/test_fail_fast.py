"""A run that ends at its first violation: early, with all that a run leaves; and only where there is something to watch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import status_of

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
def test_a_violation_ends_the_load_and_not_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = str(EXAMPLES / "eventual.toml")
    assert status_of(["run", plan, "--out", str(tmp_path), "--json"]) == 1
    whole = json.loads(capsys.readouterr().out)
    assert status_of(["run", plan, "--fail-fast", "--out", str(tmp_path), "--json"]) == 1
    early = json.loads(capsys.readouterr().out)
    assert whole["ended_early"] is None
    assert early["ended_early"].startswith("stale-read: ")
    assert early["stats"]["stats"]["ops"] < whole["stats"]["stats"]["ops"] / 2
    history = (Path(early["folder"]) / "history.jsonl").read_text()
    assert '"f":"heal"' in history  # the last reads came after it
    assert history.rindex('"f":"read"') > history.index('"f":"heal"')
    assert status_of(["run", plan, "--fail-fast", "--out", str(tmp_path)]) == 1
    assert "ended early: stale-read" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_a_run_without_a_violation_goes_on_to_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = str(EXAMPLES / "register.toml")
    folders = []
    for more in ([], ["--fail-fast"]):
        assert status_of(["run", plan, *more, "--time-limit", "6", "--out", str(tmp_path), "--json"]) == 0
        folders.append(Path(json.loads(capsys.readouterr().out)["folder"]))
    assert len({(folder / "history.jsonl").read_bytes() for folder in folders}) == 1


def test_where_there_is_nothing_to_watch_it_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["run", str(EXAMPLES / "crdt-set.toml"), "--fail-fast"]) == 254
    assert "--fail-fast watches registers" in " ".join(capsys.readouterr().err.split())
