"""Faults that wait for a node to come to a point: the node that is struck has just come there, and what cannot be is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.nemesis.aim import at_point
from harness.nemesis.possible import refuse_impossible
from harness.plan import FaultPlan, Plan, PlanError, dump_plan, load_plan, parse_plan
from harness.search import simpler
from harness.search.finding import scripted
from harness.search.story import words
from harness.search.strategies import STRATEGIES
from harness.simulate import simulate_run
from kvstore.events import NO_TAG, Meta, Record, Send, Write
from kvstore.membership import DOCUMENT
from kvstore.messages import Ping, Repair
from kvstore.messages_cas import Promise
from kvstore.messages_ring import Page
from kvstore.points import points_of

BUGS = Path(__file__).parents[2] / "examples" / "bugs"
PLAN = """
name = "at-a-point"
workload = "register"
claims = ["linearizable"]
time_limit_s = 3
[system]
name = "kvstore"
mode = "MODE"
[[faults]]
kind = "KIND"
point = "POINT"
start_s = 0.5
every_s = 1
for_s = 0.5
"""


def plan_of(kind: str, point: str, mode: str = "register", more: str = "") -> Plan:
    text = PLAN.replace("KIND", kind).replace("POINT", point).replace("MODE", mode)
    return parse_plan(text + more)


def test_effects_tell_the_points() -> None:
    hint = Record("!hint/n2", b"{hint}x", NO_TAG, b"v")
    effects = [
        Write(1, (hint, Meta(DOCUMENT, b""), Meta("incarnation", b"3"))),
        Write(2, (Record("default", b"x", NO_TAG, b"v"), Record("!hint/n2", b"{hint}x", NO_TAG, None))),
        Send("n2", Ping(1, 1)),
        Send("n2", Page(1, (), True)),
        Send("n2", Repair(1, "default", b"x", 0, 1, 0.0, NO_TAG, b"v")),
    ]
    assert list(points_of(effects)) == ["hint", "epoch", "stream", "read-repair"]


@pytest.mark.parametrize("kind", ["kill", "pause", "partition", "clock"])
def test_a_fault_strikes_the_node_that_comes_to_the_point_and_no_sooner(kind: str) -> None:
    run = simulate_run(plan_of(kind, "fsync"))
    assert len(run.faults) == 3
    for fault, asked_s in zip(run.faults, (0.5, 1.5, 2.5), strict=True):
        assert fault["point"] == "fsync"
        assert fault["nodes"]
        assert asked_s <= fault["start_ns"] / 1e9 < asked_s + 0.1
        assert fault["bit"], fault["note"]


class Promises:
    """Who promised last, and when, at each moment of a run; who went down, and when."""

    def __init__(self, plan: Plan) -> None:
        self.promised: list[tuple[float, str]] = []
        self.run = simulate_run(plan, on_world=self.open)

    def open(self, world: Any, loop: Any) -> None:
        def see(what: str, src: str, dst: str, message: Any) -> None:
            if what in ("sent", "lost") and isinstance(message, Promise):
                self.promised.append((loop.now, src))

        world.watch(see)


def test_a_node_is_killed_at_the_moment_of_its_promise() -> None:
    plan = replace(load_plan(BUGS / "cas.promise_not_persisted.toml"), time_limit_s=1.0)
    kill = FaultPlan(kind="kill", start_s=0.2, every_s=0.3, for_s=0.1, options={"point": "promise"})
    seen = Promises(replace(plan, faults=(kill,)))
    struck = [fault for fault in seen.run.faults if fault["bit"]]
    assert struck
    for fault in struck:
        (node,) = fault["nodes"]
        down_s = next(
            float(line.split()[0])
            for line in seen.run.logs[node].splitlines()
            if "killed" in line and float(line.split()[0]) >= seen.run.start_s + fault["start_ns"] / 1e9
        )
        assert any(abs(at_s - down_s) < 1e-5 and who == node for at_s, who in seen.promised)


def test_nobody_comes_to_the_point_and_nothing_is_struck() -> None:
    run = simulate_run(plan_of("kill", "hint"))
    assert run.faults == []
    assert run.verdict.value == "unknown"
    assert "kill never bit" in run.results["reason"]
    assert b"no node came to the point 'hint' in time" in run.lines


def test_the_node_takes_the_place_of_the_first_that_was_drawn() -> None:
    value = {"id": 1, "nodes": ["n1", "n2"], "point": "fsync", "offsets_ms": {"n1": 5.0, "n2": -7.0}}
    assert at_point(value, "n3") == {**value, "nodes": ["n3", "n2"], "offsets_ms": {"n3": 5.0, "n2": -7.0}}
    assert at_point(value, "n2") == {**value, "nodes": ["n2", "n1"], "offsets_ms": {"n2": 5.0, "n1": -7.0}}
    cut = {"id": 1, "nodes": ["n2"], "point": "fsync", "grudge": {"n2": ["n1", "n3"]}}
    assert at_point(cut, "n3")["grudge"] == {"n3": ["n1", "n2"]}
    assert at_point({"id": 1, "nodes": [], "draw": 0.5}, "n3") == {"id": 1, "nodes": [], "draw": 0.5}


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (plan_of("kill", "promise"), "kvstore comes to no point 'promise'; as it is configured it has hint, fsync"),
        (plan_of("kill", "lunch", mode="cas"), "kvstore comes to no point 'lunch'; .* hint, promise, fsync"),
        (plan_of("kill", "epoch", mode="eventual"), "no point 'epoch'; .* hint, read-repair, fsync"),
    ],
)  # fmt: skip
def test_a_point_that_the_system_does_not_have_is_refused(plan: Plan, told: str) -> None:
    with pytest.raises(PlanError, match=told):
        simulate_run(plan)


def test_points_are_seen_in_the_simulator_only() -> None:
    with pytest.raises(PlanError, match="the point 'fsync', and the world hosts does not see"):
        refuse_impossible(plan_of("kill", "fsync"), "hosts")
    refuse_impossible(replace(plan_of("kill", "fsync"), faults=()), "hosts")


def test_a_point_finds_its_node_itself() -> None:
    with pytest.raises(PlanError, match='point finds its node itself; leave targets = "primaries" out'):
        plan_of("kill", "fsync", more='targets = "primaries"\n')
    with pytest.raises(PlanError, match="point is 7, but must be text"):
        parse_plan(PLAN[: PLAN.index("[[faults]]")] + '[[strokes]]\nkind = "kill"\nstart_s = 1\nfor_s = 1\nnodes = ["n1"]\ndetail = {point = 7}\n')  # fmt: skip


def test_a_run_written_out_waits_for_the_same_points() -> None:
    plan = plan_of("kill", "fsync")
    run = simulate_run(plan)
    again = scripted(plan, run)
    assert simulate_run(again).lines == run.lines
    assert parse_plan(dump_plan(again)) == again
    assert "once a node comes to the point fsync" in words(again.strokes[0])
    bare = [each for each in simpler.narrower(again) if "point" not in each.strokes[0].detail]
    assert [each.strokes[0].nodes for each in bare] == [again.strokes[0].nodes]


def test_the_strategy_binds_faults_to_points_and_leaves_changes_of_members_alone() -> None:
    plan = load_plan(BUGS / "cas.promise_not_persisted.toml")
    made = [STRATEGIES["points"](plan, number) for number in range(40)]
    assert made == [STRATEGIES["points"](plan, number) for number in range(40)]
    assert all(parse_plan(dump_plan(each)) == each for each in made)
    bound = {fault.options.get("point") for each in made for fault in each.faults}
    assert bound == {None, "hint", "promise", "fsync"}
    joining = load_plan(BUGS / "join.stream_from_one.toml")
    assert all("point" not in fault.options for number in range(20) for fault in STRATEGIES["points"](joining, number).faults)  # fmt: skip
