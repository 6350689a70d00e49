"""Each shape cuts what its drawing says, for any number of nodes and any draw."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.nemesis.grudges import (
    SHAPES,
    around,
    bridge,
    complete,
    halves,
    isolate,
    majorities_ring,
    one_way,
)
from harness.nemesis.schedule import draw_stroke, how_many, nemesis_ops, timetable
from harness.plan import FaultPlan
from harness.plan_options import SIZES

NODES = st.integers(3, 9).map(lambda count: [f"n{number}" for number in range(1, count + 1)])
SEEDS = st.integers(0, 10_000).map(random.Random)


@given(NODES, SEEDS, st.sampled_from(sorted(SHAPES)))
def test_nobody_drops_itself_and_something_is_cut(nodes: list[str], rng: random.Random, shape: str) -> None:
    grudge = SHAPES[shape](nodes, rng)
    assert all(dst not in sources and sources <= set(nodes) for dst, sources in grudge.items())
    assert any(grudge.values())


@given(NODES, SEEDS)
def test_halves_and_isolate_are_symmetric(nodes: list[str], rng: random.Random) -> None:
    for grudge in (halves(nodes, rng), isolate(nodes, rng)):
        assert all(dst in grudge[src] for dst, sources in grudge.items() for src in sources)


@given(NODES, SEEDS)
def test_in_a_majorities_ring_each_sees_a_majority_and_no_two_the_same(
    nodes: list[str], rng: random.Random
) -> None:
    seen = [frozenset(nodes) - sources for sources in majorities_ring(nodes, rng).values()]
    assert all(len(view) == len(nodes) // 2 + 1 for view in seen)
    assert len(set(seen)) == len(nodes)


@given(NODES, SEEDS)
def test_a_bridge_is_one_node_that_sees_all(nodes: list[str], rng: random.Random) -> None:
    grudge = bridge(nodes, rng)
    middle = set(nodes) - set(grudge)
    assert len(middle) == 1
    assert not any(middle & sources for sources in grudge.values())


@given(NODES, SEEDS)
def test_one_way_is_one_way(nodes: list[str], rng: random.Random) -> None:
    grudge = one_way(nodes, rng)
    assert not any(dst in grudge.get(src, ()) for dst, sources in grudge.items() for src in sources)


def test_complete_cuts_between_groups_only() -> None:
    assert complete([["a"], ["b", "c"]]) == {"a": {"b", "c"}, "b": {"a"}, "c": {"a"}}


@pytest.mark.parametrize(("targets", "of_five"), [("one", 1), ("minority", 2), ("majority", 3), ("all", 5)])
def test_how_many(targets: str, of_five: int) -> None:
    assert how_many(targets, 5) == of_five


@given(st.sampled_from(SIZES), st.integers(1, 50))
def test_whatever_a_plan_may_aim_at_is_at_least_one_node_and_at_most_all(targets: str, count: int) -> None:
    assert 1 <= how_many(targets, count) <= count


def test_the_timetable_is_drawn_from_the_seed_alone() -> None:
    faults = (
        FaultPlan(kind="kill", start_s=1, every_s=4, for_s=2),
        FaultPlan(kind="partition", start_s=2, every_s=4, for_s=1),
    )
    nodes = ("n1", "n2", "n3", "n4", "n5")
    first, again = (
        timetable(faults, nodes=nodes, time_limit_s=10, rng=random.Random("7/nemesis")) for _ in range(2)
    )
    assert first == again
    assert [(stroke.kind, stroke.start_ns // 10**9) for stroke in first] == [
        ("kill", 1), ("partition", 2), ("kill", 5), ("partition", 6), ("kill", 9),
    ]  # fmt: skip
    last = nemesis_ops(first, 10).ops[-1]
    assert last.f == "kill-start", "the stop at 11 s is left to the heal"


def test_a_fault_of_links_is_of_all_links_of_its_targets_or_of_those_a_shape_cuts() -> None:
    nodes = ("n1", "n2", "n3", "n4", "n5")

    def drawn(kind: str, **options: object) -> tuple[tuple[str, ...], dict[str, Any]]:
        return draw_stroke(FaultPlan(kind=kind, options=options), nodes, random.Random(4))

    assert drawn("partition") == drawn("partition", shape="halves")
    struck, detail = drawn("partition", targets="one")
    assert detail["grudge"] == {node: sorted(cut) for node, cut in around(struck, nodes).items()}
    assert around(["n2"], ["n1", "n2", "n3"]) == {"n1": {"n2"}, "n2": {"n1", "n3"}, "n3": {"n2"}}
    far, long = drawn("partition", shape="halves"), drawn("delay", shape="halves", delay_ms=30.0)
    assert long[0] == far[0]
    assert long[1] == {**far[1], "delay_ms": 30.0, "jitter_ms": 0.0}
    assert len(drawn("rate", targets="majority")[0]) == 3
