"""A fault bit only if it did wherever it could: worlds in which one node of two shrugs it off, one for each kind."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from harness.nemesis import disks, faults
from harness.nemesis.faults import Fault
from harness.report.words import not_tested
from harness.results import by_kind
from harness.worlds import PowerCut, ProcessState
from harness.worlds.disk_trouble import REFUSALS, DiskTrouble, Probe

KINDS = {**faults.KINDS, **disks.KINDS}


class Shrugging:
    """A world on which faults work, but for the nodes in `immune`; `absent` have no process."""

    def __init__(self, immune: set[str], absent: set[str]) -> None:
        self.immune, self.absent = immune, absent
        self.state = {node: "gone" if node in absent else "running" for node in ("a", "b")}
        self.offset = {"a": 0.0, "b": 0.0}
        self.dropped: dict[str, int] = {}
        self.keeping: set[str] = set()  # disks that lose nothing
        self.full = {"a", "b"} - immune
        self.ran_ms = {"a": 30.0, "b": 30.0}

    async def process(self, node: str) -> ProcessState:
        return ProcessState(None if self.state[node] == "gone" else 7, self.state[node], self.ran_ms[node])

    async def kill(self, node: str) -> None:
        if node not in self.immune:
            self.state[node] = "gone"

    async def cut_power(self, nodes: Sequence[str]) -> Mapping[str, PowerCut]:
        for node in set(nodes) - self.immune:
            self.state[node] = "gone"
        return {node: PowerCut(forgot=node not in self.keeping, lost={}) for node in nodes}

    async def unplug(self, nodes: Sequence[str]) -> None:
        self.dropped = dict.fromkeys(nodes, 3)

    async def plug_in(self, nodes: Sequence[str]) -> Mapping[str, int]:
        return self.dropped

    async def start(self, node: str) -> None:
        self.state[node] = "running"

    async def spoil_disks(self, nodes: Sequence[str], trouble: DiskTrouble) -> Mapping[str, Probe]:
        return {node: self.probe(node, trouble) for node in nodes}

    def probe(self, node: str, trouble: DiskTrouble) -> Probe:
        return Probe("", 1.0) if node in self.immune else Probe(REFUSALS[trouble.kind], trouble.stall_ms)

    async def pause(self, node: str, how: str) -> None:
        if node not in self.immune:
            self.state[node] = "stopped"

    async def resume(self, node: str) -> None:
        self.state[node] = "running"

    async def set_clock(self, node: str, offset_ms: float) -> None:
        if node not in self.immune:
            self.offset[node] = offset_ms

    async def clock_offset_ms(self, node: str) -> float:
        return self.offset[node]

    async def wipe(self, node: str) -> int:
        return int(node in self.full)


def started(kind: str, immune: str = "", absent: str = "") -> Fault:
    detail: Mapping[str, Any] = {"offsets_ms": {"a": 400.0, "b": -400.0}} if kind == "clock" else {}
    fault = KINDS[kind](1, ("a", "b"), detail)
    world: Any = Shrugging(set(immune), set(absent))
    asyncio.run(fault.start(world))
    return fault


@pytest.mark.parametrize("kind", ["kill", "power-loss", "power-off", "pause", "clock", "disk-full", "read-only", "io-error", "slow-disk"])  # fmt: skip
def test_one_of_two_is_not_enough(kind: str) -> None:
    assert started(kind).bit
    assert not started(kind, immune="a").bit
    assert started(kind, immune="a").note.endswith(" on a")
    assert not started(kind, immune="ab").bit


@pytest.mark.parametrize(("kind", "why"), [("kill", "no process was there to be killed"), ("power-loss", "no process was there to lose its power"), ("pause", "no process was running"), ("clock", "no process was running")])  # fmt: skip
def test_a_node_whose_process_is_gone_is_not_counted_and_all_gone_is_no_bite(kind: str, why: str) -> None:
    assert started(kind, absent="a").bit
    nobody = started(kind, absent="ab")
    assert (nobody.bit, nobody.note) == (False, why)


def test_a_power_loss_that_loses_nothing_is_none() -> None:
    fault = KINDS["power-loss"](1, ("a", "b"), {})
    world: Any = Shrugging(set(), set())
    world.keeping = {"b"}
    asyncio.run(fault.start(world))
    assert (fault.bit, fault.note) == (False, "the power did not go on b")
    assert (fault.evidence["a"]["unsynced_gone"], fault.evidence["b"]["unsynced_gone"]) == (True, False)


def test_a_node_to_which_nobody_spoke_was_not_seen_to_be_off() -> None:
    fault = KINDS["power-off"](1, ("a", "b"), {})
    world: Any = Shrugging(set(), set())
    asyncio.run(fault.start(world))
    assert fault.bit
    world.dropped["b"] = 0
    asyncio.run(fault.stop(world))
    assert (fault.bit, fault.note) == (False, "nobody spoke to it while it was off on b")
    assert (fault.evidence["a"]["dropped"], fault.evidence["b"]["dropped"]) == (3, 0)


@pytest.mark.parametrize(("how", "bit"), [("freezer", False), ("signal", True)])
def test_what_had_processor_time_was_not_frozen(how: str, bit: bool) -> None:
    """The other threads of a process may end what they are at after SIGSTOP has reached the first; a freezer has them all before it says so."""
    fault = KINDS["pause"](1, ("a", "b"), {"how": how})
    world: Any = Shrugging(set(), set())
    asyncio.run(fault.start(world))
    world.ran_ms["b"] += 10
    asyncio.run(fault.stop(world))
    assert (fault.bit, fault.healed) == (bit, True)
    assert fault.note == ("" if bit else "it had processor time while it was frozen on b")
    assert (fault.evidence["a"]["ran_ms"], fault.evidence["b"]["ran_ms"]) == (0, 10)


def test_a_wipe_bit_if_every_disk_had_something_on_it() -> None:
    fault = KINDS["wipe"](1, ("a", "b"), {})
    world: Any = Shrugging(set(), set())
    asyncio.run(fault.start(world))
    assert fault.bit
    for full, spared in (({"a"}, "b"), (set(), "a, b")):
        fault, world = KINDS["wipe"](1, ("a", "b"), {}), Shrugging(set(), set())
        world.full = full
        asyncio.run(fault.start(world))
        assert (fault.bit, fault.note) == (False, f"nothing was on the disk on {spared}")
    untouched = KINDS["wipe"](1, ("a", "b"), {})
    asyncio.run(untouched.start(Shrugging({"a"}, set())))  # type: ignore[arg-type]
    assert (untouched.bit, untouched.note) == (False, "the process did not end on a")
    assert "removed" not in untouched.evidence["b"], "no disk is emptied under a process that may live"


def test_results_count_bites_by_kind() -> None:
    faults = [{"kind": "kill", "bit": True}, {"kind": "kill", "bit": False}, {"kind": "pause", "bit": True}]
    assert by_kind(faults) == {"kill": {"count": 2, "bit": 1}, "pause": {"count": 1, "bit": 1}}


def test_what_a_plan_asks_of_the_simulator_was_not_tested_on_hosts() -> None:
    told = not_tested({"world": "hosts", "not_applied": ["latency_ms"]}, [])
    assert "not the latency_ms of [sim]: the network of hosts is as it is" in told
