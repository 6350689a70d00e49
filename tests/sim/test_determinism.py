"""The same seed gives the same bytes: in another process, and with another order of hashes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.plan import load_plan
from harness.simulate import simulate_run

ROOT = Path(__file__).parents[2]
PLANS = (ROOT / "workloads" / "demo" / "register-skewed.toml", ROOT / "examples" / "register.toml")
PROGRAM = """
import sys
from dataclasses import replace
from pathlib import Path
from harness.plan import load_plan
from harness.runner import run

plan = replace(load_plan(sys.argv[1]), time_limit_s=12.0)
print(run(plan, world="sim", out=Path(sys.argv[2])).folder)
"""


def run_apart(plan: Path, out: Path, hash_seed: str) -> Path:
    """Run a plan in a process of its own and return the run's folder."""
    command = [sys.executable, "-c", PROGRAM, str(plan), str(out)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True
    )
    return Path(done.stdout.strip().splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("plan", PLANS, ids=lambda path: path.stem)
def test_two_processes_with_different_hash_seeds_write_the_same_bytes(plan: Path, tmp_path: Path) -> None:
    folders = [run_apart(plan, tmp_path / hash_seed, hash_seed) for hash_seed in ("1", "2")]
    for name in ("history.jsonl", "faults.jsonl"):
        first, second = ((folder / name).read_bytes() for folder in folders)
        assert first, f"{name} is empty, so this test would prove nothing"
        assert first == second


@pytest.mark.slow
def test_another_seed_gives_another_history() -> None:
    plan = load_plan(PLANS[1])
    one, other, again = (simulate_run(plan, seed) for seed in (1, 2, 1))
    assert one.lines != other.lines
    assert (one.lines, one.fault_lines) == (again.lines, again.fault_lines)
