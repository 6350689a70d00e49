"""Attribution: what was left out of each variant, what counts as chance, and that it names the fault a violation needs."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from harness.cli import status_of
from harness.intervals import fisher_less
from harness.made import Made
from harness.plan import FaultPlan, Plan, load_plan, parse_plan
from harness.search.ablation import Tally, Variant, attribute, judged, seen_in, sentence, variants
from harness.search.by_rate import by_rate, hosts_variants
from harness.search.event import essential
from harness.search.finding import Target, targets
from harness.simulate import simulate_run
from tests.sim.from_file import again, shown_by

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
    assert judged("kill", Tally(20, hits), Tally(20, base)).verdict == verdict


def test_the_sentence() -> None:
    def told(*each: tuple[str, int]) -> str:
        base = each[0][1]
        return sentence([judged(name, Tally(20, hits), Tally(20, base)) for name, hits in each], LOST)

    start = "lost-write against linearizable shows in"
    most = " (of which, with 95 % certainty, at most 14 % would show it)"
    assert told(("as it is", 20), ("clock", 0), ("kill", 19)) == f"{start} 20 of 20 runs and in none without clock{most}"  # fmt: skip
    assert told(("as it is", 20), ("clock", 0), ("kill", 0), ("loss", 3)) == f"{start} 20 of 20 runs and in none without clock, or without kill{most}; more rarely without loss"  # fmt: skip
    assert told(("as it is", 20), ("clock", 20)) == f"{start} 20 of 20 runs; no single thing that was left out matters"  # fmt: skip
    few = [judged(name, Tally(4, hits), Tally(4, 4)) for name, hits in (("as it is", 4), ("clock", 1))]
    assert sentence(few, LOST) == f"{start} 4 of 4 runs: too few runs to say what it needs; run more"
    assert told(("as it is", 2), ("clock", 0)) == f"{start} 2 of 20 runs: too rare to say what it needs; run more"  # fmt: skip


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
    assert Target(kept["claim"], kept["anomaly"]) in shown_by(folder)
    assert [each["without"] for each in kept["variants"]][:3] == ["as it is", "partition", "kill"]
    assert kept["sentence"][1:] in (folder / "report.html").read_text()


CUT = """
name = "cut"
workload = "register"
claims = ["linearizable"]
nodes = 3
concurrency = 3
time_limit_s = 2
rate = 100
op_timeout_ms = 500

[system]
name = "kvstore"
mode = "eventual"
n = 3

[[faults]]
kind = "partition"
start_s = 0.3
every_s = 0.7
for_s = 0.4

[[faults]]
kind = "pause"
start_s = 0.35
every_s = 0.8
for_s = 0.1
"""


def test_on_hosts_each_variant_keeps_the_strokes_of_the_others() -> None:
    plan = parse_plan(CUT)
    found = dict(hosts_variants(plan))
    assert list(found) == ["as it is", "partition", "pause", "any fault", "concurrency"]
    whole = found["as it is"].strokes
    assert {stroke.kind for stroke in whole} == {"partition", "pause"}
    assert found["partition"].strokes == tuple(stroke for stroke in whole if stroke.kind == "pause")
    assert found["pause"].strokes == tuple(stroke for stroke in whole if stroke.kind == "partition")
    assert (found["any fault"].strokes, found["any fault"].faults) == ((), ())
    assert simulate_run(plan).digest == simulate_run(found["as it is"]).digest


def test_rounds_turn_and_only_whole_ones_count(tmp_path: Path) -> None:
    """In the simulator, which is a world like another for this: there the same run comes each time."""
    plan, order = parse_plan(CUT), list[str]()
    (target,) = again(plan, simulate_run(plan), tmp_path)

    def make(without: str, variant: Plan) -> Made:
        order.append(without)
        return simulate_run(variant)

    parts = [name for name, _ in hosts_variants(plan)]
    steps = list(by_rate(plan, target, 2, make))
    assert order == parts + parts[1:] + parts[:1]
    assert [len(whole) for _, _, whole in steps] == [0] * 4 + [5] * 6
    first, last = steps[4][2], steps[-1][2]
    assert [each.runs + each.uncounted for each in first] == [1] * 5
    assert [each.hits for each in last] == [2 * each.hits for each in first]
    assert (last[0].hits, last[0].runs) == (2, 2)


def test_a_run_counts_if_it_tested_something() -> None:
    plan = parse_plan(CUT)
    run = simulate_run(plan)
    (target, *_) = targets(run)
    assert seen_in(run, plan, target) == "shown"
    assert seen_in(run, plan, replace(target, anomaly="another")) == "otherwise"
    sure = replace(plan, system_options={"mode": "register", "n": 3})
    calm = simulate_run(sure)
    assert calm.results["claims"]["linearizable"]["verdict"] == "valid"
    assert seen_in(calm, sure, target) == "clean"
    assert seen_in(replace(calm, faults=[{**fault, "bit": False} for fault in calm.faults]), sure, target) == "nothing"  # fmt: skip
    claim = {**calm.results["claims"]["linearizable"], "verdict": "unknown"}
    assert seen_in(replace(calm, results={**calm.results, "claims": {"linearizable": claim}}), sure, target) == "nothing"  # fmt: skip


@pytest.mark.parametrize(
    ("names", "said"),
    [(["kill", "any fault"], ["kill"]), (["any fault", "concurrency"], ["any fault", "concurrency"]), (["any fault"], ["any fault"]), ([], [])],
)  # fmt: skip
def test_that_some_fault_is_needed_goes_without_saying_where_one_is_named(names: list[str], said: list[str]) -> None:  # fmt: skip
    assert essential(names) == said
    needed = [
        judged(name, Tally(20, 20 * (name == "as it is")), Tally(20, 20)) for name in ("as it is", *names)
    ]
    assert not said or f"without {', or without '.join(said)} (of which" in sentence(needed, LOST)


def test_runs_that_do_not_count_leave_it_undecided() -> None:
    found = [judged(name, tally, Tally(5, 5)) for name, tally in (("as it is", Tally(5, 5)), ("kill", Tally(5, 0)), ("loss", Tally(2, 0, 0, 3)))]  # fmt: skip
    assert [each.verdict for each in found] == ["", "needed", "undecided"]
    assert sentence(found, LOST).endswith("at most 45 % would show it); not decided, for too few runs counted: loss")  # fmt: skip
    assert judged("kill", Tally(), Tally(5, 5)).verdict == "undecided"
