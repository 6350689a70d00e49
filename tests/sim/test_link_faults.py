"""Faults of links as the nemesis runs them: started, ended, judged; a store is under them, and the run is a function of its seed."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.nemesis.flapping import Flapping
from harness.nemesis.links import Delay
from harness.nemesis.schedule import timetable
from harness.plan import PlanError, dump_plan, parse_plan
from harness.plan_options import FAULT_OPTIONS, LINK_KINDS
from harness.runner import run
from harness.simulate import simulate_run
from harness.worlds.trouble import Touch

PLAN = """
name = "links"
workload = "register"
claims = ["linearizable"]
seed = SEED
time_limit_s = 8
rate = 200
[system]
name = "kvstore"
mode = "register"
[[faults]]
kind = "KIND"
targets = "minority"
start_s = 1
every_s = 4
for_s = 3
"""


def ran(tmp_path: Path, kind: str, more: str = "") -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(results, faults) of a simulated run under one kind of fault."""
    plan = parse_plan(PLAN.replace("KIND", kind).replace("SEED", "7") + more)
    outcome = run(plan, world="sim", out=tmp_path)
    lines = (outcome.folder / "faults.jsonl").read_text().splitlines()
    return outcome.results, [json.loads(line) for line in lines]


def test_loss_bites_and_the_share_that_was_seen_is_told(tmp_path: Path) -> None:
    results, faults = ran(tmp_path, "loss", "share = 0.3\n")
    assert results["outcome"] == "valid", results["reason"]
    assert len(faults) == 2
    for fault in faults:
        assert fault["bit"]
        assert fault["healed"]
        evidence = fault["evidence"]
        assert evidence["seen"] > 100
        assert evidence["measured_share"] == pytest.approx(0.3, abs=0.1)
        assert all(set(link.split("->")) & set(fault["nodes"]) for link in evidence["dropped"])
        assert evidence["links"] == 14, "two of five: 2 links between them, and 12 to and from the others"


def test_flapping_goes_down_again_and_again_and_lets_through_between(tmp_path: Path) -> None:
    results, faults = ran(tmp_path, "flapping", "down_ms = 300\nup_ms = 250\n")
    assert results["outcome"] == "valid", results["reason"]
    first, second = faults
    assert (first["evidence"]["downs"], first["evidence"]["downs_that_dropped"]) == (6, 6)
    assert second["evidence"]["downs"] >= 6, "it ends with the heal"
    assert all(fault["bit"] and sum(fault["evidence"]["dropped"].values()) > 0 for fault in faults)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("reset", "reset"), ("rate", "held_back"), ("delay", "delayed"), ("duplicate", "doubled"), ("reorder", "overtaken"), ("corrupt", "corrupted"),
    ],
)  # fmt: skip
def test_each_kind_bites_and_says_how_often(kind: str, told: str, tmp_path: Path) -> None:
    results, faults = ran(tmp_path, kind)
    assert results["outcome"] == "valid", results["reason"]
    assert len(faults) == 2
    for fault in faults:
        assert (fault["bit"], fault["healed"]) == (True, True)
        assert 0 < sum(fault["evidence"][told].values()) <= fault["evidence"]["seen"]
        if kind == "delay":
            assert (fault["evidence"]["asked_ms"], fault["evidence"]["measured_ms"]) == (100.0, 100.0)


def test_packets_held_for_less_than_was_asked_are_no_bite() -> None:
    fault = Delay(1, ("a",), {"grudge": {"a": ["b"]}, "delay_ms": 100.0, "jitter_ms": 10.0})
    fault.weigh({"b->a": Touch(5, 5, 92.0), "a->b": Touch(0, 0)})
    assert fault.bit
    fault.weigh({"b->a": Touch(5, 5, 20.0)})
    assert (fault.bit, fault.note) == (False, "packets were held for 20.0 ms on average only")
    fault.weigh({})
    assert (fault.bit, fault.note) == (False, "no packet was delayed")


@pytest.mark.parametrize("kind", LINK_KINDS)
def test_a_run_with_a_fault_of_links_is_a_function_of_its_seed(kind: str) -> None:
    text = PLAN.replace("KIND", kind)
    plan = parse_plan(
        text.replace("SEED", "11").replace('targets = "minority"\n' * (kind == "partition"), "")
    )
    first, again = simulate_run(plan), simulate_run(plan)
    assert first.lines == again.lines
    assert first.fault_lines == again.fault_lines


class Silent:
    """A world in which troubles touch nothing, or only once."""

    def __init__(self, touches: list[dict[str, Touch]]) -> None:
        self.touches = touches

    async def disturb(self, trouble: object) -> None:
        pass

    async def relieve(self, number: int) -> dict[str, Touch]:
        return self.touches.pop(0)


def test_flapping_that_dropped_in_one_down_only_did_not_bite() -> None:
    async def story(*hits: int) -> Flapping:
        fault = Flapping(1, ("a",), {"grudge": {"a": ["b"]}, "down_ms": 1.0, "up_ms": 1.0})
        world: Any = Silent([{"b->a": Touch(hit, hit)} for hit in hits])
        fault.evidence = {"downs": 0, "downs_that_dropped": 0, "dropped": {}}
        while world.touches:
            fault._count(await world.relieve(1))
        world.touches = [{}]
        await fault.stop(world)
        return fault

    once, twice = asyncio.run(story(3, 0, 0)), asyncio.run(story(3, 0, 2))
    assert (once.bit, once.note) == (False, "packets were dropped in fewer than 2 downs")
    assert (twice.bit, twice.evidence["dropped"]) == (True, {"b->a": 5})


