"""What `claims.toml` promises is judged by campaigns and explorations too: a promise that is broken is a finding like another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.campaign.file import load_campaign
from harness.cli import status_of
from harness.plan import PlanError, dump_plan, parse_plan
from harness.plan_claims import parse_claims, promising
from harness.search.finding import Target
from tests.sim.from_file import shown_by
from tests.small_plans import stale

PLAN = stale("integrity")
CLAIMS = """
[[claims]]
says = "a read returns the last write"
source = "manual, chapter 4"
guarantee = "regular"
operations = ["read"]
where = { mode = "eventual" }

[[claims]]
says = "everything is linearizable"
source = "manual, chapter 5"
guarantee = "linearizable"
where = { mode = "register" }
"""
FILE = """
name = "small"
[[items]]
name = "eventual"
plan = "plan.toml"
[[items]]
name = "register"
plan = "plan.toml"
set = { "system.mode" = "register" }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("plan.toml", PLAN), ("claims.toml", CLAIMS), ("small.toml", FILE)):
        (tmp_path / name).write_text(text)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, Any]:
    status = status_of([*map(str, arguments), "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_a_plan_claims_what_is_promised_of_it_and_of_which_operations() -> None:
    plan = promising(parse_plan(PLAN), parse_claims(CLAIMS))
    assert plan.claims == ("integrity", "regular (read)")
    assert parse_plan(dump_plan(plan)) == plan
    assert promising(plan, parse_claims(CLAIMS)) == plan
    for wrong in ("regula (read)", "regular (", "regular ()", "regular(read)"):
        with pytest.raises(PlanError, match="no known guarantee"):
            parse_plan(PLAN.replace('"integrity"', f'"{wrong}"'))


def test_each_item_claims_what_is_promised_of_its_configuration(folder: Path) -> None:
    campaign = load_campaign(folder / "small.toml")
    assert [item.plan.claims for item in campaign.items] == [("integrity", "regular (read)"), ("integrity", "linearizable")]  # fmt: skip
    assert (
        campaign.promise("register", "linearizable")
        == "promised: “everything is linearizable” (manual, chapter 5)"
    )
    assert campaign.promise("register", "regular (read)") == campaign.promise("register", "integrity") == ""
    (folder / "claims.toml").write_text("[[claims]]\nsays = 1\n")
    with pytest.raises(PlanError, match=r"claims.toml:1: the claim has no 'says'"):
        load_campaign(folder / "small.toml")


def test_a_broken_promise_is_a_finding_with_its_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, night = told(capsys, "campaign", "run", folder / "small.toml", "--out", folder / "out", "--jobs", "1")  # fmt: skip
    assert status == 1
    (finding,) = night["findings"]
    assert (finding["claim"], finding["anomaly"], finding["items"]) == ("regular (read)", "stale-read", ["eventual"])  # fmt: skip
    assert finding["pattern"]
    assert finding["promise"] == "promised: “a read returns the last write” (manual, chapter 4)"
    assert finding["promise"] in (folder / "out" / "morning.md").read_text()
    assert [item["outcomes"] for item in night["items"]] == [{"violation": 1}, {"ok": 1}]
    status, again = told(
        capsys, "replay", finding["plan"]
    )  # the plan of a finding carries its claim wherever it goes
    assert (status, again["broken"]) == (1, [{"claim": "regular (read)", "anomaly": "stale-read"}])


def test_an_exploration_finds_it_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = told(capsys, "explore", folder / "plan.toml", "--runs", "1", "--jobs", "1", "--out", folder / "explored")  # fmt: skip
    assert status == 1
    (finding,) = found["findings"]
    assert finding["what"] == "regular (read): stale-read"
    assert shown_by(Path(finding["plan"])) == [Target("regular (read)", "stale-read")]


def test_a_run_that_broke_a_promise_is_replayed_explained_and_made_small_as_that(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plan itself claims only what the run keeps: it was said to be VALID when it was replayed, and that there is nothing to explain."""
    status, ran = told(capsys, "run", folder / "plan.toml", "--out", folder / "runs")
    assert (status, ran["outcome"], ran["claims"]["integrity"]["verdict"]) == (1, "invalid", "valid")
    status, again = told(capsys, "replay", ran["folder"])
    assert (status, again["same"], again["broken"]) == (1, True, [{"claim": "regular (read)", "anomaly": "stale-read"}])  # fmt: skip
    status, why = told(capsys, "attribute", ran["folder"], "--seeds", "1", "--jobs", "1")
    assert (status, why["claim"]) == (1, "regular (read)")
    status, small = told(capsys, "shrink", ran["folder"], "--budget", "1s")
    assert (status, small["claim"], small["anomaly"]) == (1, "regular (read)", "stale-read")
