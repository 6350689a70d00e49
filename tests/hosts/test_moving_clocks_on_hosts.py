"""Clocks that move on real hosts, as the process itself tells the time; and a restart storm, as the kernel's pids tell it."""

from __future__ import annotations

import asyncio
import json
import time
from itertools import pairwise
from pathlib import Path

import pytest

from harness.nemesis.client import KINDS
from harness.plan import parse_plan
from harness.provision import find_inventory
from harness.provision.inventory import Inventory
from harness.runner import run
from harness.worlds.hosts import HostsWorld, clock
from tests.hosts.tiny import in_world
from tests.sim.test_moving_clocks import PLAN, STORM

pytestmark = [pytest.mark.hosts, pytest.mark.slow]
needs_faketime = pytest.mark.skipif(
    not list(Path("/usr").glob("lib*/*/faketime/" + clock.LIBRARY)), reason="needs the package faketime"
)
NEAR_MS = 100.0
PATIENCE_S = 600.0  # a busy machine moves them late


@needs_faketime
@pytest.mark.parametrize("how", [{"drift_s": 2.0}, {"strobe_ms": 500.0}], ids=["drift", "strobe"])
def test_the_process_sees_its_clock_move(five: Inventory, how: dict[str, float]) -> None:
    """Offsets are of seconds, so that no delay of an answer is one. On slow hosts all takes longer."""
    pace = five.hosts[0].slowness
    moves = {option: each * pace for option, each in how.items()}
    asked = {"n1": 20_000.0, "n2": -8_000.0}

    def is_enough(seen: list[float]) -> bool:
        there = [abs(each - 20_000) < NEAR_MS * 4 for each in seen]
        return there[-1] if "drift_s" in how else sum(early != late for early, late in pairwise(there)) >= 3

    async def story(world: HostsWorld) -> None:
        channel = await world.dial("n1")

        async def seen_ms() -> float:
            """By an answer that was quick: a late one is of another time."""
            while True:
                asked_s = time.time()
                told_s = float(await channel.request([b"TIME"], timeout_s=60.0 * pace))
                if (now_s := time.time()) - asked_s < NEAR_MS * 4 / 1000:
                    return 1000 * (told_s - (asked_s + now_s) / 2)

        assert await seen_ms() == pytest.approx(0, abs=NEAR_MS * 4)
        fault = KINDS["clock"](1, ("n1", "n2"), {"offsets_ms": asked, **moves})
        await fault.start(world)
        began, seen = time.monotonic(), []
        while time.monotonic() < began + 3.5 * pace or not is_enough(seen):
            assert time.monotonic() < began + PATIENCE_S, seen
            seen.append(await seen_ms())
            await asyncio.sleep(0.02)
        await fault.stop(world)
        assert (fault.bit, fault.healed) == (True, True), (fault.note, fault.evidence)
        assert await seen_ms() == pytest.approx(0, abs=NEAR_MS * 4)
        if "drift_s" in how:
            assert all(late > early - NEAR_MS * 4 for early, late in pairwise(seen)), "it only grows"
            assert len([each for each in seen if 2000 < each < 18_000]) > 5, "it was on its way"
            assert seen[-1] == pytest.approx(20_000, abs=NEAR_MS * 4)
        else:
            there = [abs(each - 20_000) < NEAR_MS * 4 for each in seen]
            assert all(
                is_there or abs(each) < NEAR_MS * 4 for each, is_there in zip(seen, there, strict=True)
            )
            assert sum(early != late for early, late in pairwise(there)) >= 3, "there and back"

    in_world(five, story)


def test_a_restart_storm_has_new_processes_each_time(five: Inventory, tmp_path: Path) -> None:
    plan = parse_plan(PLAN[: PLAN.index("[[faults]]")] + STORM.replace("every_s = 0.8", "every_s = 1.5"))
    outcome = run(plan, world="hosts", out=tmp_path, inventory=find_inventory(five.cluster))
    assert outcome.results["outcome"] == "valid", outcome.results["reason"]
    faults = [json.loads(line) for line in (outcome.folder / "faults.jsonl").read_text().splitlines()]
    assert len(faults) == 6, faults
    assert all(fault["bit"] and fault["healed"] for fault in faults), faults
    pids = [(node, found["pid_before"], found["pid_after"]) for fault in faults for node, found in fault["evidence"].items()]  # fmt: skip
    assert all(before != after for _, before, after in pids), pids
    assert len(pids) == 6
