"""The document for a design review: every sentence comes from results, and what was not seen is not praised."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli import status_of
from harness.plan_claims import Documented, dump_claims
from harness.report.folder import read_folder
from harness.report.review import abstract, recommendations, review_html, review_markdown, sections
from harness.report.study import Found, Study, Trial, meanwhile, needed, study_of_runs

sys.path.insert(0, str(Path(__file__).parent))
import run_folders

EVIL = "</script><img src=x onerror=alert(1)>|[a](b)"
LOAD = "10 clients on 5 nodes, 100 operations a second, for 20 s"
GOOD = Trial("store mode=a", "simulator", "register", LOAD, 20, {"ok": 20}, 9_000, ("kill",), {"kill": 40}, {"linearizable": {"valid": 20}}, ("linearizable",), 0.9, ())  # fmt: skip
BAD = replace(GOOD, configuration="store mode=b", outcomes={"violation": 5, "ok": 15}, claims={"linearizable": {"invalid": 5, "valid": 15}}, kept=("regular",))  # fmt: skip
FOUND = Found("linearizable", "stale-read", "store mode=b", "read #4 returned 1", "|--r--|", (), 5, 20, "", "", ("kill",), "quorate run p --seed 1", "quorate attribute r")  # fmt: skip
STUDY = Study("store", [GOOD, BAD], [FOUND], [], ["no paused nodes in any run"], [("a", "1", "valid", "runs/a")], ["quorate 1"])  # fmt: skip


def invalid_with(folder: Path, variants: dict[str, str]) -> Path:
    """An INVALID run of which somebody asked what it needs."""
    made = run_folders.make(folder, ops=20)
    rows = [{"without": name, "runs": 40, "hits": 0 if verdict == "needed" else 17, "chance": 0.0, "verdict": verdict} for name, verdict in {"as it is": "", **variants}.items()]  # fmt: skip
    found = {"claim": "linearizable", "anomaly": "x", "sentence": "it shows in 17 of 40 runs", "variants": rows}  # fmt: skip
    (made / "attribution.json").write_text(json.dumps(found))
    return made


def test_it_has_the_parts_of_a_published_analysis() -> None:
    assert [section.title for section in sections(STUDY)] == [
        "Abstract", "System and claims", "Test design", "Findings", "1. stale-read against linearizable",
        "What was not tested", "Recommendations", "Runs",
    ]  # fmt: skip


def test_the_abstract_counts_what_was_done_and_found() -> None:
    told = list(abstract(STUDY))
    assert (
        told[0]
        == "store was tested in 40 runs of 2 configurations (simulator), with 18,000 operations and 80 faults that bit (killed and restarted nodes)."
    )
    assert told[1] == "1 finding: store mode=b broke linearizable (stale-read, in 5 of 20 runs)."
    assert told[2].startswith("store mode=a kept linearizable in every run; after 20 runs without a violation a rate of up to 13.9 % ")  # fmt: skip
    assert len(told) == 3


def test_recommendations_follow_from_results() -> None:
    told = list(recommendations(STUDY))
    assert (
        told[0]
        == "Do not rely on linearizable of store mode=b; what no run refuted of it is regular. Under the same load and faults store mode=a kept it in every run."
    )
    assert told[1].startswith("Find out which event is required for stale-read against linearizable")
    assert (
        told[2]
        == "store mode=a: 279 more runs without a violation would rule out a rate above 1.00 % (95 %); 20 rule out one above 13.9 %."
    )
    assert told[3].startswith("Run the plans on hosts")
    assert len(told) == 4


@pytest.mark.parametrize(
    ("study", "says"),
    [
        (replace(STUDY, trials=[replace(GOOD, bit={})]), "Make the fault kill bite: in no run of store mode=a"),
        (replace(STUDY, trials=[replace(GOOD, outcomes={"ok": 17, "vacuous": 3}, claims={"linearizable": {"valid": 17, "unknown": 3}}, reasons=("the kill never bit",))]), "Run store mode=a again: 3 runs of 20 came to no verdict (the kill never bit)."),
        (replace(STUDY, documented=[{"says": "fresh", "source": "manual", "name": "regular", "configuration": "store mode=b", "verdict": "invalid", "evidence": ""}]), "Change the sentence “fresh” (manual), or what it speaks of: store mode=b is not regular."),
        (replace(STUDY, findings=[replace(FOUND, needs="partition")]), "Do not rely on linearizable of store mode=b where partition can happen"),
        (replace(STUDY, trials=[GOOD, replace(BAD, world="hosts")]), "Do not rely on linearizable of store mode=b; what no run refuted of it is regular."),
    ],
)  # fmt: skip
def test_each_trouble_has_its_recommendation(study: Study, says: str) -> None:
    assert any(line.startswith(says) for line in recommendations(study))


def test_nothing_is_recommended_of_what_was_not_seen() -> None:
    clean = replace(STUDY, trials=[replace(GOOD, runs=300, outcomes={"ok": 300}, world="hosts", claims={"linearizable": {"valid": 300}})], findings=[])  # fmt: skip
    assert list(recommendations(clean)) == []
    assert "No claim was found broken." in list(abstract(clean))
    assert "no proof that none can be" in review_markdown(clean)


def test_runs_of_one_plan_are_one_trial(tmp_path: Path) -> None:
    folders = [run_folders.make(tmp_path / name, outcome, ops=20) for name, outcome in (("a", "invalid"), ("b", "valid"), ("c", "unknown"))]  # fmt: skip
    study = study_of_runs([read_folder(folder) for folder in folders])
    (trial,) = study.trials
    assert (trial.runs, trial.claims["linearizable"]) == (3, {"invalid": 1, "valid": 1, "unknown": 1})
    assert trial.kept == ("regular",)
    assert trial.bit == {"partition": 3, "kill": 3}
    (found,) = study.findings
    assert (found.hits, found.runs, found.configuration) == (1, 3, "kvstore mode=quorum n=3 r=2 w=2")
    assert [bar.index for bar in found.bars] == [0, 2, 3, 5]
    assert found.meanwhile == ()
    other = run_folders.make(tmp_path / "d", "valid", ops=20)
    (other / "plan.toml").write_text(run_folders.PLAN.replace("r = 2", "r = 3"))
    assert len(study_of_runs([read_folder(folder) for folder in (*folders, other)]).trials) == 2


def test_the_event_required_is_what_ablation_found(tmp_path: Path) -> None:
    files = [read_folder(invalid_with(tmp_path / "run", {"partition": "needed", "kill": "no matter"}))]
    (found,) = study_of_runs(files).findings
    assert found.needs == "partition"
    text = review_markdown(study_of_runs(files))
    assert "| kvstore mode=quorum n=3 r=2 w=2 | partition | 1 of 1 run" in text
    assert "Event required: partition. It shows in 17 of 40 runs." in text


@pytest.mark.parametrize(
    ("variants", "needs"),
    [({"kill": "no matter"}, "none of those that were left out"), ({"kill": "undecided"}, ""), ({"kill": "needed", "loss": "needed"}, "kill and loss")],
)  # fmt: skip
def test_what_is_needed_in_words(tmp_path: Path, variants: dict[str, str], needs: str) -> None:
    assert needed(read_folder(invalid_with(tmp_path / "run", variants)).attribution)[0] == needs
    assert needed({}) == ("", "")


def test_a_fault_that_went_on_is_told_apart_from_one_that_is_needed(tmp_path: Path) -> None:
    run = read_folder(run_folders.make(tmp_path / "run", ops=20))
    late = {"kind": "kill", "bit": True, "start_ns": 10**12, "end_ns": None}
    beside = [{"kind": "pause", "bit": True, "start_ns": 0, "end_ns": None}, {"kind": "loss", "bit": False, "start_ns": 0, "end_ns": None}, late]  # fmt: skip
    assert meanwhile(run.core_bars, beside) == ("pause",)


def test_the_documentation_is_answered_by_the_worst_run(tmp_path: Path) -> None:
    bad, good = run_folders.make(tmp_path / "a", ops=20), run_folders.make(tmp_path / "b", "valid", ops=20)
    for folder in (good, bad):
        claims = [Documented(says="one copy", source="manual", guarantee="linearizable"), Documented(says="quick", source="manual", guarantee="safe", where={"mode": "x"})]  # fmt: skip
        (folder / "claims.toml").write_text(dump_claims(claims))
    rows = study_of_runs([read_folder(good), read_folder(bad)]).documented
    assert [(row["says"], row["verdict"]) for row in rows] == [
        ("one copy", "invalid"),
        ("quick", "not asked"),
    ]


def test_what_one_run_tested_is_not_among_what_was_not(tmp_path: Path) -> None:
    one, other = run_folders.make(tmp_path / "a", ops=20), run_folders.make(tmp_path / "b", ops=20)
    (other / "faults.jsonl").write_text(json.dumps({**run_folders.FAULTS[0], "kind": "pause"}) + "\n")
    told = study_of_runs([read_folder(one), read_folder(other)]).untested
    assert "no paused nodes in any run" not in told
    assert "no shifted clocks in any run" in told


def test_values_of_strangers_stay_text(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", core=run_folders.core_ops(EVIL), sentence=EVIL, ops=20)
    study = study_of_runs([read_folder(folder)])
    html = review_html(study)
    assert "<img" not in html
    assert html.count("</script>") == 1
    outside = "\n".join(review_markdown(study).split("```")[::2])
    assert "<img" not in outside
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_the_command_writes_both_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, good = run_folders.make(tmp_path / "a", ops=20), run_folders.make(tmp_path / "b", "valid", ops=20)
    out = tmp_path / "out"
    assert status_of(["review", str(bad), str(good), str(bad), "--out", str(out)]) == 0
    assert capsys.readouterr().out.split() == [str(out / "review.html"), str(out / "review.md")]
    assert "tested in 2 runs" in (out / "review.md").read_text()
    assert status_of(["review", str(bad), "--out", str(out), "--json"]) == 0
    assert [each["claim"] for each in json.loads(capsys.readouterr().out)["findings"]] == ["linearizable"]
    assert status_of(["review", str(tmp_path / "nothing"), "--out", str(out)]) == 254
    assert status_of(["review", str(bad), str(bad / "plan.toml"), "--out", str(out)]) == 254


@pytest.mark.slow
def test_a_campaign_is_reviewed_from_its_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = (Path(__file__).parents[2] / "examples" / "eventual.toml").read_text().replace("time_limit_s = 30", "time_limit_s = 8")  # fmt: skip
    (tmp_path / "plan.toml").write_text(plan)
    file, night = tmp_path / "campaign.toml", tmp_path / "night"
    file.write_text('name = "c"\n[[items]]\nname = "bad"\nplan = "plan.toml"\nruns = 3\n[[items]]\nname = "good"\nplan = "plan.toml"\nruns = 2\nset = { "system.mode" = "register" }\n')  # fmt: skip
    assert status_of(["review", str(file), "--ledger", str(night), "--out", str(tmp_path)]) == 254
    assert status_of(["campaign", "run", str(file), "--out", str(night), "--jobs", "1"]) == 1
    capsys.readouterr()
    assert status_of(["review", str(file), "--ledger", str(night), "--out", str(tmp_path)]) == 0
    text = (tmp_path / "review.md").read_text()
    assert "tested in 5 runs of 2 configurations" in text
    assert "broke its claim to be linearizable" in text
    assert "quorate attribute" in text
    assert "kvstore mode=register n=3 kept linearizable and integrity in every run" in text


def test_a_process_that_nobody_asked_to_end_is_told_with_a_recommendation(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", "valid", ops=20)
    end = {"node": "n3", "pid": 7, "at_s": 4.5, "status": 139, "asked": "", "running": False}
    (folder / "environment.json").write_text(json.dumps({"began": 0.0, "ends": [end], "ends_of": ["n3"]}))
    text = review_markdown(study_of_runs([read_folder(folder)]))
    assert "seed 7: The process on n3 ended by itself 4.50 s into the run (SIGSEGV, status 139)" in text
    assert "Find out why processes of kvstore mode=quorum n=3 r=2 w=2 ended by themselves: 1 end" in text
    assert "ended by themselves" not in review_markdown(STUDY)
