"""Explorations: the same whatever the number of processes, resumed where they were cut off, with findings that can be run again."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from harness.cli import status_of
from harness.plan import FaultPlan, Plan, PlanError, dump_plan, load_plan, parse_plan
from harness.search.explore import Exploration, run_one
from harness.search.steering import NAMES
from harness.search.strategies import STRATEGIES
from tests.sim.from_file import shown_by

EXAMPLES = Path(__file__).parents[2] / "examples"
PLAN = replace(load_plan(EXAMPLES / "eventual.toml"), time_limit_s=4.0)
RARE = FaultPlan(kind="loss", start_s=0.9, for_s=0.01, options={"share": 0.001})
FINE = replace(load_plan(EXAMPLES / "register.toml"), time_limit_s=1.0, faults=())


def explored(
    plan: Plan, folder: Path, runs: int, *, strategy: str = "seeds", jobs: int = 1, stop_after: int = 10**9
) -> Exploration:
    exploration = Exploration(plan, strategy, folder)
    left = iter(range(stop_after - 1))
    exploration.go(runs, jobs, lambda: next(left, None) is None, lambda record: None)
    return exploration


def without_cost(exploration: Exploration) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in asdict(record).items() if name != "cpu_s"}
        for record in exploration.records
    ]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", NAMES)
def test_any_number_of_processes_any_interruption_the_same_records(strategy: str, tmp_path: Path) -> None:
    whole = explored(PLAN, tmp_path / "whole", 6, strategy=strategy)
    assert len(whole.records) == 6
    stopped = explored(PLAN, tmp_path / "parts", 6, strategy=strategy, jobs=2, stop_after=2)
    assert len(stopped.records) == 2
    with (tmp_path / "parts" / "explored.jsonl").open("ab") as file:
        file.write(b'{"number": 2, "se')  # cut off by kill -9
    again = explored(PLAN, tmp_path / "parts", 6, strategy=strategy, jobs=2)
    assert without_cost(again) == without_cost(whole)
    assert [json.loads(line)["number"] for line in (tmp_path / "parts" / "explored.jsonl").open()] == [
        0,
        1,
        2,
        3,
        4,
        5,
    ]
    assert len({record.digest for record in whole.records}) == 6


def test_a_finding_is_a_plan_that_fails_in_the_same_way(tmp_path: Path) -> None:
    exploration = explored(PLAN, tmp_path, 1, strategy="swarm")
    (record,) = exploration.records
    assert record.broken
    shown = shown_by(exploration.finding(record))
    assert [f"{target.claim}: {target.anomaly}" for target in shown] == [*record.broken]
    (found,) = [each for each in exploration.summary()["findings"] if each["what"] == record.broken[0]]
    assert (found["count"], found["first"]) == (1, 0)


def test_a_crash_is_a_record_and_no_verdict() -> None:
    impossible = replace(FINE, system_options={"mode": "register", "n": 3}, nodes=2)
    record = run_one(dump_plan(impossible), 3)
    assert (record.outcome, record.number, record.broken) == ("crash", 3, ())
    assert "replicas need as many nodes" in record.reason


def test_a_folder_is_of_one_plan_and_strategy(tmp_path: Path) -> None:
    Exploration(PLAN, "seeds", tmp_path)
    with pytest.raises(PlanError, match="another plan or strategy"):
        Exploration(replace(PLAN, seed=2), "seeds", tmp_path)
    with pytest.raises(PlanError, match="another plan or strategy"):
        Exploration(PLAN, "swarm", tmp_path)
    with pytest.raises(PlanError, match="no strategy 'luck'; there are seeds, swarm, pct"):
        Exploration(PLAN, "luck", tmp_path)


def test_swarm_plans_are_plans_and_differ() -> None:
    many = replace(
        PLAN,
        faults=(*PLAN.faults, FaultPlan(kind="pause"), FaultPlan(kind="clock", options={"offset_ms": 50.0})),
    )
    plans = [STRATEGIES["swarm"](many, number) for number in range(60)]
    assert plans == [STRATEGIES["swarm"](many, number) for number in range(60)]
    assert all(parse_plan(dump_plan(plan)) == plan for plan in plans)
    kinds = [frozenset(fault.kind for fault in plan.faults) for plan in plans]
    assert len(set(kinds)) > 8
    assert all(kinds)
    assert {plan.sim["latency"] for plan in plans} == {"constant", "uniform", "exponential", "lognormal"}
    strikes = [fault for plan in plans for fault in plan.faults]
    assert all(fault.start_s + fault.every_s < many.time_limit_s for fault in strikes)


def test_swarm_leaves_a_script_its_clients() -> None:
    plan = load_plan(EXAMPLES / "bugs" / "join.source_not_adopted.toml")
    for number in range(10):
        tried = STRATEGIES["swarm"](plan, number)
        assert parse_plan(dump_plan(tried), "plan") == tried
        assert (tried.concurrency, tried.script, tried.strokes) == (
            plan.concurrency,
            plan.script,
            plan.strokes,
        )


def test_swarm_draws_how_strong_faults_of_links_are_within_what_a_plan_may_say() -> None:
    faults = (FaultPlan(kind="loss", options={"share": 0.6}), FaultPlan(kind="delay"))
    plans = [STRATEGIES["swarm"](replace(PLAN, faults=faults), number) for number in range(60)]
    assert all(parse_plan(dump_plan(plan)) == plan for plan in plans)
    shares = [fault.options["share"] for plan in plans for fault in plan.faults if fault.kind == "loss"]
    assert min(shares) < 0.3
    assert max(shares) == 1.0
    delays = {fault.options["delay_ms"] for plan in plans for fault in plan.faults if fault.kind == "delay"}
    assert len(delays) > 10, "also where the plan leaves it to the default"


@pytest.mark.parametrize(
    ("plan", "status", "outcome"),
    [
        (replace(PLAN, faults=tuple(fault for fault in PLAN.faults if fault.start_s < 4)), 1, "invalid"),
        (FINE, 0, "valid"),
        (replace(FINE, faults=(RARE,)), 2, "unknown"),
    ],
    ids=["broken", "fine", "a fault that never bit"],
)
def test_the_exit_status_is_that_of_the_worst_run(
    plan: Plan, status: int, outcome: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(dump_plan(plan))
    command = [
        "explore",
        str(path),
        "--runs",
        "1",
        "--jobs",
        "1",
        "--out",
        str(tmp_path / "explored"),
        "--json",
    ]
    assert status_of(command) == status
    assert json.loads(capsys.readouterr().out)["outcomes"] == {outcome: 1}


@pytest.mark.parametrize(
    ("field", "value"),
    [("new", [[1]]), ("new", "abc"), ("outcome", ["invalid"]), ("outcome", "fine"), ("ops", "5"), ("broken", "xyz"), ("seed", None)],
)  # fmt: skip
def test_a_record_with_a_value_of_another_kind_is_named(field: str, value: Any, tmp_path: Path) -> None:
    Exploration(PLAN, "novelty", tmp_path)
    record = {"number": 0, "seed": 1, "outcome": "valid", "broken": [], "reason": "", "ops": 3, "virtual_s": 1.0, "digest": "", "cpu_s": 0.1, "new": [7]}  # fmt: skip
    file = tmp_path / "explored.jsonl"
    file.write_text(json.dumps(record) + "\n")
    assert Exploration(PLAN, "novelty", tmp_path).records[0].new == (7,)
    file.write_text(json.dumps({**record, field: value}) + "\n")
    with pytest.raises(PlanError, match=r"explored.jsonl:1: no record of a run"):
        Exploration(PLAN, "novelty", tmp_path)


def test_a_line_nested_too_deep_is_named(tmp_path: Path) -> None:
    Exploration(PLAN, "seeds", tmp_path)
    (tmp_path / "explored.jsonl").write_text("[" * 100_000 + "\n")
    with pytest.raises(PlanError, match=r"explored.jsonl:1: no record of a run"):
        Exploration(PLAN, "seeds", tmp_path)


@pytest.mark.parametrize("wrong", [("--jobs", "-1"), ("--strategy", "luck"), ("--budget", "0s"), ("--runs", "0")])  # fmt: skip
def test_what_is_refused_leaves_no_folder(wrong: tuple[str, str], tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(dump_plan(PLAN))
    assert status_of(["explore", str(plan), "--out", str(tmp_path / "explored"), *wrong]) == 254
    assert not (tmp_path / "explored").exists()


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    Exploration(PLAN, "seeds", tmp_path)
    (tmp_path / "explored.jsonl").write_text('{"number": 0}\n{"number": 1}\n')
    with pytest.raises(PlanError, match=r"explored.jsonl:1: no record of a run"):
        Exploration(PLAN, "seeds", tmp_path)
