"""What a run left is told so that others can check it: versions, sums, logs, the run before, silences, and how stale reads were."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run_folders
from test_outages import calls, fault

from harness import runs
from harness.report import write_report
from harness.report.evidence import judge_again, kept_files, log_rows, since, sums
from harness.report.folder import read_folder
from harness.report.outages import SILENCES_SHOWN, silences
from harness.report.plots import ECDF_STEPS, ecdf, staleness_plot
from harness.report.rows import facts, settings_of, version_of

EARLIER, LATER = "20260101T000000.000-7", "20260102T000000.000-7"
MS = run_folders.MS


def test_the_commit_of_a_source_tree_is_known_and_whether_it_was_changed(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert runs.commit_of.__wrapped__(tmp_path) == {}
    git("init", "-q")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.py").write_text("x = 1\n")
    git("add", ".")
    git("commit", "-qm", "first")
    head = git("rev-parse", "HEAD")
    assert runs.commit_of.__wrapped__(tmp_path) == {"commit": head, "dirty": False}
    (tmp_path / "left.py").write_text("")  # not part of it
    assert runs.commit_of.__wrapped__(tmp_path) == {"commit": head, "dirty": False}
    (tmp_path / "inner" / "a.py").write_text("x = 2\n")
    assert runs.commit_of.__wrapped__(tmp_path) == {"commit": head, "dirty": True}
    assert runs.commit_of.__wrapped__(tmp_path / "inner") == {}  # somebody else's checkout around us


def test_the_version_in_the_head_has_the_commit_and_says_dirty() -> None:
    known = {"versions": {"quorate": "0.1.0"}, "code": {"commit": "0123456789abcdef", "dirty": False}}
    assert version_of(known) == "0.1.0, commit 0123456789ab"
    assert version_of({**known, "code": {"commit": "0123456789abcdef", "dirty": True}}) == "0.1.0, commit 0123456789ab, changed since (dirty)"  # fmt: skip
    assert version_of({**known, "code": {}}) == "0.1.0"
    assert version_of({}) == "–"


def test_settings_and_how_often_it_comes_again_stand_in_the_head(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", ops=5)
    system = {"name": "kvstore", "mode": "quorum", "n": 3, "sloppy": False, "bugs": [], "type": "", "read_repair": "async"}  # fmt: skip
    assert settings_of(system) == "n 3, sloppy no, read repair async"
    assert settings_of(None) == ""
    assert "reproduces" not in dict(facts(read_folder(folder)))
    variants = [{"without": "the plan", "verdict": "", "hits": 9, "runs": 10}, {"without": "kill", "verdict": "needed", "hits": 0, "runs": 10}]  # fmt: skip
    (folder / "attribution.json").write_text(json.dumps({"sentence": "so", "variants": variants}))
    assert dict(facts(read_folder(folder)))["reproduces"] == "9 of 10 runs"


def test_files_are_told_with_their_sums(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", ops=5)
    (folder / "nodes" / "n1").mkdir(parents=True)
    (folder / "nodes" / "n1" / "system.log").write_text("started\n")
    page = write_report(folder).read_text()
    names = [name for name, _, _ in sums(folder)]
    assert names == ["plan.toml", "history.jsonl", "faults.jsonl", "results.json", "environment.json", "nodes/n1/system.log"]  # fmt: skip
    for path in kept_files(folder):
        assert f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" in page


def test_log_lines_that_look_bad_are_counted(tmp_path: Path) -> None:
    (tmp_path / "nodes" / "n2").mkdir(parents=True)
    text = "started\nERROR first\nno terror here\nfatal: <b>\u202elast\n"
    (tmp_path / "nodes" / "n2" / "system.log").write_text(text)
    assert list(log_rows(tmp_path)) == [("n2/system.log", "4", "2", "fatal: <b>\\u202elast")]


def test_the_run_before_is_that_of_the_same_name_that_came_to_an_end(tmp_path: Path) -> None:
    for name in (EARLIER, "20260101T120000.000-7", LATER, "20260103T000000.000-7", "notes"):
        (tmp_path / name).mkdir()
        if "T12" not in name:
            (tmp_path / name / "results.json").write_text("{}")
    assert runs.before(tmp_path / LATER) == tmp_path / EARLIER
    assert runs.before(tmp_path / EARLIER) is None
    assert runs.before(tmp_path / "notes") is None


def test_what_changed_since_the_run_before_is_told(tmp_path: Path) -> None:
    earlier = run_folders.make(tmp_path / EARLIER, "valid", ops=5)
    later = run_folders.make(tmp_path / LATER, ops=5)
    (later / "plan.toml").write_text(run_folders.PLAN.replace("seed = 7", "seed = 8"))
    found = since(read_folder(later))
    assert found is not None
    assert found["guarantees"] == [("linearizable", "valid", "invalid", "newly broken")]
    assert found["same"] == "2 guarantees are not broken"
    assert found["plan"] == ["seed: 7 became 8"]
    assert found["command"] == f"quorate report {earlier} {later}"
    page = write_report(later).read_text()
    assert 'href="#since"' in page
    assert "newly broken" in page
    assert 'href="#since"' not in write_report(earlier).read_text()
    (earlier / "results.json").write_text("{")
    assert since(read_folder(later)) is None


def test_a_history_can_be_judged_again_by_the_claims_of_its_run(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "a run", ops=5)
    run = read_folder(folder)
    path = f"'{run.folder}/history.jsonl'"
    assert judge_again(run) == [f"quorate compare {path}"]
    results = json.loads((folder / "results.json").read_text())
    results["claims"] = dict.fromkeys(("linearizable (read)", "queue"), results["claims"]["linearizable"])
    (folder / "results.json").write_text(json.dumps(results))
    assert judge_again(read_folder(folder)) == [
        f"quorate compare {path}",
        f"quorate check {path} --model queue",
    ]


def test_silences_begin_when_somebody_waits() -> None:
    """Calls each 10 ms, answered 4 ms later; one of them after 500 ms, and nobody calls for a second after it."""
    each = [bar for bar in calls(*["ok"] * 40) if not 10 <= bar.index // 2 < 30]
    bars = [type(bar)(bar.index, bar.process, bar.node, bar.f, bar.key, bar.value, bar.outcome, bar.start_ns * MS, (bar.end_ns or 0) * MS) for bar in each]  # fmt: skip
    assert silences(bars, []) == []  # from 94 to 304 ms, but the next was called at 300
    waits = type(bars[0])(99, 1, "n1", "read", 1, 7, "info", 100 * MS, None, None, 290 * MS)
    held = sorted([*bars, waits], key=lambda bar: bar.start_ns)
    assert silences(held, [fault(200 * MS, None)]) == [(100 * MS, 304 * MS, ("kill",))]
    assert silences(held, [fault(400 * MS, None)]) == [(100 * MS, 304 * MS, ())]
    assert silences([waits], []) == []
    slow = [
        type(waits)(at, 0, "n1", "read", 1, 7, "ok", at * 200 * MS, (at * 200 + 150) * MS) for at in range(9)
    ]
    assert len(silences(slow, [])) == SILENCES_SHOWN


def test_the_time_by_which_reads_were_stale_is_drawn_as_an_ecdf() -> None:
    assert ecdf([2_000_000, 4_000_000, 4_000_000, 8_000_000])[0] == (2.0, 25.0)
    assert ecdf([0]) == [(0.001, 100.0)]
    many = ecdf(list(range(1, 100_001)))
    assert len(many) == ECDF_STEPS + 1
    assert many[-1] == (0.1, 100.0)
    assert many == sorted(many)
    assert staleness_plot([], []) == ""
    drawn = staleness_plot([("1", 3), ("3 to 4", 1)], [2_000_000, 4_000_000, 4_000_000, 8_000_000])
    assert "acknowledged versions behind (k)" in drawn
    assert "at most so many ms behind (Δ)" in drawn
    assert "3 to 4" in drawn


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_run_says_which_commit_it_was_made_with() -> None:
    told = runs.environment()["code"]
    assert told == runs.commit_of(Path(runs.__file__).parent.parent)
