"""A whole node is switched off: nobody is refused and nothing is reset, there is just silence; and then it is back."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.client import ChannelError
from harness.nemesis.faults import KINDS
from harness.provision import find_inventory
from harness.provision.inventory import Inventory
from harness.worlds.hosts import HostsWorld
from tests.hosts.tiny import PORT, in_world, on
from tests.polling import until

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

QUORATE = str(Path(sys.executable).parent / "quorate")
DATA = "/var/lib/quorate/tiny"
PATIENCE_S = 600.0  # emulated machines are slow


async def says(world: HostsWorld, node: str, *words: str) -> str:
    """What a node answers on a new connection. Raises ChannelError."""
    channel = await world.dial(node)
    try:
        return str(await channel.request([word.encode() for word in words], timeout_s=60.0))
    finally:
        await channel.close()


async def dial_fails(world: HostsWorld, node: str) -> BaseException | None:
    """Why no connection can be made: the socket's own error."""
    with pytest.raises(ChannelError) as refused:
        await world.dial(node)
    return refused.value.__cause__


def test_peers_and_clients_meet_silence_and_what_was_not_synced_is_gone(five: Inventory) -> None:
    first, before = five.hosts[0].address, on(five, "n1", "iptables -w -S")

    async def story(world: HostsWorld) -> None:
        async def reached() -> bool:
            return await says(world, "n2", "REACH", first, str(PORT)) == "yes"

        await until(reached, wait_s=PATIENCE_S)
        on(five, "n1", f"cd {DATA}; printf kept >synced; sync synced .; printf lost >unsynced")
        old = await world.dial("n1")
        assert await old.request([b"PING"], timeout_s=60.0) == "PONG"
        fault = KINDS["power-off"](1, ("n1",), {})
        await fault.start(world)
        assert fault.bit, fault.note
        assert (await world.process("n1")).state == "gone"
        assert await says(world, "n2", "REACH", first, str(PORT)) == "TimeoutError", (
            "a dead process would refuse"
        )
        assert isinstance(await dial_fails(world, "n1"), TimeoutError)
        with pytest.raises(ChannelError) as silence:
            await old.request([b"PING"], timeout_s=1.0)
        assert isinstance(silence.value.__cause__, TimeoutError), "nobody has told this client"
        await old.close()
        left = on(five, "n1", f"cd {DATA}; cat synced; cat unsynced 2>/dev/null")
        assert left == "kept", (
            "of the other file a journal of every five seconds may have the name, and nothing in it"
        )
        await fault.stop(world)
        assert (fault.bit, fault.healed) == (True, True), fault.note
        assert fault.evidence["n1"]["dropped"] > 0
        assert on(five, "n1", "iptables -w -S") == before
        await until(reached, wait_s=PATIENCE_S)

    in_world(five, story, faults=("power-off",))


def test_heal_plugs_a_host_in(five: Inventory) -> None:
    inventory, before = str(find_inventory(five.cluster)), on(five, "n1", "iptables -w -S")

    async def story(world: HostsWorld) -> None:
        await world.unplug(("n1",))
        await world.unplug(("n1",))  # by another fault that overlaps
        assert isinstance(await dial_fails(world, "n1"), TimeoutError)
        command = [QUORATE, "hosts", "heal", "--inventory", inventory, "--json"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
        assert "6 rules are removed" in json.loads(done.stdout)["hosts"]["n1"], "two of the port, two for each of two peers"  # fmt: skip
        assert on(five, "n1", "iptables -w -S") == before
        assert await says(world, "n1", "PING") == "PONG"

    in_world(five, story, faults=("partition",))
