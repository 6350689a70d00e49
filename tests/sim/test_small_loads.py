"""Small loads: a finding that is too rare to be cut small is searched for in small runs of its plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.plan import dump_plan, load_plan, parse_plan
from harness.search.small_loads import NODES, small_loads, small_worlds
from tests.sim.small import SMALL

BUGS = Path(__file__).parents[2] / "examples" / "bugs"
PLAN = load_plan(BUGS / "cas.next_not_promised.toml")


def test_small_loads_grow_and_each_is_the_plan_with_less_of_everything() -> None:
    found = list(small_loads(PLAN))
    assert [(small.concurrency, small.options["keys"]) for small in found] == [
        (3, 1),
        (5, 1),
        (5, 2),
        (10, 3),
    ]
    for small in found:
        assert small.time_limit_s < PLAN.time_limit_s
        assert (small.claims, small.system_options) == (PLAN.claims, PLAN.system_options)
        assert small.nodes == PLAN.nodes, "what a node less does is tried when there is a script"
        assert parse_plan(dump_plan(small)) == small


def test_the_first_fault_comes_soon_and_the_time_between_faults_stays() -> None:
    early, late = PLAN.faults[0], replace(PLAN.faults[0], start_s=1.1)
    small = next(small_loads(replace(PLAN, faults=(late, early), time_limit_s=3.0)))
    assert [fault.start_s for fault in small.faults] == [1.05, 0.05]
    assert small.time_limit_s == 1.65, "the first of each kind is over"


def test_a_load_that_is_small_already_and_a_script_have_no_smaller_one() -> None:
    first = next(iter(small_loads(PLAN)))
    assert first not in list(small_loads(first))
    assert list(small_loads(SMALL)) == []


def test_a_workload_that_does_not_say_how_many_keys_is_told_no_number() -> None:
    own = {key: value for key, value in PLAN.options.items() if key != "keys"}
    assert all("keys" not in small.options for small in small_loads(replace(PLAN, options=own)))


def test_small_worlds_have_three_nodes_and_room_for_a_stranger_and_fewer_and_fewer_copies() -> None:
    joins = load_plan(BUGS / "join.no_epoch_reject.toml")
    worlds = list(small_worlds(joins))
    assert {world.nodes for world in worlds} == {NODES}
    assert {world.system_options["members"] for world in worlds} == {max(1, joins.system_options["members"] - joins.nodes + NODES)}  # fmt: skip
    copies = [world.system_options["n"] for world in worlds]
    assert copies == [*range(copies[0], 0, -1)]
    assert all(world.concurrency < joins.concurrency for world in worlds)
    assert all(parse_plan(dump_plan(world)) == world for world in worlds)
    quorum = load_plan(BUGS.parent / "quorum.toml")
    assert [(world.nodes, world.system_options["n"]) for world in small_worlds(quorum)] == [
        (3, 3),
        (3, 2),
        (3, 1),
    ]
    assert list(small_worlds(replace(PLAN, nodes=NODES))) == []
    assert list(small_worlds(SMALL)) == []
