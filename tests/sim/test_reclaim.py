"""A simulated node with too little memory: what comes while it stands still is answered later, at times that the seed says; or it is killed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from harness.client import ChannelError
from harness.nemesis.pressure import MemoryPressure
from harness.plan import FaultPlan, load_plan
from harness.simulate import simulate_run
from harness.worlds.sim import SimLoop, SimWorld
from tests.sim.three import in_world

EXAMPLES = Path(__file__).parents[2] / "examples"


async def took_ms(world: SimWorld, loop: SimLoop) -> int:
    """How long a request takes now; nothing else delays it."""
    begun_s = loop.time()
    channel = await world.dial("n1")
    await channel.request([b"PING"], timeout_s=1.0)
    await channel.close()
    return round(1000 * (loop.time() - begun_s))


async def asked(world: SimWorld, loop: SimLoop) -> list[int]:
    seen = []
    for _ in range(100):
        seen.append(await took_ms(world, loop))
        await asyncio.sleep(0.0137)
    return seen


def test_some_requests_wait_and_after_the_heal_none() -> None:
    async def story(world: SimWorld, loop: SimLoop) -> None:
        usual = await took_ms(world, loop)
        fault = MemoryPressure(1, ("n1",), {})
        await fault.start(world)
        seen = await asked(world, loop)
        late = [each for each in seen if each > usual + 1]
        assert 10 < len(late) < 90, "it stands still again and again, and runs between"
        assert len(set(late)) > 5, "for times of all lengths"
        await fault.stop(world)
        assert (fault.bit, fault.healed) == (True, True), fault
        assert fault.evidence["n1"]["limit_met"] >= len(late), "and timers of its own wait too"
        assert set(await asked(world, loop)) == {usual}
        again = MemoryPressure(2, ("n1",), {})
        await again.start(world)
        assert await asked(world, loop) != seen, "one stroke is not like the other"
        await again.stop(world)

    in_world(story)


def test_a_shortage_that_nobody_meets_has_not_bitten() -> None:
    async def story(world: SimWorld, loop: SimLoop) -> None:
        await world.kill("n1")
        for number, detail in enumerate(({}, {"how": "kill"})):
            fault = MemoryPressure(number, ("n1",), detail)
            await fault.start(world)
            await fault.stop(world)
            assert not fault.bit
            assert fault.note == (
                "no process was there to be killed" if detail else "it had all the memory it wanted on n1"
            )
            await world.kill("n1")

    in_world(story)


def test_who_is_killed_for_memory_is_gone_until_the_end() -> None:
    async def story(world: SimWorld, loop: SimLoop) -> None:
        before = await world.process("n1")
        fault = MemoryPressure(1, ("n1",), {"how": "kill"})
        await fault.start(world)
        with pytest.raises(ChannelError):
            await world.dial("n1")
        await fault.stop(world)
        assert (fault.bit, fault.healed) == (True, True), fault
        assert fault.evidence["n1"]["killed"] == 1
        assert (await world.process("n1")).pid not in (None, before.pid)
        assert await took_ms(world, loop) < 5

    in_world(story)


@pytest.mark.parametrize("how", ["reclaim", "kill"])
def test_a_run_is_the_same_again_and_keeps_its_claim(how: str) -> None:
    fault = FaultPlan(
        kind="memory-pressure",
        start_s=0.5,
        every_s=2.0,
        for_s=1.0,
        options={"targets": "minority", "how": how},
    )
    plan = replace(load_plan(EXAMPLES / "register.toml"), faults=(fault,), time_limit_s=4.0)
    one, two = simulate_run(plan, 3), simulate_run(plan, 3)
    assert one.lines == two.lines
    assert one.results["claims"]["linearizable"]["verdict"] == "valid"
    assert [each["bit"] for each in one.faults] == [True, True]
