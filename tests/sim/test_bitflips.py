"""Bits that flip on disks: which records, who met them, and where the fault is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from harness.nemesis.possible import refuse_impossible
from harness.plan import Plan, PlanError, parse_plan
from harness.runner import Story, run
from harness.simulate import SimRun, simulate_run
from harness.system import SystemUnderTest
from kvstore.engine_memory import MemoryEngine
from kvstore.events import CorruptRecord, Damaged, Record, Tag
from kvstore.ring import partition_of

PLAN = """
name = "flips"
workload = "register"
claims = ["linearizable"]
seed = 3
nodes = 3
time_limit_s = 4
rate = 200
[options]
ops_per_key = 50
[system]
name = "kvstore"
mode = "register"
[[faults]]
kind = "bitflip"
share = 0.5
start_s = START
every_s = 2
for_s = 1
targets = "TARGETS"
"""


def plan_of(start: str = "1", targets: str = "minority") -> Plan:
    return parse_plan(PLAN.replace("START", start).replace("TARGETS", targets))


def outcome(run: SimRun) -> list[tuple[Any, ...]]:
    return [(fault["bit"], fault["healed"], fault["note"], fault["evidence"]) for fault in run.faults]


# ---- the disk ------------------------------------------------------------------------------------------------------


def disk(count: int) -> MemoryEngine:
    made = MemoryEngine()
    made.commit([Record("default", b"%d" % key, Tag(1, "a", 1), b"v") for key in range(count)])
    return made


@pytest.mark.parametrize(("count", "share", "struck"), [(0, 1.0, 0), (5, 0.001, 1), (10, 0.3, 3), (4, 1.0, 4)])  # fmt: skip
def test_a_share_of_the_records_is_damaged_and_one_at_least(count: int, share: float, struck: int) -> None:
    made = disk(count)
    places = made.rot(share, Random(1))
    assert made.look().keys() >= places
    assert (len(places), made.damaged, made.met) == (struck, places, frozenset()), "who only looks meets none"
    assert disk(count).rot(share, Random(1)) == places, "a function of the seed"


def test_what_is_damaged_is_not_damaged_again() -> None:
    made = disk(10)
    first = made.rot(0.5, Random(1))
    second = made.rot(1.0, Random(1))
    assert len(first) == len(second) == 5
    assert not first & second
    assert made.rot(1.0, Random(1)) == frozenset()


def test_a_read_and_a_scan_meet_it_and_a_write_takes_its_place() -> None:
    made = disk(3)
    made.rot(1.0, Random(1))
    with pytest.raises(CorruptRecord):
        made.get("default", b"0")
    assert made.met == {("default", b"0")}
    assert made.scan("default", partition_of(b"1"), None, 9) == [Damaged("default", b"1")]
    assert made.met == {("default", b"0"), ("default", b"1")}
    made.commit([Record("default", b"0", Tag(2, "a", 1), b"w")])
    assert made.damaged == {("default", b"1"), ("default", b"2")}
    assert ("default", b"0") in made.met, "that it was met stays known"
    made.corrupt("default", b"0")
    assert ("default", b"0") not in made.met, "new damage is yet to be met"
    made.wipe()
    assert (made.damaged, made.met) == (frozenset(), frozenset())


# ---- the fault -----------------------------------------------------------------------------------------------------


def test_it_bites_and_tells_what_became_of_the_damage(tmp_path: Path) -> None:
    results = run(plan_of(), world="sim", out=tmp_path).results
    assert results["outcome"] == "valid", results["reason"]
    assert results["faults"]["by_kind"]["bitflip"] == {"count": 2, "bit": 2}


def test_the_evidence_is_of_the_disks() -> None:
    made = simulate_run(plan_of())
    assert len(made.faults) == 2
    for fault in made.faults:
        assert fault["bit"], fault["note"]
        (found,) = fault["evidence"].values()
        assert found["damaged"] >= 2
        assert 0 < found["met"] <= found["damaged"]
        assert 0 <= found["left"] < found["damaged"], "what was met was mended, or written over"
        assert fault["healed"] == (found["left"] == 0)
    again = simulate_run(plan_of())
    assert (again.lines, outcome(again)) == (made.lines, outcome(made))


def test_an_empty_disk_has_nothing_to_be_damaged() -> None:
    first, *_ = outcome(simulate_run(plan_of(start="0", targets="all")))
    assert first[0] is False
    assert first[2] == "no record was on the disk on n1, n2, n3"


def test_damage_that_no_read_meets_is_no_bite() -> None:
    quiet = replace(plan_of(targets="one"), rate=2.0)
    ((fault),) = simulate_run(replace(quiet, faults=(replace(quiet.faults[0], start_s=3.9, for_s=0.05, options={"share": 0.001, "targets": "one"}),))).faults  # fmt: skip
    (found,) = fault["evidence"].values()
    assert (found["damaged"], found["met"], found["left"]) == (1, 0, 1)
    assert (fault["bit"], fault["healed"]) == (False, False)
    assert fault["note"].startswith("no read met a damaged record on n")


# ---- where it is refused -------------------------------------------------------------------------------------------


def test_hosts_refuse_it_before_anything_is_made(tmp_path: Path) -> None:
    for call in (
        lambda: Story(plan_of(), "hosts"),
        lambda: run(plan_of(), world="hosts", out=tmp_path / "runs", inventory=tmp_path / "absent.toml"),
    ):
        with pytest.raises(PlanError, match="flips: the fault bitflip damages records on simulated disks, and the world hosts"):  # fmt: skip
            call()
    assert not (tmp_path / "runs").exists()
    refuse_impossible(replace(plan_of(), faults=()), "hosts")


def test_a_system_without_records_to_damage_is_named() -> None:
    class Opaque:
        name = "opaque"

    with pytest.raises(PlanError, match="opaque has no `damage`"):
        refuse_impossible(plan_of(), "sim", cast(SystemUnderTest, Opaque()))
