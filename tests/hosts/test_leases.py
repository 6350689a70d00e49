"""A harness that dies leaves no fault behind: each host heals itself when its lease ends. And `quorate hosts heal` does it at once."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.control import Connection
from harness.plan_options import FREEZER
from harness.provision import find_inventory
from harness.provision.inventory import Inventory
from harness.worlds import WorldError
from harness.worlds.hosts import HostsWorld, groups, packets
from harness.worlds.hosts.world import RUN_DIRECTORY
from harness.worlds.trouble import DROP, Trouble
from tests.polling import poll, until
from workloads.kvstore_system import KvStoreSystem

pytestmark = [pytest.mark.slow, pytest.mark.hosts]
QUORATE = str(Path(sys.executable).parent / "quorate")
PATIENCE_S = 300.0
PLAN = """
name = "leased"
workload = "register"
claims = ["linearizable"]
nodes = 3
concurrency = 3
rate = 50
time_limit_s = 300
[system]
name = "kvstore"
n = 3
[hosts]
lease_s = 6.0
[[faults]]
kind = "partition"
shape = "isolate"
start_s = 0.5
every_s = 290.0
for_s = 280.0
[[faults]]
kind = "rate"
targets = "all"
rate_kbit = 1000.0
start_s = 0.5
every_s = 290.0
for_s = 280.0
[[faults]]
kind = "delay"
targets = "all"
delay_ms = 5.0
start_s = 0.5
every_s = 290.0
for_s = 280.0
[[faults]]
kind = "pause"
targets = "one"
start_s = 0.7
every_s = 290.0
for_s = 280.0
[[faults]]
kind = "pause"
targets = "all"
how = "freezer"
start_s = 0.9
every_s = 290.0
for_s = 280.0
[[faults]]
kind = "clock"
targets = "one"
offset_ms = 400.0
start_s = 0.3
every_s = 290.0
for_s = 280.0
"""


def on(inventory: Inventory, place: int, script: str) -> str:
    connection = Connection(inventory.hosts[place])
    try:
        return connection.shell(script, check=False).stdout
    finally:
        connection.close()


def faults(inventory: Inventory) -> dict[str, int]:
    """How many hosts have rules of ours, slow links, packets that are delayed, a stopped process, a frozen one, a shifted clock."""
    state = f"sed 's/.*) //' /proc/$(cat {RUN_DIRECTORY}/pid)/stat 2>/dev/null | cut -c1"
    network = f"tc qdisc show | grep -c tbf; iptables -w -t mangle -S | grep -c NFQUEUE; pgrep -fc {RUN_DIRECTORY}/queue-[0-9]"
    script = f"{network}; iptables -w -S | grep -c -e '-j {packets.CHAIN}$'; echo; {state}; cat {groups.place(FREEZER)}/{groups.STATE}; cat {RUN_DIRECTORY}/clock-offset 2>/dev/null"
    told = [on(inventory, place, script).split() for place in range(3)]
    return {
        "slow": sum(each[0] != "0" for each in told),
        "queued": sum(each[1] != "0" for each in told),
        "delayed": sum(each[2] != "0" for each in told),
        "cut": sum(each[3] != "0" for each in told),
        "stopped": sum("T" in each[4:] for each in told),
        "frozen": sum("FROZEN" in each[4:] for each in told),
        "shifted": sum(any(word[0] in "+-" and float(word) for word in each[4:]) for each in told),
    }


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    poll(condition, wait_s=PATIENCE_S, told=lambda: what, pause_s=0.2)


def test_hosts_heal_themselves_after_the_harness_was_killed(five: Inventory, tmp_path: Path) -> None:
    others = on(five, 0, "iptables -w -N OTHERS; iptables -w -A OTHERS -s 192.0.2.1 -j DROP; iptables -w -S")
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    command = [QUORATE, "run", str(plan), "--world", "hosts", "--inventory", str(find_inventory(five.cluster)), "--out", str(tmp_path)]  # fmt: skip
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("the faults", lambda: min(faults(five).values()) > 0)
        run.send_signal(signal.SIGKILL)
        run.wait()
        wait_for("the hosts to heal", lambda: not any(faults(five).values()))
        said = "".join(on(five, place, f"cat {RUN_DIRECTORY}/healed") for place in range(3))
        assert "rules are removed" in said
        assert "the rate limit of eth0 is removed" in said
        assert "packets are delayed no more" in said
        assert re.search(r"process \d+ goes on", said)
        assert "what was frozen goes on" in said
        assert "s is taken back" in said
        assert on(five, 0, "iptables -w -S") == others
        history = next(tmp_path.glob("leased/*/history.jsonl"))
        assert all(json.loads(line) for line in history.read_text().splitlines(keepends=True) if line.endswith("\n"))  # fmt: skip
        watchdogs = f"pgrep -f {RUN_DIRECTORY}/watchdog | wc -l"  # pgrep's own shell names it too: one is the look itself
        wait_for("the watchdog to end", lambda: int(on(five, 0, watchdogs)) <= 1)
    finally:
        run.kill()
        run.wait()
        on(five, 0, "iptables -w -F OTHERS; iptables -w -X OTHERS")


def test_a_lease_that_lapsed_is_no_quiet_end_of_a_fault(five: Inventory) -> None:
    """The harness lives and renews nothing, as when it was stopped: the mend at the end of the run says so, though it comes before the next renewal."""

    async def story() -> None:
        world = HostsWorld(KvStoreSystem({"n": 3}, ("n1", "n2", "n3")), five, lease_s=3.0)
        try:
            await world.up()
            await world.mend()  # all is well so far
            await world.disturb(Trouble(number=1, kind=DROP, links={"n1": frozenset({"n2"})}))
            assert world._renewing is not None
            world._renewing.cancel()
            await until(lambda: not faults(five)["cut"], wait_s=PATIENCE_S)
            with pytest.raises(WorldError, match=r"the lease of n1.* lapsed"):
                await world.mend()
        finally:
            await world.down()

    asyncio.run(asyncio.wait_for(story(), 2 * PATIENCE_S))


def test_heal_removes_what_is_there_and_says_what_it_was(five: Inventory) -> None:
    inventory = str(find_inventory(five.cluster))

    def healed() -> dict[str, list[str]]:
        done = subprocess.run([QUORATE, "hosts", "heal", "--inventory", inventory, "--json"], capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stderr
        found: dict[str, list[str]] = json.loads(done.stdout)["hosts"]
        return found

    async def story() -> None:
        world = HostsWorld(KvStoreSystem({"n": 3}, ("n1", "n2", "n3")), five, grouped=(FREEZER,))
        try:
            await world.up()
            await world.disturb(Trouble(number=1, kind=DROP, links={"n1": frozenset({"n2", "n3"})}))
            await world.pause("n2")
            await world.set_clock("n3", 400.0)
            await world.pause("n3", FREEZER)
            first, second = await asyncio.to_thread(healed), await asyncio.to_thread(healed)
            lines = [line for each in first.values() for line in each]
            assert "2 rules are removed" in lines
            assert any(line.startswith("process ") and line.endswith("goes on") for line in lines)
            assert first["n3"][0] == "what was frozen goes on"
            assert "the clock offset +0.400000 s is taken back" in lines
            assert not any(second.values())
            assert [(await world.process(node)).state for node in ("n2", "n3")] == ["running", "running"]
            assert abs(await world.clock_offset_ms("n3")) < 200, "of 400"
        finally:
            await world.down()

    asyncio.run(story())
    assert not any(healed().values())
