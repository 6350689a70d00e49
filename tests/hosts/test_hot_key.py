"""One plan in both worlds: while a key is hot nearly all operations are on it, as the history tells, and who leads for it can be struck."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checkers.jsonl import decode_line
from checkers.op import Op, Type
from harness import runner
from harness.plan import FaultPlan, Plan, PlanError, load_plan
from harness.provision import find_inventory
from harness.provision.inventory import Inventory
from harness.simulate import simulate_run
from kvstore.ring import Ring
from tests.hosts.paced import paced

EXAMPLES = Path(__file__).parents[2] / "examples"
HOT = FaultPlan(kind="hot-key", start_s=2.0, every_s=6.0, for_s=2.5)
AIMED = FaultPlan(kind="pause", start_s=3.5, every_s=6.0, for_s=0.5, options={"targets": "primaries"})
BASE = replace(load_plan(EXAMPLES / "register.toml"), faults=(HOT, AIMED), time_limit_s=6.0, rate=200.0)
KEPT = ("register", "cas", "counter", "siblings", "crdt-set", "crdt-counter", "session")


def calls(lines: bytes) -> list[Op]:
    """What clients called, in order, as the history's file tells."""
    records = map(decode_line, lines.splitlines())
    return [op for op in records if op.type is Type.INVOKE and op.process != "nemesis"]


def shares(lines: bytes, fault: dict[str, Any]) -> tuple[float, float]:
    """The largest share of a place among the five, by what was called: before the fault, and during it (a load may give its keys up for fresh ones)."""
    before = Counter(op.key % 5 for op in calls(lines) if op.time_ns < fault["start_ns"])
    during = Counter(op.key % 5 for op in calls(lines) if fault["start_ns"] <= op.time_ns < fault["end_ns"])
    return max(before.values()) / before.total(), max(during.values()) / during.total()


def spread(count: int) -> float:
    """How far the largest of five equal shares of so few may be from a fifth by chance: a busy machine does few."""
    return max(0.15, 4 * (0.2 * 0.8 / (count / 3)) ** 0.5)


def look(lines: bytes, faults: list[dict[str, Any]], plan: Plan = BASE) -> None:
    """The story, whatever the world."""
    (hot,) = (fault for fault in faults if fault["kind"] == "hot-key")
    (aimed,) = (fault for fault in faults if fault["kind"] == "pause")
    before, during = shares(lines, hot)
    assert before < 0.2 + spread(len(calls(lines))) < 0.8 < during
    assert (hot["bit"], hot["healed"]) == (True, True), hot
    assert abs(hot["evidence"]["share"] - during) < 0.05 + 5 / len(calls(lines))  # those at its borders
    leader = Ring.striped(plan.node_names).replicas(b"register-%d" % hot["evidence"]["keys"][0], 3)[0]
    assert (aimed["nodes"], aimed["bit"]) == ([leader], True), aimed


def test_in_the_simulator() -> None:
    run, again = simulate_run(BASE), simulate_run(BASE)
    look(run.lines, run.faults)
    assert run.results["claims"]["linearizable"]["verdict"] == "valid"
    assert run.digest == again.digest


@pytest.mark.hosts
@pytest.mark.slow
def test_on_hosts(five: Inventory, tmp_path: Path) -> None:
    plan = replace(paced(BASE, five.hosts[0].slowness), nodes=len(five.hosts))
    done = runner.run(plan, world="hosts", out=tmp_path, inventory=find_inventory(five.cluster))
    lines = (done.folder / "faults.jsonl").read_text().splitlines()
    look((done.folder / "history.jsonl").read_bytes(), [json.loads(line) for line in lines], plan)
    assert done.results["claims"]["linearizable"]["verdict"] == "valid"


@pytest.mark.parametrize("name", KEPT)
def test_every_load_crowds_and_keeps_its_claims(name: str) -> None:
    base = load_plan(EXAMPLES / f"{name}.toml")
    run = simulate_run(
        replace(base, faults=(replace(HOT, options={"share": 0.7}),), time_limit_s=5.0, rate=200.0)
    )
    before, during = shares(run.lines, run.faults[0])
    assert before < 0.35 < 0.6 < during < 0.85
    assert {claim: found["verdict"] for claim, found in run.results["claims"].items()} == dict.fromkeys(
        base.claims, "valid"
    )


def test_what_comes_before_it_is_not_changed_by_it() -> None:
    """Its draws are of a stream of its own."""
    with_it, without = (calls(simulate_run(replace(BASE, faults=faults)).lines) for faults in ((HOT,), ()))
    early = [(op.process, op.f, op.key, op.value) for op in without if op.time_ns < HOT.start_s * 1e9]
    assert len(early) > 300
    assert [(op.process, op.f, op.key, op.value) for op in with_it[: len(early)]] == early


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"options": {"keys": 1}}, "a key has as large a share without it"),
        ({"rate": 0.1}, "no operation was called meanwhile"),
    ],
)
def test_a_load_that_does_not_crowd_tests_nothing(changed: dict[str, Any], why: str) -> None:
    plan: Plan = replace(BASE, faults=(HOT,), **changed)
    run = simulate_run(plan)
    assert [(fault["bit"], fault["note"]) for fault in run.faults] == [(False, why)]
    assert run.verdict.value == "unknown"
    assert "the hot-key never bit" in run.results["reason"]


OWN = """
from dataclasses import replace
from workloads.register import workload

def made(options):
    return replace(workload(options), draws_keys=False)
"""


def test_a_load_that_draws_its_keys_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    own = replace(BASE, workload=f"{tmp_path}/own.py:made")
    why = r"the fault hot-key needs a workload that asks which key is hot .* register draws its keys itself"
    with pytest.raises(PlanError, match=why):
        runner.Story(own, "sim")
    runner.Story(replace(own, faults=(AIMED,)), "sim")
