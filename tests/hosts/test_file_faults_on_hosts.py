"""Files of a system on hosts: bits flipped, ends cut off, an older state; as `cmp` and the system's own reads show them, and what heals them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.nemesis.files import KINDS
from harness.plan import Plan, parse_plan
from harness.provision import find_inventory
from harness.provision.inventory import Inventory
from harness.runner import run
from harness.worlds.hosts import HostsWorld
from harness.worlds.serving import serves
from tests.hosts.tiny import in_world, on
from tests.polling import until

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

DATA = "/var/lib/quorate/tiny"
NOTES = f"{DATA}/notes"
FILL = f"python3 -c \"open('{NOTES}', 'wb').write(bytes(n % 251 for n in range(20000)))\"; cp {NOTES} /tmp/as-it-was"


def put(five: Inventory, name: str, text: str) -> None:
    on(five, "n1", f"printf %s '{text}' >{DATA}/{name}")


def content(five: Inventory, name: str = "notes") -> str:
    return on(five, "n1", f"cat {DATA}/{name} 2>&1")


def changed(five: Inventory) -> list[tuple[int, int, int]]:
    """(place, was, is) of the bytes of the notes that are not as they were: `cmp` counts from 1, and in octal."""
    rows = [line.split() for line in on(five, "n1", f"cmp -l /tmp/as-it-was {NOTES}").splitlines()]
    return [(int(at) - 1, int(was, 8), int(now, 8)) for at, was, now in rows]


def sha256(five: Inventory, path: str = NOTES) -> str:
    return on(five, "n1", f"sha256sum {path}").split()[0]


async def served(world: HostsWorld) -> None:
    """Until the process that was started has opened its files, which it does before it listens."""
    await until(lambda: serves(world, "n1"), wait_s=300.0)


async def ask(world: HostsWorld, *words: bytes) -> str:
    """What the system of n1 says, over a new connection."""
    await served(world)
    channel = await world.dial("n1")
    try:
        return str(await channel.request(words, timeout_s=60.0))
    finally:
        await channel.close()


async def pid(world: HostsWorld) -> int | None:
    return (await world.process("n1")).pid


def test_bits_flip_in_a_share_of_the_pages_and_a_process_reads_them(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        on(five, "n1", FILL)
        was, before = await pid(world), sha256(five)
        fault = KINDS["bitflip"](1, ("n1",), {"share": 0.4})
        await fault.start(world)
        flips = changed(five)
        assert fault.evidence == {"n1": {"damaged": 2}}, "of five pages"
        assert len({at // 4096 for at, *_ in flips}) == len(flips) == 2
        assert [(old ^ new).bit_count() for _, old, new in flips] == [1, 1]
        assert await pid(world) not in (was, None)
        read = bytes.fromhex(await ask(world, b"READ", b"notes"))
        assert all(read[at] == new for at, _, new in flips), "the system itself gets what is damaged"
        written = flips[0][0]
        on(five, "n1", f"printf '\\377' | dd of={NOTES} bs=1 seek={written} conv=notrunc 2>/dev/null")
        after = fault.evidence
        await fault.stop(world)
        assert (fault.bit, fault.healed) == (True, True), fault.note
        found = after["n1"]
        assert (found["met"], found["left"], found["state"]) == (2, 1, "running")
        assert found["files"][NOTES][0] == before != found["files"][NOTES][1]
        assert [(at, new) for at, _, new in changed(five)] == [(written, 0xFF)], (
            "what was written since stays"
        )

    in_world(five, story)
    assert on(five, "n1", "ls -A /var/lib/quorate") == ""


def test_what_nobody_opens_and_what_is_not_there_is_no_bite(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        nothing = KINDS["bitflip"](1, ("n1",), {})
        await nothing.start(world)
        assert (nothing.bit, nothing.note) == (False, "no record was on the disk on n1")
        on(five, "n1", FILL)
        unread = KINDS["bitflip"](2, ("n1",), {"share": 0.1})
        await unread.start(world)
        await served(world)
        on(
            five, "n1", f"mv {NOTES} /tmp/elsewhere; cp /tmp/elsewhere {NOTES}"
        )  # the process holds another file now
        await unread.stop(world)
        assert (unread.bit, unread.note) == (False, "no read met a damaged record on n1")
        assert changed(five) == [], "it was taken back all the same"
        empty = KINDS["truncate"](3, ("n1",), {"file": "log"})
        await empty.start(world)
        assert (empty.bit, empty.note) == (False, "there was nothing to be cut off on n1")

    in_world(five, story)


def test_the_end_of_a_file_is_cut_off_and_put_back_where_nobody_wrote_since(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        put(five, "log", "0123456789")
        fault = KINDS["truncate"](1, ("n1",), {"share": 0.3, "file": "log"})
        await fault.start(world)
        assert fault.bit, fault.note
        assert content(five, "log") == "0123456"
        assert bytes.fromhex(await ask(world, b"READ", b"log")) == b"0123456"
        cut = fault.evidence["n1"][f"{DATA}/log"]
        assert (cut["bytes_before"], cut["bytes_after"], cut["after"]) == (10, 7, sha256(five, f"{DATA}/log"))
        await fault.stop(world)
        assert (fault.healed, fault.evidence["n1"]["put_back"]) == (True, 1)
        assert content(five, "log") == "0123456789"
        again = KINDS["truncate"](2, ("n1",), {"share": 0.3, "file": "log"})
        await again.start(world)
        put(five, "log", "0123456new")
        await again.stop(world)
        assert (again.bit, again.healed, again.evidence["n1"]["put_back"]) == (True, True, 0)
        assert content(five, "log") == "0123456new", "the system went on without it"

    in_world(five, story)


def test_an_older_state_comes_back_with_a_process_on_it(five: Inventory) -> None:
    async def story(world: HostsWorld) -> None:
        put(five, "notes", "old")
        was = await pid(world)
        fault = KINDS["snapshot-restore"](1, ("n1",), {})
        await fault.start(world)
        assert (fault.bit, await pid(world), (await world.process("n1")).state) == (True, was, "running")
        put(five, "notes", "newer")
        put(five, "log", "made since")
        await fault.stop(world)
        assert (fault.bit, fault.healed) == (True, True), fault.note
        assert on(five, "n1", f"ls -A {DATA}") == "notes\n"
        assert content(five) == bytes.fromhex(await ask(world, b"READ", b"notes")).decode() == "old"
        assert await pid(world) not in (was, None)
        told = fault.evidence["n1"]["restored"]
        assert told[NOTES][1] == fault.evidence["n1"]["kept"][NOTES] == sha256(five)
        idle = KINDS["snapshot-restore"](2, ("n1",), {})
        await idle.start(world)
        await idle.stop(world)
        assert (idle.bit, idle.note) == (False, "nothing had been written since on n1")

    in_world(five, story)
    assert on(five, "n1", "ls -A /var/lib/quorate") == ""


PLAN = """
name = "files"
workload = "register"
claims = ["linearizable"]
seed = 3
nodes = 3
concurrency = 6
rate = 150
time_limit_s = 6
[options]
keys = 40
ops_per_key = 1000
read_fraction = 0.8
[system]
name = "kvstore"
mode = "register"
[[faults]]
kind = "KIND"
targets = "TARGETS"
start_s = 1.5
every_s = 20
for_s = 2.5
"""


def plan_of(kind: str, targets: str, more: str = "") -> Plan:
    return parse_plan(PLAN.replace("KIND", kind).replace("TARGETS", targets) + more)


def test_the_store_mends_what_flipped_in_its_table(five: Inventory, tmp_path: Path) -> None:
    plan = plan_of("bitflip", "one", "share = 0.3\n")
    outcome = run(plan, world="hosts", out=tmp_path, inventory=find_inventory(five.cluster))
    assert outcome.results["outcome"] == "valid", outcome.results["reason"]
    (fault,) = map(json.loads, (outcome.folder / "faults.jsonl").read_text().splitlines())
    assert (fault["bit"], fault["healed"]) == (True, True), fault


@pytest.mark.parametrize(
    ("kind", "more", "worlds"), [("snapshot-restore", "", ("sim", "hosts")), ("truncate", 'file = "log"\nshare = 0.8\n', ("hosts",))]
)  # fmt: skip
def test_a_cluster_that_forgets_breaks_the_promise(
    kind: str, more: str, worlds: tuple[str, ...], five: Inventory, tmp_path: Path
) -> None:
    for world in worlds:
        plan = plan_of(kind, "all", more)  # of a majority the third may mend it in time
        outcome = run(plan, world=world, out=tmp_path / world, inventory=find_inventory(five.cluster))
        assert outcome.results["outcome"] == "invalid", (world, outcome.results["reason"])
        (fault,) = map(json.loads, (outcome.folder / "faults.jsonl").read_text().splitlines())
        assert (fault["bit"], fault["healed"], len(fault["nodes"])) == (True, True, 3), fault
