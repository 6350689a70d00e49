"""What each mode promises and what breaks it, on real hosts: stale reads, lost writes, and two modes that no fault within their promise breaks.

A violation comes with its core: of a whole history two to six operations that are impossible by themselves. `checkers.validate` goes over it, which
tries every order and shares no code with the checkers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checkers import History
from checkers.op import Op, Type
from checkers.validate import validate_core
from harness.plan import FAULT_OPTIONS, FaultPlan, Plan, PlanError, load_plan
from harness.provision import find_inventory
from harness.provision.inventory import Inventory
from harness.runner import RunOutcome, run
from tests.hosts.tiny import NODES, on

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "examples"
REGISTER = Plan(
    name="promises", workload="register", system="kvstore", claims=("linearizable",), nodes=3, concurrency=6, rate=60.0, seed=7,
    time_limit_s=9.0, op_timeout_ms=5000.0, system_options={"mode": "register", "n": 3}, options={"keys": 4},
)  # fmt: skip
ATOMIC = {
    "register": REGISTER,
    "cas": replace(
        REGISTER, workload="cas-register", claims=("cas-register",), system_options={"mode": "cas", "n": 3}
    ),
}
ALWAYS = {"durability": "always"}
BEYOND = {
    "lying-fsync": "what was synced is gone", "truncate": "the same, of a file", "snapshot-restore": "the same", "wipe": "the same, of a disk",
    "restore": "of simulated disks", "join": "of members: test_changing_members_on_hosts.py", "leave": "as join", "replace": "as join",
    "rolling-restart": "as join",
}  # fmt: skip
"""Faults that the promise says nothing of, and those that have a test of their own."""
WHOLE = bool(os.environ.get("QUORATE_EVERY_FAULT"))
"""Every fault in either mode. Without it each mode meets every second, and both together all."""
WITHIN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("rate", {"targets": "all", "rate_kbit": 8.0}), ("rate", {"targets": "all", "rate_kbit": 8.0}),  # first: who is reconnecting sends too little to wait
    ("partition", {"shape": "halves"}), ("partition", {"shape": "majorities-ring"}), ("loss", {"share": 0.3}), ("loss", {"share": 0.3}),
    ("flapping", {"down_ms": 300.0, "up_ms": 300.0}), ("reset", {"share": 0.1}),
    ("delay", {"delay_ms": 30.0, "jitter_ms": 20.0}), ("duplicate", {}), ("reorder", {}), ("corrupt", {"share": 0.3}),
    ("kill", {"targets": "minority"}), ("power-loss", {"targets": "all"}), ("power-off", {"targets": "minority"}),
    ("disk-full", {"targets": "minority"}), ("read-only", {"targets": "one"}), ("io-error", {"targets": "one"}),
    ("slow-disk", {"targets": "minority"}), ("pause", {"targets": "one"}),
    ("pause", {"targets": "minority", "how": "freezer"}), ("cpu-pressure", {"targets": "minority", "share": 0.05}),
    ("memory-pressure", {"targets": "one"}), ("memory-pressure", {"targets": "one", "how": "kill"}), ("hot-key", {}),
    ("clock", {"targets": "minority", "offset_ms": 2000.0}), ("power-loss", {"targets": "all"}),
    ("bitflip", {"targets": "one", "share": 0.5}),  # the last: where it met the log, nobody may start the node before it is taken back
)  # fmt: skip
EACH_S, FOR_S = 5.0, 2.5
LONGER_AND_LONGER_S = (10.0, 20.0, 40.0, 80.0)
"""Runs until one shows what the fault can do: it need not, and on a machine with little time for the nodes few operations meet it."""
AGAIN = 3
"""Runs until one tests something: where the machine had next to no time or disk for the nodes, no operation may have met a fault. None is repeated
that has found something."""
LONGER_S = {"rate": 4.0, "bitflip": 9.0}
"""Until a queue is full; until the process that is started on damaged files has opened them."""


def on_hosts(plan: Plan, five: Inventory, out: Path) -> tuple[RunOutcome, list[dict[str, Any]]]:
    """A run, and its faults. Each is over."""
    done = run(plan, world="hosts", out=out, inventory=find_inventory(five.cluster))
    faults = [json.loads(line) for line in (done.folder / "faults.jsonl").read_text().splitlines()]
    assert all(fault["healed"] for fault in faults)
    return done, faults


def core_of(done: RunOutcome, claim: str) -> list[Op]:
    """The calls of a core: few, and impossible by themselves."""
    history = History.load(done.folder / "history.jsonl")
    certificate = done.results["claims"][claim]["certificate"]
    assert (certificate["kind"], certificate["size"]) == ("core", len(certificate["ops"]))
    core: list[int] = certificate["ops"]
    assert 2 <= len(core) <= 6
    validate_core(history, core)
    return [history.op(index) for index in core]


def test_eventual_shows_stale_reads_under_a_partition(five: Inventory, tmp_path: Path) -> None:
    cut = FaultPlan(kind="partition", start_s=1.0, every_s=20.0, for_s=6.0, options={"shape": "halves"})
    plan = replace(REGISTER, system_options={"mode": "eventual", "n": 3}, faults=(cut,))
    done, (fault,) = on_hosts(plan, five, tmp_path)
    assert sum(fault["evidence"]["dropped"].values()) > 0, "packets, as the kernel counts"
    assert done.results["outcome"] == "invalid", done.results["reason"]
    assert done.results["staleness"]["stale_reads"] > 0
    core = core_of(done, "linearizable")
    assert {op.f for op in core} == {"write", "read"}
    assert fault["start_ns"] < max(op.time_ns for op in core)


def test_monotonic_loses_an_acknowledged_write_where_clocks_disagree(five: Inventory, tmp_path: Path) -> None:
    """Of five nodes three hold the key: one that does not, and whose clock is seconds behind, stamps a write that is older than what it replaces.

    Versions are ordered by the bare clocks here. The hybrid ones follow what they hear of each other, so that where an operation takes longer than
    the time between two heartbeats nearly nothing is lost: tests/sim/test_violations.py has them, where time is what the plan says.
    """
    plan = load_plan(EXAMPLES / "monotonic_skewed.toml")
    (skew,) = plan.faults
    skews = (replace(skew, options={**skew.options, "offset_ms": 4000.0}),)
    plan = replace(
        plan, faults=skews, rate=60.0, op_timeout_ms=5000.0, options={"keys": 1, "ops_per_key": 10_000},
        system_options={**plan.system_options, "clock": "wall"},
    )  # fmt: skip
    for time_limit_s in LONGER_AND_LONGER_S:
        done, faults = on_hosts(replace(plan, time_limit_s=time_limit_s), five, tmp_path)
        for seen in (seen for fault in faults for seen in fault["evidence"].values()):
            assert seen["measured_ms"] == pytest.approx(seen["asked_ms"], abs=400), "what the process reads"
        found = done.results["claims"]["linearizable"]
        if found["verdict"] == "invalid":
            break
    assert (found["verdict"], found["anomaly"]) == ("invalid", "lost-write"), found["reason"]
    history = History.load(done.folder / "history.jsonl")
    writes = [op for op in core_of(done, "linearizable") if op.f == "write"]
    acknowledged = [history.completion(op.index) for op in writes]
    assert any(end is not None and end.type is Type.OK for end in acknowledged)


def faults_of(mode: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Those that the mode meets."""
    return WITHIN if WHOLE else WITHIN[list(ATOMIC).index(mode) :: 2]


