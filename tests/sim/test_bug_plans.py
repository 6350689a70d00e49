"""The seeded bugs of the store that whole runs show: each plan of examples/bugs is convicted by its claim, and is clean without its bug.

A number below is a run that is known to show it (`benchmarks/seeded_bugs.py` finds such numbers). It is tried first, and the sweep from run 0
only if the store has changed so much that it no longer does.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.plan import Plan, dump_plan, load_plan
from harness.runs import write_text
from harness.search.detection import Sweep, cell, fits, sweep, sweeps
from harness.search.explore import run_one
from harness.search.finding import Target
from harness.search.strategies import STRATEGIES
from harness.simulate import simulate_run
from kvstore.bugs import TABLE
from tests.sim.from_file import again

FOLDER = Path(__file__).parents[2] / "examples" / "bugs"
BUGS = sorted(path.stem for path in FOLDER.glob("*.toml"))
RUNS_TO_FIND = 200
KNOWN: dict[tuple[str, str], int] = {
    ("ack_before_fsync", "seeds"): 0,
    ("blank_disk_same_id", "seeds"): 1,
    ("blank_disk_same_id", "pct"): 2,
    ("cas.fail_no_accept", "seeds"): 0,
    ("cas.fail_no_accept", "swarm"): 0,
    ("cas.next_not_promised", "seeds"): 14,
    ("cas.next_not_promised", "swarm"): 0,
    ("cas.next_not_promised", "pct"): 49,
    ("cas.promise_not_persisted", "seeds"): 8,
    ("cas.promise_not_persisted", "points"): 1,
    ("cas.read_no_accept", "seeds"): 0,
    ("cas.retry_reports_second_outcome", "seeds"): 0,
    ("dot.per_key_counter_reuse", "seeds"): 1,
    ("hint.dropped_on_ring_change", "seeds"): 0,
    ("hint.unsynced", "seeds"): 0,
    ("hint.unsynced", "swarm"): 7,
    ("hint.unsynced", "pct"): 0,
    ("hlc.not_persisted", "seeds"): 0,
    ("join.no_barrier", "seeds"): 2,
    ("join.no_dual_write", "seeds"): 0,
    ("join.no_epoch_reject", "seeds"): 0,
    ("join.source_not_adopted", "seeds"): 1,
    ("join.stream_from_one", "seeds"): 0,
    ("join.stream_from_one", "points"): 0,
    ("merkle.ignores_tombstones", "seeds"): 0,
    ("merkle.ignores_tombstones", "swarm"): 1,
    ("merkle.ignores_tombstones", "pct"): 0,
    ("orswot.dominance_shortcut", "seeds"): 0,
    ("orswot.dominance_shortcut", "swarm"): 0,
    ("phi.wall_clock", "seeds"): 1,
    ("read_error_as_notfound", "seeds"): 0,
    ("read_error_as_notfound", "swarm"): 4,
    ("read_error_as_notfound", "pct"): 1,
    ("register.one_phase_write", "seeds"): 0,
    ("register.one_phase_write", "swarm"): 0,
    ("register.one_phase_write", "pct"): 1,
    ("register.optimistic_retag", "seeds"): 0,
    ("register.optimistic_retag", "pct"): 0,
    ("register.read_no_writeback", "seeds"): 1,
    ("register.read_no_writeback", "swarm"): 3,
    ("register.read_no_writeback", "pct"): 4,
    ("retry.duplicate_apply", "seeds"): 0,
    ("strict_counts_hints", "seeds"): 0,
    ("strict_counts_hints", "pct"): 9,
    ("tombstone.early_purge", "seeds"): 0,
}
NO_PLAN = {  # what convicts them instead
    "orswot.union_if_both": "tests/kvstore/test_crdt_laws.py: no client has been seen to notice",
}
JUDGES = {"linearizable": {"linearizable", "register", "cas-register", "counter-exact"}}


def plan_of(bug: str) -> Plan:
    return load_plan(FOLDER / f"{bug}.toml")


def without_bug(plan: Plan) -> Plan:
    bugs = [bug for bug in plan.system_options["bugs"] if bug != plan.name]
    return replace(plan, system_options={**plan.system_options, "bugs": bugs})


def test_every_bug_has_a_plan_or_another_judge() -> None:
    assert not NO_PLAN.keys() & set(BUGS)
    assert NO_PLAN.keys() | set(BUGS) == set(TABLE), (
        "a new bug needs a plan in examples/bugs, or a word in NO_PLAN"
    )
    assert {bug for bug, strategy in KNOWN if strategy == "seeds"} == set(BUGS)


@pytest.mark.parametrize("bug", BUGS)
def test_the_plan_claims_what_the_table_of_bugs_says(bug: str) -> None:
    plan = plan_of(bug)
    assert plan.name == bug
    assert bug in plan.system_options["bugs"]
    (claim,) = plan.claims
    first = TABLE[bug].found_by.split(", ")[0]
    assert claim in JUDGES.get(first, {first})


def test_trees_that_leave_deletions_out_show_only_where_something_is_deleted(tmp_path: Path) -> None:
    plan = plan_of("merkle.ignores_tombstones")
    assert again(plan, simulate_run(plan), tmp_path) == [Target("convergence", "diverged")]
    undeleted = replace(plan, options={**plan.options, "delete_fraction": 0.0})
    assert run_one(dump_plan(undeleted), 0).outcome == "valid"


@pytest.mark.slow
@pytest.mark.parametrize(("bug", "strategy"), KNOWN, ids=map("-".join, KNOWN))
def test_the_bug_is_convicted(bug: str, strategy: str, tmp_path: Path) -> None:
    plan = plan_of(bug)
    for number in (KNOWN[bug, strategy], *range(RUNS_TO_FIND)):
        tried = STRATEGIES[strategy](plan, number)
        record = run_one(dump_plan(tried), number)
        assert record.outcome != "crash", record.reason
        if record.broken and not run_one(dump_plan(without_bug(tried)), number).broken:
            assert all(broken.startswith(f"{plan.claims[0]}: ") for broken in record.broken)
            kept = tmp_path / "finding.toml"
            write_text(kept, dump_plan(tried))
            assert replace(run_one(kept.read_text(), number), cpu_s=0.0) == replace(record, cpu_s=0.0)
            return
    pytest.fail(f"{bug} was not found in {RUNS_TO_FIND} runs of {strategy}")


# ---- the sweeps that the table is made of ------------------------------------------------------------------------------


def test_a_sweep_ends_at_the_first_conviction_or_says_that_there_was_none() -> None:
    plan = plan_of("register.read_no_writeback")
    text, twin = dump_plan(plan), dump_plan(without_bug(plan))
    first = next(
        number
        for number in range(RUNS_TO_FIND)
        if run_one(dump_plan(STRATEGIES["seeds"](plan, number)), number).broken
    )
    found = sweep(text, twin, "seeds", RUNS_TO_FIND, 1e9)
    assert (found.runs, found.broken != (), found.crashes) == (first + 1, True, 0)
    assert sweep(twin, twin, "seeds", 2, 1e9).broken == ()
    assert sweep(twin, twin, "seeds", 2, 1e9).runs == 2
    assert sweep(twin, twin, "seeds", 50, 1e-9).runs == 1, "the time is looked at after each run"


def test_what_breaks_without_the_bug_as_well_is_no_conviction() -> None:
    text = dump_plan(plan_of("cas.fail_no_accept"))
    made = sweep(text, text, "seeds", 2, 1e9)
    assert (made.runs, made.broken, made.blamed) == (2, (), 2)


def test_a_crash_is_no_conviction() -> None:
    impossible = dump_plan(replace(plan_of("register.read_no_writeback"), nodes=2))
    made = sweep(impossible, impossible, "seeds", 3, 1e9)
    assert (made.runs, made.broken, made.crashes) == (3, (), 3)


def test_a_strategy_is_tried_only_on_plans_it_can_be_used_on() -> None:
    plan = plan_of("join.no_epoch_reject")
    assert [fits(plan, strategy) for strategy in ("seeds", "pct", "lineage")] == [True, True, False]
    assert list(sweeps([(plan, plan)], ["lineage"], repeats=3, runs=1, cpu_s_max=1.0, jobs=1)) == []


@pytest.mark.slow
def test_sweeps_are_the_same_whatever_the_number_of_processes() -> None:
    plans = [plan_of("cas.fail_no_accept"), plan_of("cas.read_no_accept")]

    pairs = [(plan, without_bug(plan)) for plan in plans]

    def counts(jobs: int, first: int = 0) -> list[tuple[object, int]]:
        made = sweeps(
            pairs, ["seeds"], repeats=2, runs=20, cpu_s_max=1e9, jobs=jobs, wanted=lambda name: name[2] >= first
        )  # fmt: skip
        return [(name, each.runs) for name, each in made]

    one = counts(1)
    assert [name for name, _ in one][:2] == [(plan.name, "seeds", 0) for plan in plans]
    assert len(one) == 4
    assert counts(2) == one
    assert counts(1, first=1) == one[2:], "gone on with"


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ([], "not run"),
        ([(7, True)], "7"),
        ([(7, True), (2, True), (90, True)], "7 (2–90)"),
        ([(60, False), (100, True), (3, True)], "100 (3–>60)"),
        ([(60, False), (60, False), (3, True)], ">60 (3–>60)"),
        ([(200, False), (200, False)], ">200"),
        ([(4, True), (9, True)], "9 (4–9)"),
    ],
)
def test_a_cell_counts_what_was_not_found_as_the_longest(made: list[tuple[int, bool]], said: str) -> None:
    assert cell(Sweep(runs, ("c: a",) if found else (), 0, 0, 0, 0.0) for runs, found in made) == said
