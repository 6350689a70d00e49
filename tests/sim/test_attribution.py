"""Attribution: what was left out of each variant, what counts as chance, and that it names the fault a violation needs."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from harness.cli import status_of
from harness.intervals import fisher_less
from harness.plan import FaultPlan, load_plan
from harness.search.ablation import Variant, attribute, judged, sentence, variants
from harness.search.finding import Target

EXAMPLES = Path(__file__).parents[2] / "examples"
SKEWED = replace(load_plan(EXAMPLES / "monotonic_skewed.toml"), time_limit_s=8.0)
LOST = Target("linearizable", "lost-write")


@pytest.mark.parametrize(("hits", "trials", "base", "of"), [(0, 3, 3, 3), (1, 4, 3, 3), (2, 4, 2, 4), (3, 3, 0, 3), (0, 2, 0, 3)])  # fmt: skip
def test_chance_is_counted(hits: int, trials: int, base: int, of: int) -> None:
    """All ways to hand the marks out to the runs of both, those with so few or fewer in the first."""
    total = trials + of
    ways = list(combinations(range(total), hits + base))
    few = [way for way in ways if sum(place < trials for place in way) <= hits]
    assert fisher_less(hits, trials, base, of) == pytest.approx(len(few) / len(ways))


def test_each_variant_lacks_one_thing() -> None:
    plan = replace(SKEWED, faults=(*SKEWED.faults, FaultPlan(kind="kill")), sim={"loss": 0.1, "latency": "uniform"})  # fmt: skip
    found = dict(variants(plan))
    assert list(found) == ["as it is", "clock", "kill", "any fault", "loss", "reordering", "delays that vary", "concurrency"]  # fmt: skip
    assert found["as it is"] == plan
    assert found["clock"].fault_kinds == ("kill",)
    assert found["any fault"].fault_kinds == ()
    assert found["loss"].sim == {"loss": 0.0, "latency": "uniform"}
    assert found["reordering"].sim["reorder"] == 0.0
    assert found["delays that vary"].sim["latency"] == "constant"
    assert found["concurrency"].concurrency == 1
    calm = replace(plan, faults=(), sim={"latency": "constant", "reorder": 0.0}, concurrency=1)
    assert list(dict(variants(calm))) == ["as it is"]


@pytest.mark.parametrize(
    ("hits", "base", "verdict"),
    [(0, 20, "needed"), (0, 7, "needed"), (0, 6, "undecided"), (5, 20, "helps"), (18, 20, "no matter"), (20, 5, "undecided"), (20, 8, "no matter")],
)  # fmt: skip
def test_what_the_numbers_say(hits: int, base: int, verdict: str) -> None:
    assert judged("kill", 20, hits, base).verdict == verdict


def test_the_sentence() -> None:
    def told(*each: tuple[str, int]) -> str:
        base = each[0][1]
        return sentence([judged(name, 20, hits, base) for name, hits in each], LOST)

    start = "lost-write against linearizable shows in"
    assert told(("as it is", 20), ("clock", 0), ("kill", 19)) == f"{start} 20 of 20 runs and in none without clock"  # fmt: skip
    assert told(("as it is", 20), ("clock", 0), ("kill", 0), ("loss", 3)) == f"{start} 20 of 20 runs and in none without clock, or without kill; more rarely without loss"  # fmt: skip
    assert told(("as it is", 20), ("clock", 20)) == f"{start} 20 of 20 runs; no single thing that was left out matters"  # fmt: skip
    few = [judged(name, 4, hits, 4) for name, hits in (("as it is", 4), ("clock", 1))]
    assert sentence(few, LOST) == f"{start} 4 of 4 runs: too few runs to say what it needs; run more seeds"
    assert told(("as it is", 2), ("clock", 0)) == f"{start} 2 of 20 runs: too rare to say what it needs; run more seeds"  # fmt: skip


@pytest.mark.slow
def test_a_write_lost_to_a_skewed_clock_needs_the_clock_and_a_second_client() -> None:
    def found(jobs: int) -> list[Variant]:
        return list(attribute(SKEWED, LOST, 8, jobs))

    by_name = {each.without: each for each in found(2)}
    assert by_name["as it is"].hits == 8
    assert (by_name["clock"].hits, by_name["clock"].verdict) == (0, "needed")
    assert by_name["concurrency"].verdict == "needed"
    assert by_name["reordering"].verdict == "no matter"
    assert found(1) == list(by_name.values())


@pytest.mark.slow
def test_the_command_attribute(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = str(EXAMPLES / "monotonic_skewed.toml")
    assert status_of(["attribute", plan, "--seeds", "6", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["claim"], said["anomaly"]) == ("linearizable", "lost-write")
    assert "in none without clock" in said["sentence"]
    assert status_of(["attribute", str(EXAMPLES / "register.toml"), "--seeds", "1", "--json"]) == 2
    assert "nothing to explain" in json.loads(capsys.readouterr().out)["error"]
    assert status_of(["attribute", plan, "--seeds", "0"]) == 254


@pytest.mark.slow
def test_of_a_run_folder_it_stands_in_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = EXAMPLES / "eventual.toml"
    assert status_of(["run", str(plan), "--time-limit", "6", "--out", str(tmp_path)]) == 1
    folder = (tmp_path / "eventual" / "latest").resolve()
    assert status_of(["attribute", str(folder), "--seeds", "1"]) == 1
    assert str(folder / "report.html") in capsys.readouterr().out
    kept = json.loads((folder / "attribution.json").read_text())
    assert [each["without"] for each in kept["variants"]][:3] == ["as it is", "partition", "kill"]
    assert kept["sentence"][1:] in (folder / "report.html").read_text()