def one_after_the_other(faults: Sequence[tuple[str, dict[str, Any]]]) -> tuple[FaultPlan, ...]:
    """As the plan has them."""
    starts = (1.0 + EACH_S * place for place in range(len(faults)))
    return tuple(
        FaultPlan(
            kind=kind, start_s=start_s, every_s=1000.0, for_s=LONGER_S.get(kind, FOR_S), options=options
        )
        for start_s, (kind, options) in zip(starts, faults, strict=True)
    )


def test_every_fault_is_within_the_promise_or_is_said_not_to_be() -> None:
    assert {kind for mode in ATOMIC for kind, _ in faults_of(mode)} == {kind for kind, _ in WITHIN}
    assert {kind for kind, _ in WITHIN} | BEYOND.keys() == FAULT_OPTIONS.keys()
    assert not {kind for kind, _ in WITHIN} & BEYOND.keys()


@pytest.mark.parametrize("mode", ATOMIC)
def test_no_fault_breaks_a_linearizable_mode_that_waits_for_its_disk(
    mode: str, five: Inventory, tmp_path: Path
) -> None:
    plan, met = ATOMIC[mode], faults_of(mode)
    plan = replace(
        plan, faults=one_after_the_other(met), system_options={**plan.system_options, **ALWAYS}, rate=40.0, options={"keys": 6, "ops_per_key": 150},
        time_limit_s=EACH_S * (len(met) + 1) + LONGER_S["bitflip"],
    )  # fmt: skip
    for _ in range(AGAIN):
        done, faults = on_hosts(plan, five, tmp_path)
        if done.results["class"] != "vacuous":
            break
    assert done.results["outcome"] == "valid", done.results["reason"]
    assert sorted(fault["kind"] for fault in faults) == sorted(kind for kind, _ in met)
    idle = [(fault["kind"], fault["note"]) for fault in faults if not fault["bit"]]
    assert idle == []
    lost = [fault["evidence"] for fault in faults if fault["kind"] == "power-loss"]
    assert all(node["lost"] for evidence in lost for node in evidence.values()), "what nobody synced is gone"


