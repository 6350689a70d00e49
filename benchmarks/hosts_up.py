"""Five local hosts: up, the store deployed and serving (target 15 s in all), down (target 3 s). Needs root.

python benchmarks/hosts_up.py
python benchmarks/hosts_up.py docker       after some were made once: their image is kept (hosts alone: target 6 s)
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from harness.provision import down, up
from harness.system import find_system
from harness.worlds.hosts import HostsWorld

NODES = tuple(f"n{number}" for number in range(1, 6))


async def serve(world: HostsWorld) -> tuple[float, float]:
    began = time.monotonic()
    try:
        await world.up()
        served_s = time.monotonic() - began
    finally:
        began = time.monotonic()
        await world.down()
    return served_s, time.monotonic() - began


def main() -> None:
    kind, name = (sys.argv[1] if len(sys.argv) > 1 else "netns"), f"bench-{os.getpid()}"
    began = time.monotonic()
    try:
        inventory = up(kind, name, len(NODES))
        up_s = time.monotonic() - began
        system = find_system("kvstore")({"mode": "register"}, NODES)
        served_s, stopped_s = asyncio.run(serve(HostsWorld(system, inventory)))
    finally:
        began = time.monotonic()
        down(name)
    down_s = stopped_s + time.monotonic() - began
    print(
        f"up {up_s:.2f} s, deployed and serving {served_s:.2f} s, together {up_s + served_s:.2f} s (target 15)"
    )
    print(f"down {down_s:.2f} s (target 3)")


if __name__ == "__main__":
    main()
