"""The same seed gives the same bytes: in another process, and with another order of hashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.plan import load_plan
from harness.search.explore import run_one
from harness.search.generations import GENERATION
from harness.search.steering import NAMES
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
    traces = {json.loads((folder / "results.json").read_text())["trace"] for folder in folders}
    assert len(traces) == 1
    assert traces != {None}


RUNS = 10  # two more than a generation of what learns
SHORT = ("time_limit_s=6.0", "rate=40")


def explored_apart(plan: Path, out: Path, strategy: str, hash_seed: str, jobs: str) -> list[dict[str, Any]]:
    """Explore a plan in a process of its own; the records of the runs, but for what they cost."""
    command = [
        str(Path(sys.executable).with_name("quorate")),
        "explore",
        str(plan),
        "--runs",
        str(RUNS),
        "--strategy",
        strategy,
        *(word for change in SHORT for word in ("--set", change)),
    ]
    subprocess.run(
        [*command, "--jobs", jobs, "--out", str(out), "--json"],
        env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    records = [json.loads(line) for line in (out / "explored.jsonl").read_text().splitlines()]
    return [{name: value for name, value in record.items() if name != "cpu_s"} for record in records]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", NAMES)
def test_explorations_agree_run_by_run_whatever_the_hash_seed_and_the_jobs(
    strategy: str, tmp_path: Path
) -> None:
    """Fresh processes; the digest of a record is over history, faults and the trace of all events."""
    one, other = (
        explored_apart(ROOT / "examples" / "eventual.toml", tmp_path / jobs, strategy, hash_seed, jobs)
        for hash_seed, jobs in (("1", "1"), ("2", "2"))
    )
    assert len({record["digest"] for record in one}) == RUNS
    assert one == other
    findings = [record for record in one if record["broken"]]
    assert findings[-1]["number"] >= GENERATION, (
        "of what learns, a run that is a change of another is among them"
    )
    for record in findings:
        kept = run_one(
            (tmp_path / "1" / "findings" / f"{record['number']}.toml").read_text(), record["number"]
        )
        assert (kept.digest, [*kept.broken]) == (record["digest"], record["broken"])


@pytest.mark.slow
def test_another_seed_gives_another_history() -> None:
    plan = load_plan(PLANS[1])
    one, other, again = (simulate_run(plan, seed) for seed in (1, 2, 1))
    assert one.lines != other.lines
    assert (one.lines, one.fault_lines) == (again.lines, again.fault_lines)
