"""The example of an asyncio program: its bugs are convicted, without them no seed breaks the claim, and it repeats itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.plan import FAULT_OPTIONS, Plan, load_plan
from harness.search.finding import Target
from harness.search.paused import stopped_at
from harness.simulate import simulate_run
from tests.sim.from_file import again
from tests.sim.kept_claims import NEED_MORE, bug_has_a_small_story, fault_reaches, seeds_keep_the_claim

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "asyncio_store"
MENDED = load_plan(FOLDER / "plan.toml")
EARLY = replace(MENDED, system_options={"early": True})
STALE = Target("regular", "stale-read")


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1, 201, 25))
def test_no_seed_of_the_mended_version_breaks_its_claim(first: int) -> None:
    seeds_keep_the_claim(replace(MENDED, time_limit_s=6.0), range(first, first + 25))


@pytest.mark.parametrize("kind", sorted(FAULT_OPTIONS.keys() - NEED_MORE))
def test_every_other_fault_reaches_it(kind: str) -> None:
    fault_reaches(MENDED, kind)


def test_the_bug_is_convicted_with_a_small_story_and_its_message_is_drawn(tmp_path: Path) -> None:
    bug_has_a_small_story(replace(EARLY, time_limit_s=3.0), STALE, r"DATA b'register-\d+ \d+\\n'", tmp_path)


def test_a_connection_that_was_given_up_still_delivers_and_the_search_finds_who_forgets_that(tmp_path: Path) -> None:  # fmt: skip
    plan = changed(tmp_path, "if count == len(self.log):", "if True:")
    runs = {seed: simulate_run(plan, seed) for seed in range(1, 6)}
    seed = next(seed for seed, run in runs.items() if run.verdict.value == "invalid")
    again(replace(plan, seed=seed), runs[seed], tmp_path)


def changed(tmp_path: Path, old: str, new: str) -> Plan:
    """The plan, with another program beside it."""
    text = (FOLDER / "store.py").read_text()
    assert old in text
    (tmp_path / "store.py").write_text(text.replace(old, new))
    (tmp_path / "plan.toml").write_text((FOLDER / "plan.toml").read_text())
    return load_plan(tmp_path / "plan.toml")


@pytest.mark.slow
def test_it_repeats_itself_under_another_order_of_hashes(tmp_path: Path) -> None:
    runs = []
    for hash_seed in ("1", "2"):
        command = [str(Path(sys.executable).with_name("quorate")), "run", str(FOLDER / "plan.toml"), "--out", str(tmp_path / hash_seed)]  # fmt: skip
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": hash_seed}, check=True, capture_output=True)  # fmt: skip
        runs.append(tmp_path / hash_seed / "asyncio-store/latest")
    for name in ("history.jsonl", "faults.jsonl", "nodes/n2/system.log"):
        assert (runs[0] / name).read_bytes() == (runs[1] / name).read_bytes(), name
    traces = [json.loads((run / "results.json").read_text())["trace"] for run in runs]
    assert traces[0] == traces[1] == simulate_run(MENDED).results["trace"]


def test_a_run_can_be_stopped_and_its_programs_looked_into() -> None:
    with stopped_at(EARLY, 1.0) as standing:
        state = standing.states()["n1"]["node"]
    assert "b'register-0'" in state["rows"]
    assert state["listens"] == "[7001, 7000]"
    assert "to n2" in state["connections"]


def test_the_page_shows_the_program_and_the_verdict_as_they_are() -> None:
    page = (ROOT / "docs" / "simulate-your-own.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert any((FOLDER / "store.py").read_text().endswith(shown) for shown in blocks)
    reason = str(simulate_run(EARLY).results["claims"]["regular"]["reason"])
    assert reason.partition(" (1")[0] in " ".join(page.split())
