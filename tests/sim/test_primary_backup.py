"""The example of `docs/simulate-your-own.md`: its bug is convicted with a small story, and without it no seed breaks the claim."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli import status_of
from harness.plan import FAULT_OPTIONS, Plan, load_plan
from harness.search.finding import Target
from harness.search.paused import stopped_at, stopped_before
from harness.simulate import simulate_run
from tests.sim.kept_claims import NEED_MORE, bug_has_a_small_story, fault_reaches, seeds_keep_the_claim

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "primary_backup"
MENDED = load_plan(FOLDER / "plan.toml")
EARLY = replace(MENDED, system_options={"early": True})
STALE = Target("regular", "stale-read")


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1, 41, 10))
def test_no_seed_of_the_mended_version_breaks_its_claim(first: int) -> None:
    seeds_keep_the_claim(MENDED, range(first, first + 10))


@pytest.mark.parametrize("kind", sorted(FAULT_OPTIONS.keys() - NEED_MORE))
def test_every_other_fault_reaches_it(kind: str) -> None:
    fault_reaches(MENDED, kind)


def test_the_bug_is_convicted_with_a_small_story(tmp_path: Path) -> None:
    cut = r"Row\(key=b'register-\d+', version=1, value=b'\d+'\)"
    bug_has_a_small_story(replace(EARLY, time_limit_s=3.0), STALE, cut, tmp_path)


def test_the_page_shows_the_node_and_the_verdict_as_they_are() -> None:
    page = (ROOT / "docs" / "simulate-your-own.md").read_text()
    shown = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    assert (FOLDER / "node.py").read_text().endswith(shown)
    reason = str(simulate_run(EARLY).results["claims"]["regular"]["reason"])
    assert reason.partition(" (1")[0] in " ".join(page.split())


def test_a_run_can_be_stopped_and_its_nodes_looked_into() -> None:
    core = simulate_run(EARLY).results["claims"]["regular"]["certificate"]["ops"]
    with stopped_before(EARLY, max(core)) as standing:
        processes = {name: machine.process for name, machine in standing.machines.items()}
        rows = {name: process.node.rows for name, process in processes.items() if process is not None}
        assert len({rows[name].get(key) for name in rows for key in rows["n1"]}) > 1
        assert "newest" in standing.states()["n1"]["node"]


@pytest.mark.slow
def test_it_repeats_itself_under_another_order_of_hashes(tmp_path: Path) -> None:
    plan = str(FOLDER / "plan.toml")
    lines = simulate_run(MENDED).lines
    for hash_seed in ("1", "2"):
        command = [str(Path(sys.executable).with_name("quorate")), "run", plan, "--out", str(tmp_path / hash_seed)]  # fmt: skip
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": hash_seed}, check=True, capture_output=True)  # fmt: skip
        assert (tmp_path / hash_seed / "primary-backup/latest/history.jsonl").read_bytes() == lines


def broken(tmp_path: Path, old: str, new: str) -> Plan:
    """The plan, with another node beside it."""
    text = (FOLDER / "node.py").read_text()
    assert old in text
    (tmp_path / "node.py").write_text(text.replace(old, new))
    (tmp_path / "plan.toml").write_text((FOLDER / "plan.toml").read_text())
    return load_plan(tmp_path / "plan.toml")


def test_where_a_node_broke_off_it_can_be_looked_into(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = broken(tmp_path, "yield Send(primary, Have(row))", "yield Send(primary, Have(self.nothing))")
    assert status_of(["run", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "runs")]) == 255
    said = " ".join(capsys.readouterr().err.split())
    assert re.search(r"node n[23] broke off at \d+\.\d+ s of the simulator, at Committed\(.*AttributeError: .*nothing.* \(node.py, line \d+\)", said)  # fmt: skip
    assert "quorate itself failed" not in said
    log = (tmp_path / "runs/primary-backup/latest/nodes/n1/system.log").read_text()
    assert "started, pid 1000" in log, "the logs of a run that broke off are not fetched"
    with stopped_at(plan, 9.0) as standing:
        assert "broke off" in str(standing.failure)
        assert standing.ended_s is not None
        assert 0 < standing.ended_s < 1
        assert all(state["state"] == "running" for state in standing.states().values())
    assert status_of(["replay", str(tmp_path / "plan.toml"), "--until", "9s"]) == 0
    assert "; it broke off: node n" in capsys.readouterr().out


def test_a_node_that_dies_at_its_restart_ends_the_run(tmp_path: Path) -> None:
    plan = broken(tmp_path, "self.newest = max(", "assert not setting.disk\n        self.newest = max(")
    with pytest.raises(Exception, match=r"node n\d broke off at .* at being made: AssertionError"):
        simulate_run(plan)


def test_it_runs_in_the_simulator_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hosts.toml").write_text("")
    arguments = [
        "run",
        str(FOLDER / "plan.toml"),
        "--world",
        "hosts",
        "--inventory",
        str(tmp_path / "hosts.toml"),
    ]
    assert status_of([*arguments, "--out", str(tmp_path)]) == 254
    assert "lacks deployment, dial, which the world hosts needs" in " ".join(capsys.readouterr().err.split())
