"""Bits that flip on disks: which records, who met them, and where the fault is refused."""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from checkers import Type, Verdict
from harness.nemesis.files import SnapshotRestore
from harness.nemesis.possible import refuse_impossible
from harness.plan import Plan, PlanError, parse_plan
from harness.runner import Story, run
from harness.simulate import SimRun, simulate_run
from harness.system import Deployment, SystemUnderTest, find_system
from harness.worlds import ProcessState
from harness.worlds.files import Restored
from harness.worlds.sim.files import SimFiles
from kvstore.engine_memory import MemoryEngine
from kvstore.events import CorruptRecord, Damaged, Record, Tag
from kvstore.ring import partition_of
from tests.sim.from_file import again

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


# ---- only what can be mended ---------------------------------------------------------------------------------------


def test_most_copies_of_a_record_stay_whole() -> None:
    """Three copies, two, and one; a disk after the other is struck, twice, as hard as can be."""
    disks = {"n1": disk(9), "n2": disk(8), "n3": disk(6)}
    machines = {node: SimpleNamespace(disk={"engine": engine}, note=lambda text: None) for node, engine in disks.items()}  # fmt: skip
    system = find_system("kvstore")({"mode": "register", "n": 3}, tuple(disks))
    files = SimFiles(cast(Any, machines), lambda name: Random(name), system, lambda node: None)

    def strike(number: int, **extent: bool) -> int:
        struck = asyncio.run(files.damage(tuple(disks), 1.0, number, "", **extent))
        return sum(map(len, struck.values()))

    assert strike(1, repairable=True) == 6, "of each record with three copies one"
    damaged = Counter(key for engine in disks.values() for _, key in engine.damaged)
    assert damaged == {b"%d" % key: 1 for key in range(6)}, (
        "none of 6 and 7, with two copies, nor of 8, with one"
    )
    assert strike(2, repairable=True) == 0
    disks["n1"].commit([Record("default", b"0", Tag(2, "a", 1), b"w")])
    assert strike(3, repairable=True) == 1, "what was mended may be struck again"
    assert strike(4) > 12


def test_a_run_in_which_every_disk_rots_within_what_can_be_mended() -> None:
    """All nodes, half of their records, again and again: with `repairable` nothing of it reaches a client, without it much does."""
    flips = plan_of(targets="all")
    counts = {}
    for extent in ("repairable", "any"):
        fault = replace(flips.faults[0], options={**flips.faults[0].options, "extent": extent})
        made = simulate_run(replace(flips, faults=(fault,)))
        assert made.verdict is Verdict.VALID, made.results["reason"]
        assert sum(found["damaged"] for each in made.faults for found in each["evidence"].values()) > 6
        counts[extent] = sum(
            op.type in (Type.FAIL, Type.INFO) for op in made.history if op.f in ("read", "write")
        )
    assert counts["repairable"] == 0 < 50 < counts["any"]


def test_hosts_refuse_to_know_what_can_be_mended() -> None:
    (fault,) = plan_of().faults
    plan = replace(plan_of(), faults=(replace(fault, options={"extent": "repairable"}),))
    with pytest.raises(PlanError, match="needs disks whose records are known"):
        refuse_impossible(plan, "hosts")
    refuse_impossible(plan, "sim")


# ---- where it is refused -------------------------------------------------------------------------------------------


def of_file(file: str, kind: str = "bitflip") -> Plan:
    (fault,) = plan_of().faults
    return replace(plan_of(), faults=(replace(fault, kind=kind, options={**fault.options, "file": file}),))


def test_hosts_refuse_a_file_that_the_system_does_not_name(tmp_path: Path) -> None:
    for call in (
        lambda: Story(of_file("tabel"), "hosts"),
        lambda: run(
            of_file("tabel"), world="hosts", out=tmp_path / "runs", inventory=tmp_path / "absent.toml"
        ),
    ):
        with pytest.raises(PlanError, match="flips: kvstore has no file 'tabel'; it has table, log"):
            call()
    assert not (tmp_path / "runs").exists()
    Story(of_file("log"), "hosts")

    class Nameless:
        name = "nameless"

        def deployment(self) -> Deployment:
            return Deployment("/opt/n", ("n",), 1, "/var/n", "/var/log/n")

    for kind in ("bitflip", "truncate", "snapshot-restore"):
        plan = replace(plan_of(), faults=(replace(plan_of().faults[0], kind=kind, options={}),))
        with pytest.raises(PlanError, match=f"the fault {kind} needs a system that says which of its files"):
            refuse_impossible(plan, "hosts", cast(SystemUnderTest, Nameless()))


def test_the_simulator_refuses_files(tmp_path: Path) -> None:
    with pytest.raises(
        PlanError, match="flips: file = 'table' names a file, and a simulated disk holds records"
    ):
        run(of_file("table"), world="sim", out=tmp_path)
    with pytest.raises(
        PlanError, match="the fault truncate cuts off the end of a file, and a simulated disk"
    ):
        run(of_file("log", "truncate"), world="sim", out=tmp_path)


# ---- an older state ------------------------------------------------------------------------------------------------


def older(targets: str, more: str = "") -> Plan:
    text = PLAN.replace('"bitflip"\nshare = 0.5', '"snapshot-restore"').replace("START", "1")
    return parse_plan(text.replace("TARGETS", targets).replace("every_s = 2", "every_s = 9") + more)


def test_an_older_state_of_a_majority_breaks_the_promise(tmp_path: Path) -> None:
    plan = older("majority")
    broken = simulate_run(plan)
    assert [target.claim for target in again(plan, broken, tmp_path)] == ["linearizable"]
    (fault,) = broken.faults
    assert (fault["bit"], fault["healed"], len(fault["nodes"])) == (True, True, 2)
    for node in fault["nodes"]:
        assert any("the disk is what it was before" in line for line in broken.logs[node].splitlines())


def test_a_disk_on_which_nothing_was_written_since_is_no_older_state() -> None:
    made = MemoryEngine()
    made.commit([Record("default", b"k", Tag(1, "a", 1), b"v")])
    same = copy.deepcopy(made)
    assert same == made
    same.commit([Record("default", b"k", Tag(2, "a", 1), b"v")])
    assert same != made
    fault = SnapshotRestore(1, ("n1",), {})

    class Idle:
        async def keep(self, nodes: tuple[str, ...]) -> dict[str, dict[str, int]]:
            return {node: {"disk": 1} for node in nodes}

        async def restore(self, nodes: tuple[str, ...], gone: frozenset[str]) -> dict[str, Restored]:
            return dict.fromkeys(nodes, Restored(False, {}))

    world: Any = SimpleNamespace(files=Idle(), process=running)
    asyncio.run(fault.start(world))
    assert fault.bit
    asyncio.run(fault.stop(world))
    assert (fault.bit, fault.healed, fault.note) == (False, True, "nothing had been written since on n1")


async def running(node: str) -> ProcessState:
    return ProcessState(1, "running")


def test_a_system_without_records_to_damage_is_named() -> None:
    class Opaque:
        name = "opaque"

    with pytest.raises(PlanError, match="opaque has no `damage`"):
        refuse_impossible(plan_of(), "sim", cast(SystemUnderTest, Opaque()))
