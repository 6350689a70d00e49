"""Findings with fewer nodes, copies and clients: what goes with a node that is left out, what is tried, and how small findings become."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.plan import Plan, PlanError, dump_plan, load_plan, parse_plan
from harness.plan_script import ScriptOp, Stroke
from harness.plan_tape import calm_but, pins_of
from harness.search import fewer, simpler
from harness.search.finding import Target, scripted
from harness.search.shrink import Size, shrink
from harness.search.story import story
from harness.search.trace import traced
from harness.simulate import simulate_run
from tests.sim.from_file import small_again
from tests.sim.small import SMALL
from workloads.kvstore_system import KvStoreSystem

EXAMPLES = Path(__file__).parents[2] / "examples"
LOST, DOUBLE = Target("linearizable", "lost-write"), Target("cas-register", "double-cas")


def with_options(**options: Any) -> Plan:
    return replace(SMALL, system_options={**SMALL.system_options, **options})


def test_draws_that_are_given_go_with_their_node() -> None:
    pins = [
        ("net/n1/n3/Store", 0, 0.9),
        ("net/n3/n2/Store", 1, 0.8),
        ("node/n3", 0, 0.7),
        ("nemesis", 2, 0.6),
    ]
    without_n2 = [
        plan for plan in fewer.fewer_nodes(replace(SMALL, strokes=(), tape=calm_but(pins))) if plan.seed
    ][2:4]
    assert [sorted(pins_of(plan.tape)) for plan in without_n2] == [
        [("nemesis", 2, 0.6), ("net/n1/n2/Store", 0, 0.9), ("node/n2", 0, 0.7)],
        [("nemesis", 2, 0.6), ("net/n2/n1/Store", 0, 0.9), ("node/n1", 0, 0.7)],
    ]


def test_a_member_that_is_left_out_is_no_member_any_more_and_a_stranger_never_becomes_one() -> None:
    plan = replace(with_options(n=1, members=2), nodes=4, strokes=())
    sizes = [(less.nodes, less.system_options["members"]) for less in fewer.fewer_nodes(plan)]
    assert sizes == [(3, 2), (3, 2), (3, 2), (3, 2), (3, 1), (3, 1)]
    stroke = Stroke(1, "kill", 0, 10, ("n4",))
    kept = [less.strokes[0].nodes for less in fewer.fewer_nodes(replace(plan, strokes=(stroke,)))]
    assert kept == [("n3",)] * 4, "the stranger that is struck is one in every candidate"


@pytest.mark.parametrize(
    ("options", "fewer_ones"),
    [
        ({"mode": "quorum", "n": 3, "r": 3, "w": 1}, {"n": 2, "r": 2, "w": 1}),
        ({"mode": "quorum", "n": 2, "r": 1, "w": 2}, {"n": 1, "r": 1, "w": 1}),
        ({"mode": "register"}, {"n": 2}),
        ({"mode": "register", "n": 1}, {}),
    ],
)
def test_the_store_tells_how_it_has_a_copy_less(
    options: Mapping[str, Any], fewer_ones: Mapping[str, Any]
) -> None:
    nodes = ("n1", "n2", "n3")
    changes = KvStoreSystem(options, nodes).fewer_copies()
    assert changes == fewer_ones
    KvStoreSystem({**options, **changes}, nodes)


def test_with_a_copy_less_there_is_a_node_less() -> None:
    candidates = list(fewer.fewer_copies(replace(with_options(n=3), strokes=())))
    assert {(plan.nodes, plan.system_options["n"]) for plan in candidates} == {(2, 2)}
    assert not [*fewer.fewer_copies(replace(with_options(n=1), strokes=()))]


def test_a_deletion_is_written_out_and_played_again() -> None:
    plan = replace(load_plan(EXAMPLES / "bugs" / "tombstone.early_purge.toml"), time_limit_s=1.0)
    run = simulate_run(plan)
    written = scripted(plan, run)
    assert sum(op.null for op in written.script) > 5
    assert parse_plan(dump_plan(written)) == written
    assert simulate_run(written).lines == run.lines


@pytest.mark.parametrize("wrong", ["null = false", "null = 1", "null = true, value = 3"])
def test_null_stands_in_place_of_a_value(wrong: str) -> None:
    text = dump_plan(replace(SMALL, script=(ScriptOp(client=0, f="write", at_s=0.1, key=0, null=True),)))
    with pytest.raises(PlanError, match=r"script, operation 1: null = true stands in place of a value"):
        parse_plan(text.replace("null = true", wrong, 1))


def test_the_core_alone_ends_with_it() -> None:
    (bare,) = simpler.core_alone(replace(SMALL, time_limit_s=9.0), [0, 1])
    assert bare.script == SMALL.script[:2]
    assert bare.time_limit_s == pytest.approx(0.06 + simpler.TAIL_S)
    (last,) = simpler.core_alone(replace(SMALL, time_limit_s=9.0), [0, 2])
    assert (last.script, last.time_limit_s) == ((SMALL.script[0], SMALL.script[2]), 9.0), (
        "what is after the heal is last"
    )


SHRINK = """
from harness.plan import dump_plan
from harness.search.finding import Target
from harness.search.shrink import shrink
from tests.sim.small import SMALL
found = shrink(SMALL, Target("linearizable", "lost-write"))
print(found.runs, dump_plan(found.plan))
"""


def test_a_finding_becomes_the_same_plan_in_every_process() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", SHRINK], env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
        ).stdout
        for hash_seed in ("0", "1")
    }  # fmt: skip
    assert len(told) == 1


def test_a_story_says_what_is_configured_otherwise(tmp_path: Path) -> None:
    found = shrink(SMALL, LOST)
    assert found.done
    assert (found.plan.nodes, found.plan.system_options["n"]) == (2, 2)
    small_again(found, LOST, tmp_path)
    assert "With fewer copies: n = 2 in place of 3." in story(found, LOST, traced(found.plan))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plan", "target"),
    [
        (load_plan(EXAMPLES / "monotonic_skewed.toml"), LOST),
        (replace(load_plan(EXAMPLES / "bugs" / "blank_disk_same_id.toml"), seed=600_001), LOST),
        (replace(load_plan(EXAMPLES / "bugs" / "cas.next_not_promised.toml"), seed=15), DOUBLE),  # by small loads
    ],
    ids=lambda value: value.name if isinstance(value, Plan) else "",
)  # fmt: skip
def test_what_used_to_stay_large_becomes_small(plan: Plan, target: Target, tmp_path: Path) -> None:
    found = shrink(plan, target)
    size = Size.of(found.plan)
    assert (size.nodes <= 3, size.clients <= 3, size.ops <= 6, size.faults <= 2) == (True, True, True, True)
    small_again(found, target, tmp_path)
