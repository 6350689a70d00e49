"""The search that learns: what is new is told apart from what was seen, children differ from their parents as their plans say, and jobs change nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.plan import FaultPlan, Plan, dump_plan, load_plan, parse_plan
from harness.search.explore import Exploration, run_one
from harness.search.generations import GENERATION
from harness.search.novelty import Novelty, Orders, restruck, spliced
from harness.search.steering import NAMES, steering
from harness.simulate import simulate_run
from harness.worlds.sim import stream

EXAMPLES = Path(__file__).parents[2] / "examples"
PLAN = replace(load_plan(EXAMPLES / "eventual.toml"), time_limit_s=2.0)
KILLS = replace(PLAN, faults=(FaultPlan(kind="kill", start_s=0.3, every_s=0.6, for_s=0.2),))
PROGRAM = """
import sys
from harness.plan import load_plan
from harness.search.novelty import Orders
from harness.simulate import simulate_run

orders = Orders()
simulate_run(load_plan(sys.argv[1]), on_world=orders.open)
print(orders.features(0.0))
"""


def features(plan: Plan) -> set[int]:
    orders = Orders()
    simulate_run(plan, on_world=orders.open)
    return set(orders.features(0.0))


def test_features_are_the_same_whatever_the_order_of_hashes(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(dump_plan(PLAN))
    printed = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(path)], env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }  # fmt: skip
    assert len(printed) == 1
    assert len(printed.pop()) > 1000


def test_a_crash_and_a_cut_show_in_the_features() -> None:
    calm = features(replace(PLAN, faults=()))
    partition = FaultPlan(kind="partition", start_s=0.3, every_s=0.6, for_s=0.4)
    killed, cut = features(KILLS), features(replace(PLAN, faults=(partition,)))
    assert killed - calm
    assert cut - calm - killed


def test_a_search_learns_what_is_new_once() -> None:
    search = Novelty(PLAN)
    assert search.learn(0, 100, (1, 2, 3)) == (1, 2, 3)
    assert search.learn(1, 100, (2, 3, 4)) == (4,)
    assert search.learn(2, 100, (1, 4)) == ()


def test_a_generation_waits_for_those_before_it_and_for_no_more() -> None:
    search = Novelty(PLAN)
    assert all(search.ready(number) for number in range(GENERATION))
    assert not search.ready(GENERATION)
    for number in range(GENERATION):
        assert not search.ready(2 * GENERATION - 1)
        search.learn(number, 100, (number,))
    assert search.ready(2 * GENERATION - 1)
    assert not search.ready(2 * GENERATION)


def learned(order: list[int]) -> Novelty:
    search = Novelty(KILLS)
    for number in order:
        search.learn(number, 100, (number, number + 1000))
    return search


def test_runs_are_children_of_runs_with_something_new_and_plans_of_their_own() -> None:
    search = learned(list(range(2 * GENERATION)))
    assert [search.plan(number) for number in range(GENERATION)] == [replace(KILLS, seed=KILLS.seed + number) for number in range(GENERATION)]  # fmt: skip
    children = [search.plan(number) for number in range(GENERATION, 3 * GENERATION)]
    changed = [plan for plan in children if plan.tape or plan.strokes]
    assert 8 <= len(changed) < len(children)
    for plan in changed:
        read = parse_plan(dump_plan(plan))
        assert read.tape == plan.tape
        assert len(read.strokes) == len(plan.strokes)
    late = learned([*range(2 * GENERATION)])
    assert [late.plan(number) for number in reversed(range(3 * GENERATION))][::-1] == [search.plan(number) for number in range(3 * GENERATION)]  # fmt: skip


def test_a_spliced_run_is_the_same_up_to_the_splice_and_another_after_it() -> None:
    plan, rng = replace(PLAN, faults=()), stream(5, "test")
    whole = simulate_run(plan)
    ops = whole.results["stats"]["stats"]["ops"]
    children = [spliced(plan, ops, rng) for _ in range(12)]
    runs = [simulate_run(child).lines for child in children if "net" in child.tape]
    assert any(run != whole.lines for run in runs)
    shared = [
        next(place for place, (one, other) in enumerate(zip(run.splitlines(), whole.lines.splitlines(), strict=False)) if one != other)
        for run in runs if run != whole.lines
    ]  # fmt: skip
    assert max(shared) > 20, "the course before the splice is the parent's"


def test_faults_are_moved_left_out_repeated_and_turned() -> None:
    rng, plan = stream(9, "test"), KILLS
    first = restruck(plan, 100, stream(1, "first"))
    assert first.faults == ()
    children = [restruck(first, 100, rng) for _ in range(60)]
    counts = {len(child.strokes) - len(first.strokes) for child in children}
    assert counts == {-1, 0, 1}
    assert any({s.nodes for s in child.strokes} != {s.nodes for s in first.strokes} for child in children)
    for child in children:
        starts = [stroke.start_ns for stroke in child.strokes]
        assert starts == sorted(starts)
        assert all(0 <= start < plan.time_limit_s * 1e9 for start in starts)
        assert all(stroke.end_ns - stroke.start_ns == 200_000_000 for stroke in child.strokes)
    assert restruck(replace(plan, faults=()), 100, rng).tape, "where nothing strikes the tape is changed"


@pytest.mark.parametrize("name", NAMES)
def test_a_run_means_the_same_by_number_whatever_is_asked_first(name: str) -> None:
    forth, back = steering(name, KILLS), steering(name, KILLS)
    assert [forth.plan(number) for number in range(5)] == [back.plan(number) for number in (4, 3, 2, 1, 0)][::-1]  # fmt: skip


def test_only_a_search_that_learns_has_features_written_down() -> None:
    assert run_one(dump_plan(PLAN), 0).new == ()
    assert len(run_one(dump_plan(PLAN), 0, "orders").new) > 100


@pytest.mark.slow
def test_what_is_learned_does_not_depend_on_the_jobs_nor_on_an_interruption(tmp_path: Path) -> None:
    plan, runs = replace(KILLS, time_limit_s=0.8), 2 * GENERATION + 2
    whole = Exploration(plan, "novelty", tmp_path / "whole")
    whole.go(runs, 1, lambda: False, lambda record: None)
    assert any(whole.plan_of(number).tape for number in range(GENERATION, runs))
    parts = Exploration(plan, "novelty", tmp_path / "parts")
    parts.go(runs, 2, lambda: len(parts.records) > GENERATION, lambda record: None)
    assert len(parts.records) == GENERATION + 1
    orders = [order for record in whole.records for order in record.new]
    assert whole.summary()["orders"] == len(orders) == len(set(orders)) > 100
    again = Exploration(plan, "novelty", tmp_path / "parts")
    again.go(runs, 2, lambda: False, lambda record: None)
    assert [(each.digest, each.new) for each in again.records] == [(each.digest, each.new) for each in whole.records]  # fmt: skip
    assert [again.plan_of(number) for number in range(runs)] == [whole.plan_of(number) for number in range(runs)]  # fmt: skip
