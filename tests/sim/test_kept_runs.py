"""Runs that once went wrong and are repeated for ever. Each is a plan in `kept`, whose head says what it did."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

KEPT = Path(__file__).parent / "kept"
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
