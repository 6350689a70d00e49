"""The store on three simulated nodes, to be talked to: no workload, no recorded history."""

from __future__ import annotations

from typing import Any

from harness.plan import parse_plan
from harness.runner import Story
from harness.worlds.sim import SimLoop, SimWorld

PLAN = """
name = "channel"
workload = "register"
claims = ["linearizable"]
nodes = 3
[system]
name = "kvstore"
"""


def in_world(story: Any) -> Any:
    """Run `story(world, loop)` on a simulated cluster that is up."""
    loop = SimLoop()

    async def whole() -> Any:
        world = SimWorld(Story(parse_plan(PLAN, "plan"), "sim").system, {}, 1, loop=loop)
        await world.up()
        return await story(world, loop)

    try:
        return loop.run_until_complete(whole())
    finally:
        loop.close()