@pytest.mark.parametrize(
    ("kind", "option", "says"),
    [
        (
            "loss",
            "share = 0",
            "share is a share of the packets, of the records, of the operations, or of a processor, from 0.001 to 1, not 0",
        ),
        ("loss", "share = 1.5", "share is a share of the packets"),
        ("flapping", "down_ms = 5", "down_ms is milliseconds, from 50 to 600000, not 5"),
        ("loss", "down_ms = 500", "unknown key 'down_ms'"),
        ("corrupt", 'checksum = "good"', "checksum is 'good', but must be one of wrong, right"),
    ],
)
def test_what_a_plan_may_not_ask_for(kind: str, option: str, says: str) -> None:
    with pytest.raises(PlanError, match=says):
        parse_plan(PLAN.replace("KIND", kind).replace("SEED", "1") + option)


@pytest.mark.parametrize(
    ("stroke", "says"),
    [
        ('kind = "loss"', "loss needs its links"),
        ('kind = "loss"\ndetail = {grudge = {n1 = "n2"}}', "loss needs its links"),
        ('kind = "loss"\ndetail = {grudge = 3}', "loss needs its links"),
        ('kind = "loss"\ndetail = {targets = "primaries"}', "loss needs its links"),  # its nodes are told
        ('kind = "loss"\ndetail = {share = "x", grudge = {n1 = ["n2"]}}', "share is a share of the packets"),
        ('kind = "loss"\ndetail = {share = 7, grudge = {n1 = ["n2"]}}', "from 0.001 to 1, not 7"),
        ('kind = "loss"\ndetail = {shaer = 0.5, grudge = {n1 = ["n2"]}}', "unknown key 'shaer'"),
        ('kind = "flapping"\ndetail = {down_ms = 0, grudge = {n1 = ["n2"]}}', "down_ms is milliseconds"),
        ('kind = "clock"', "clock needs detail = {offsets_ms"),
        ('kind = "clock"\ndetail = {offsets_ms = {n1 = "x"}}', "clock needs detail = {offsets_ms"),
        ('kind = "clock"\ndetail = {offsets_ms = {n1 = nan}}', "clock needs detail = {offsets_ms"),
        ('kind = "join"', "join needs detail = {draw"),
        ('kind = "join"\ndetail = {draw = 1}', "join needs detail = {draw"),
        ('kind = "kill"\ndetail = {targets = "primary"}', "targets is 'primary', but must be one of one,"),
        ('kind = ["kill"]', "which is no fault"),
    ],
)
def test_a_stroke_that_does_not_say_what_it_does_is_refused(stroke: str, says: str) -> None:
    head = PLAN[: PLAN.index("[[faults]]")].replace("SEED", "1")
    with pytest.raises(PlanError, match=says):
        parse_plan(head + f'[[strokes]]\nstart_s = 1\nfor_s = 1\nnodes = ["n1"]\n{stroke}\n')


def test_a_stroke_at_no_time_is_refused() -> None:
    head = PLAN[: PLAN.index("[[faults]]")].replace("SEED", "1")
    with pytest.raises(PlanError, match="start_s is 0 or more seconds"):
        parse_plan(head + '[[strokes]]\nkind = "kill"\nstart_s = nan\nfor_s = 1\nnodes = ["n1"]\n')


@pytest.mark.parametrize("time", ["start_s = 1e300\nfor_s = 1", "start_s = 1\nfor_s = 1e300"])
def test_a_stroke_beyond_all_runs_is_refused(time: str) -> None:
    head = PLAN[: PLAN.index("[[faults]]")].replace("SEED", "1")
    with pytest.raises(PlanError, match="no run is so long"):
        parse_plan(head + f'[[strokes]]\nkind = "kill"\n{time}\nnodes = ["n1"]\n')


def test_aimed_clocks_need_to_be_told_how_far() -> None:
    head = PLAN[: PLAN.index("[[faults]]")].replace("SEED", "1")
    aimed = '[[strokes]]\nkind = "clock"\nstart_s = 1\nfor_s = 1\nnodes = []\ndetail = {targets = "primaries"'
    with pytest.raises(PlanError, match=r"clock needs detail = \{offset_ms"):
        parse_plan(head + aimed + "}")
    (stroke,) = parse_plan(head + aimed + ", offset_ms = -90.5}").strokes
    assert stroke.detail["offset_ms"] == -90.5


@pytest.mark.parametrize("kind", sorted(FAULT_OPTIONS))
def test_what_a_timetable_draws_may_be_written_as_strokes(kind: str) -> None:
    head = PLAN[: PLAN.index("[[faults]]")].replace("SEED", "1")
    plan = parse_plan(head + f'[[faults]]\nkind = "{kind}"\nstart_s = 1\nevery_s = 5\nfor_s = 1\n')
    strokes = timetable(plan.faults, nodes=plan.node_names, time_limit_s=2, rng=random.Random(1))
    scripted = replace(plan, faults=(), strokes=strokes)
    assert parse_plan(dump_plan(scripted)).strokes == strokes
