"""Faults aimed at who leads for the key in use: the node that is struck is the one the ring names, whatever the seed draws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from checkers.jsonl import decode_line
from checkers.op import Op, Type
from harness.nemesis.aim import RECENT, Heat, aimed, is_aimed
from harness.plan import PlanError, parse_plan
from harness.runner import Story
from harness.simulate import simulate_run
from kvstore.ring import Ring

PLAN = """
name = "aimed"
workload = "register"
claims = ["linearizable"]
seed = SEED
time_limit_s = 8
[options]
keys = 1
ops_per_key = 300
[system]
name = "kvstore"
mode = "register"
[[faults]]
kind = "KIND"
targets = "primaries"
start_s = 1
every_s = 3
for_s = 1
"""
NODES = ("n1", "n2", "n3", "n4", "n5")


def invoke(key: Any, process: int | str = 0) -> Op:
    return Op(0, 0, process, Type.INVOKE, "read", key, None)


def test_the_hottest_key_is_the_one_used_most_of_late() -> None:
    heat = Heat()
    assert heat.hottest() is None
    heat.see(invoke(None, "nemesis"))
    heat.see(Op(0, 0, 0, Type.OK, "read", 9, 1))
    assert heat.hottest() is None, "only calls of clients count"
    for key in (1, 2, 2):
        heat.see(invoke(key))
    assert heat.hottest() == 2
    for _ in range(RECENT):
        heat.see(invoke(3))
    heat.see(invoke(2))
    assert heat.hottest() == 3, "what was long ago is forgotten"


def test_what_was_drawn_goes_to_each_node_that_is_found() -> None:
    value = {"id": 1, "nodes": [], "targets": "primaries", "offset_ms": -30.0}
    assert is_aimed(value)
    assert not is_aimed({**value, "nodes": ["n1"]}), "a stroke that knows its nodes keeps them"
    shifted = aimed("clock", value, ["n3", "n2"], NODES)
    assert (shifted["nodes"], shifted["offsets_ms"]) == (["n2", "n3"], {"n2": -30.0, "n3": -30.0})
    lossy = aimed("loss", {"id": 1, "nodes": [], "targets": "primaries", "share": 0.5}, ["n2"], NODES[:3])
    assert lossy["grudge"] == {"n1": ["n2"], "n2": ["n1", "n3"], "n3": ["n2"]}
    assert aimed("kill", {"id": 1, "nodes": []}, ["n2"], NODES) == {"id": 1, "nodes": ["n2"]}


@pytest.mark.parametrize("kind", ["kill", "pause", "clock", "loss", "partition"])
def test_the_node_that_is_struck_leads_for_the_key(kind: str) -> None:
    ring, struck = Ring.striped(NODES), set()
    for seed in (1, 2):
        run = simulate_run(parse_plan(PLAN.replace("KIND", kind).replace("SEED", str(seed))))
        records = [decode_line(line) for line in run.lines.splitlines()]
        assert len(run.faults) == 3
        for fault in run.faults:
            assert fault["bit"], fault["note"]
            heat = Heat()
            for record in records:
                if record.time_ns < fault["start_ns"]:
                    heat.see(record)
            assert fault["nodes"] == [ring.replicas(b"register-%d" % heat.hottest(), 3)[0]]
            struck.add(fault["nodes"][0])
    assert len(struck) > 1, "keys change, and so does who leads"


def test_it_is_refused_where_nobody_can_tell_who_leads() -> None:
    story = Story(parse_plan(PLAN.replace("KIND", "kill").replace("SEED", "1")), "sim")
    story.workload = replace(story.workload, key_name=None)
    with pytest.raises(PlanError, match=r'targets = "primaries" needs a system and a workload that tell who leads .* register does not'):  # fmt: skip
        story.is_aimed()


def test_a_stroke_may_be_aimed_too() -> None:
    head = PLAN[: PLAN.index("[[faults]]")].replace("SEED", "1")
    stroke = '[[strokes]]\nkind = "loss"\nstart_s = 2\nfor_s = 1\nnodes = []\ndetail = {targets = "primaries", share = 0.9}\n'
    (fault,) = simulate_run(parse_plan(head + stroke)).faults
    assert (len(fault["nodes"]), fault["bit"], fault["share"]) == (1, True, 0.9)
