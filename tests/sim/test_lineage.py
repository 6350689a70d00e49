"""Search by lineage: who supports an answer is seen, the next fault comes right then and there, and up to that moment nothing changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.nemesis.grudges import around
from harness.plan import FaultPlan, Plan, PlanError, dump_plan, load_plan, parse_plan
from harness.search.explore import Exploration
from harness.search.generations import GENERATION
from harness.search.lineage import Lineage, Supports, can_be_aimed, strokes_of, struck
from harness.simulate import simulate_run
from harness.worlds.sim import stream
from tests.sim.small import SMALL

EXAMPLES = Path(__file__).parents[2] / "examples"
CUT = FaultPlan(kind="partition", start_s=1.2, every_s=9.0, for_s=0.4)
KILL = FaultPlan(kind="kill", start_s=1.5, every_s=9.0, for_s=0.2)
WIPE = FaultPlan(kind="wipe", start_s=1.7, every_s=9.0, for_s=0.2)
PLAN = replace(
    load_plan(EXAMPLES / "register.toml"), time_limit_s=2.0, faults=(CUT, KILL, WIPE),
)  # fmt: skip


def supports(plan: Plan) -> tuple[int, ...]:
    watcher = Supports()
    run = simulate_run(plan, on_world=watcher.open)
    return watcher.features(run.start_s)


def told(support: int, plan: Plan) -> tuple[float, list[str]]:
    at_ms, bits = support & 0xFFFFFFFF, support >> 32
    return at_ms / 1000, [node for place, node in enumerate(plan.node_names) if bits >> place & 1]


def test_whoever_has_answered_supports_the_answer() -> None:
    """SMALL: n3 writes at 20.3 ms and hears n1, for n2 does not hear n3; the read at 60 ms is answered by n2 alone, and is stale."""
    seen = [told(support, SMALL) for support in supports(SMALL)]
    write = [nodes for at_s, nodes in seen if 0.02 <= at_s < 0.04]
    assert write[0] == ["n3"]
    assert write[1] == ["n1", "n3"]
    assert all("n2" not in nodes for nodes in write)
    assert [nodes for at_s, nodes in seen if 0.06 <= at_s < 0.1] == [["n2"]]


def records(plan: Plan) -> list[dict[str, Any]]:
    return [json.loads(line) for line in simulate_run(plan).lines.splitlines()]


def aimed_children(plan: Plan, seen: Sequence[int]) -> list[tuple[int, Plan]]:
    rng = stream(3, "test")
    made = [(support, struck(plan, support, rng)) for support in seen for _ in range(4)]
    return [(support, child) for support, child in made if child is not None]


def test_one_later_fault_is_moved_onto_the_support_and_strikes_no_more_than_it_may() -> None:
    children = aimed_children(PLAN, supports(PLAN)[::8])
    assert len(children) > 60
    kinds = set()
    sizes: dict[str, set[int]] = {}
    for support, child in children:
        at_s, nodes = told(support, PLAN)
        assert len(child.strokes) == 3
        (moved,) = [
            each for each in child.strokes
            if (each.start_ns, each.kind) not in {(old.start_ns, old.kind) for old in strokes_of(PLAN)}
        ]  # fmt: skip
        kinds.add(moved.kind)
        assert at_s <= moved.start_ns / 1e9 < at_s + 0.1
        assert set(moved.nodes) <= set(nodes)
        sizes.setdefault(moved.kind, set()).add(len(moved.nodes))
        if moved.kind == "partition":
            links = around(moved.nodes, PLAN.node_names)
            assert moved.detail["grudge"] == {node: sorted(sources) for node, sources in links.items()}
        assert parse_plan(dump_plan(child)).strokes == child.strokes
    assert kinds == {"partition", "kill", "wipe"}
    assert sizes["wipe"] == {1}, "no more disks are lost than the plan says"
    assert max(sizes["kill"]) > 1
    assert max(sizes["partition"]) > 1


def test_up_to_the_answer_a_child_is_its_parent() -> None:
    parent = records(PLAN)
    for support, child in aimed_children(PLAN, supports(PLAN)[20:200:40])[::4]:
        at_ns = told(support, PLAN)[0] * 1e9
        first = [line for line in records(child) if line["time"] < at_ns]
        assert first == [line for line in parent if line["time"] < at_ns]
        assert len(first) > 5


def test_what_cannot_be_aimed_is_refused() -> None:
    members = FaultPlan(kind="rolling-restart", start_s=0.5, every_s=9.0, for_s=0.5)
    leaders = FaultPlan(kind="kill", start_s=0.5, every_s=9.0, for_s=0.5, options={"targets": "primaries"})
    plan = replace(PLAN, faults=(members, leaders))
    assert not any(map(can_be_aimed, strokes_of(plan)))
    with pytest.raises(PlanError, match="lineage aims faults at nodes"):
        Lineage(plan)


def test_generations_learn_and_jobs_change_nothing(tmp_path: Path) -> None:
    plan, runs = replace(PLAN, time_limit_s=1.0, faults=(replace(CUT, start_s=0.7),)), GENERATION + 4
    alone, both = (Exploration(plan, "lineage", tmp_path / name) for name in ("alone", "both"))
    alone.go(runs, 1, lambda: False, lambda record: None)
    both.go(runs, 2, lambda: False, lambda record: None)
    assert [(each.digest, each.new) for each in alone.records] == [(each.digest, each.new) for each in both.records]  # fmt: skip
    assert any(alone.plan_of(number).strokes for number in range(GENERATION, runs))
    assert not any(alone.plan_of(number).strokes for number in range(GENERATION))
    assert alone.summary()["supports"] > 100