@pytest.mark.parametrize("mode", ATOMIC)
def test_a_linearizable_mode_that_would_not_wait_is_refused_before_anything_is_installed(
    mode: str, five: Inventory, tmp_path: Path
) -> None:
    plan = ATOMIC[mode]
    plan = replace(plan, system_options={**plan.system_options, "durability": "interval:1"})
    why = rf'durability = "interval:1" acknowledges writes that a crash may undo, and mode {mode} promises that none is lost'
    with pytest.raises(PlanError, match=why):
        run(plan, world="hosts", out=tmp_path, inventory=find_inventory(five.cluster))
    assert [on(five, node, "ls -d /opt/quorate-store 2>/dev/null") for node in NODES] == ["", "", ""]


@pytest.mark.parametrize("mode", ATOMIC)
def test_a_linearizable_mode_breaks_where_acknowledged_writes_are_not_on_the_disk(
    mode: str, five: Inventory, tmp_path: Path
) -> None:
    """What the refused durability would do, done by the disks: for seconds they keep nothing, and then the power of all goes."""
    (claim,) = ATOMIC[mode].claims
    for time_limit_s in LONGER_AND_LONGER_S:
        lie = FaultPlan(
            kind="lying-fsync", start_s=2.0, every_s=100.0, for_s=time_limit_s / 5, options={"targets": "all"}
        )
        plan = ATOMIC[mode]
        plan = replace(
            plan, faults=(lie,), time_limit_s=time_limit_s, system_options={**plan.system_options, **ALWAYS}
        )
        done, (fault,) = on_hosts(plan, five, tmp_path)
        assert (fault["bit"], len(fault["nodes"])) == (True, 3), fault
        if done.results["claims"][claim]["verdict"] == "invalid":
            break
    assert done.results["claims"][claim]["verdict"] == "invalid", done.results["reason"]
    if mode == "register":
        core_of(done, claim)
    else:
        assert 2 <= done.results["claims"][claim]["certificate"]["size"] <= 8
