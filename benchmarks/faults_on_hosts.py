"""What faults cost on five local hosts: how soon a trouble of links is on and off again, one command, how true a delay is, what a run costs beyond its time. Needs root.

python benchmarks/faults_on_hosts.py          some two minutes
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median, quantiles

from harness.control import Connection
from harness.nemesis.grudges import complete
from harness.provision import down, find_inventory, up
from harness.provision.inventory import Inventory
from harness.system import find_system
from harness.worlds.hosts import HostsWorld
from harness.worlds.trouble import DELAY, DROP, RATE, RESET, Trouble

NODES = tuple(f"n{number}" for number in range(1, 6))
ROUNDS, COMMANDS, PINGS = 10, 100, 100
RUN = Path(__file__).parents[1] / "examples/register.toml"
KINDS = {
    "partition": (DROP, {}),
    "loss": (DROP, {"share": 0.5}),
    "reset": (RESET, {"share": 0.5}),
    "rate": (RATE, {"rate_kbit": 1000.0}),
    "delay": (DELAY, {"delay_ms": 20.0}),
}
ECHO = """
import socket
s = socket.socket(2, 2); s.bind(('0.0.0.0', 9)); print('on', flush=True)
while True: s.sendto(*s.recvfrom(99))
"""
ASK = f"""
import socket, time
s = socket.socket(2, 2); s.connect(('PEER', 9)); s.settimeout(5)
for n in range({PINGS}):
    t = time.monotonic(); s.send(b'x'); s.recv(99); print(1000 * (time.monotonic() - t))
"""


async def troubles(world: HostsWorld) -> None:
    for name, (kind, asked) in KINDS.items():
        on_s, off_s = [], []
        for number in range(ROUNDS):
            trouble = Trouble(number=number + 1, kind=kind, links=complete([NODES[:2], NODES[2:]]), **asked)
            began = time.monotonic()
            await world.disturb(trouble)
            on_s.append(time.monotonic() - began)
            began = time.monotonic()
            await world.relieve(trouble.number)
            off_s.append(time.monotonic() - began)
        target = " (target 100)" if name == "partition" else ""
        print(f"{name} of five nodes: on {1000 * median(on_s):.0f} ms, off {1000 * median(off_s):.0f} ms{target}, largest {1000 * max(on_s):.0f}, {1000 * max(off_s):.0f}")  # fmt: skip


def commands(inventory: Inventory) -> None:
    took_ms = []
    for host in inventory.hosts:
        connection = Connection(host)
        connection.run("true")
        took_ms += [1000 * connection.run("true").seconds for _ in range(COMMANDS)]
        connection.close()
    print(f"one command: p50 {median(took_ms):.1f} ms (target 10), p95 {quantiles(took_ms, n=20)[-1]:.1f} ms")


async def delays(world: HostsWorld, inventory: Inventory) -> None:
    """Round trips of datagrams whose way there is delayed, by programs of their own on both hosts."""
    here, there = Connection(inventory.hosts[0]), Connection(inventory.hosts[1])
    log = "/tmp/echo"
    there.shell(f"setsid python3 -c \"{ECHO}\" >{log} 2>&1 </dev/null & until grep -q on {log}; do sleep 0.01; done")  # fmt: skip
    ask = f'python3 -c "{ASK.replace("PEER", inventory.hosts[1].address)}"'

    def trip_ms() -> float:
        return median(float(word) for word in here.shell(ask, timeout_s=60.0).stdout.split())

    bare_ms = await asyncio.to_thread(trip_ms)
    for number, asked_ms in enumerate((1, 10, 50, 200), 100):
        trouble = Trouble(number=number, kind=DELAY, links={"n2": frozenset({"n1"})}, delay_ms=asked_ms)
        await world.disturb(trouble)
        added_ms = await asyncio.to_thread(trip_ms) - bare_ms
        await world.relieve(number)
        print(f"delay of {asked_ms} ms: {added_ms:.2f} ms more a round trip (target {asked_ms} to {asked_ms * 1.05 + 1:.2f})")  # fmt: skip
    there.shell("pkill -f \"bind\\(\\('0.0.0.0', 9\" || true")
    here.close()
    there.close()


async def in_world(inventory: Inventory) -> None:
    world = HostsWorld(find_system("kvstore")({"mode": "register"}, NODES), inventory)
    try:
        await world.up()
        await troubles(world)
        await delays(world, inventory)
    finally:
        await world.down()


def whole_run(name: str) -> None:
    """The example as it is, as a user calls it: 30 s, partitions and kills."""
    quorate = str(Path(sys.executable).parent / "quorate")
    limit_s = float(re.findall(r"^time_limit_s = (.*)$", RUN.read_text(), re.MULTILINE)[0])
    command = [quorate, "run", str(RUN), "--world", "hosts", "--inventory", str(find_inventory(name)), "--out", "runs"]  # fmt: skip
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    took_s = time.monotonic() - began
    print(f"a run of {limit_s:g} s, {done.stdout.split()[0]}: {took_s - limit_s:.1f} s beyond it, report included (target 10)")  # fmt: skip


def main() -> None:
    name = f"bench-{os.getpid()}"
    print(f"load average {os.getloadavg()[0]:.1f}")
    try:
        inventory = up("netns", name, len(NODES))
        commands(inventory)
        asyncio.run(in_world(inventory))
        whole_run(name)
    finally:
        down(name)
    print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
