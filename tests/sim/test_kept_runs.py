"""Runs that once went wrong and are repeated for ever. Each is a plan in `kept`, whose head says what it did. And what becomes of one that does not end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

KEPT = Path(__file__).parent / "kept"
EXAMPLE = Path(__file__).parents[2] / "examples" / "primary_backup"
QUORATE = str(Path(sys.executable).parent / "quorate")
PATIENCE_S = 240.0  # each takes some seconds; one stood still for ever


@pytest.mark.slow
@pytest.mark.parametrize("plan", sorted(KEPT.glob("*.toml")), ids=lambda plan: plan.stem)
def test_it_comes_to_its_end_and_nothing_is_violated(plan: Path, tmp_path: Path) -> None:
    command = [QUORATE, "run", str(plan), "--out", str(tmp_path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    results = json.loads(done.stdout)
    assert results["outcome"] in ("valid", "unknown"), results["reason"]
    assert {claim["verdict"] for claim in results["claims"].values()} == {"valid"}
    assert results["stats"]["stats"]["ops"] > 100


@pytest.mark.slow
def test_a_system_that_sends_without_end_is_told_and_its_run_proves_nothing(tmp_path: Path) -> None:
    """Who has a row sends it back, twice."""
    answer = "yield Send(primary, Have(row))"
    node = (EXAMPLE / "node.py").read_text()
    assert answer in node
    (tmp_path / "node.py").write_text(node.replace(answer, f"{answer}; yield Send(primary, row); yield Send(primary, row)"))  # fmt: skip
    (tmp_path / "plan.toml").write_text((EXAMPLE / "plan.toml").read_text())
    command = [QUORATE, "run", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.returncode, "without end" in done.stderr, "quorate itself" in done.stderr) == (255, True, False), done.stderr  # fmt: skip
    results = json.loads(next(tmp_path.glob("runs/*/latest/results.json")).read_text())
    assert results["outcome"] == "unknown"
    assert "without end" in results["reason"]
