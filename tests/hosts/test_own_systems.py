"""Systems that are not ours, named by a file: what `docs/your-own-system.md` shows is done, and what it promises happens.

Needs redis-server and etcd (`scripts/system-packages hosts`); without them it is skipped, saying so.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.plan import FaultPlan, load_plan
from harness.provision import find_inventory, netns
from harness.provision.inventory import Inventory
from harness.runner import run
from harness.system import find_system
from harness.worlds import ProcessState, WorldError
from harness.worlds.hosts import HostsWorld
from tests.hosts.conftest import unique
from tests.hosts.tiny import on
from tests.test_examples import commands

ROOT = Path(__file__).parents[2]
SYSTEMS = ROOT / "examples" / "systems"
PAGE = ROOT / "docs" / "your-own-system.md"
ABSENT = [program for program in ("redis-server", "etcd") if shutil.which(program) is None]

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.slow,
    pytest.mark.skipif(bool(ABSENT), reason=f"needs {', '.join(ABSENT)}: scripts/system-packages hosts"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A name for the page's hosts; they are gone afterwards, however the page ended."""
    name = unique("mine")
    try:
        yield name
    finally:
        netns.down(name)


def test_the_page_does_what_it_says(cluster: str, tmp_path: Path) -> None:
    """Every command in its order; a comment behind a run is the verdict it has to print."""
    lines = [line[2:] for line in PAGE.read_text().splitlines() if line.startswith("$ ")]
    assert len(lines) == len(commands(PAGE)) >= 7
    verdicts = []
    for line in lines:
        command, _, expected = line.partition("  # ")
        name, *arguments = command.replace(" mine", f" {cluster}").split()
        if arguments[0] == "run":
            arguments += ["--out", str(tmp_path)]
        program = str(Path(sys.executable).parent / name) if name == "quorate" else str(ROOT / name)
        done = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == {"INVALID": 1}.get(expected, 0), f"{command}: {done.stdout}{done.stderr}"
        if expected:
            assert done.stdout.startswith(f"{expected} ")
            verdicts.append(expected)
    assert verdicts == ["INVALID", "VALID", "VALID", "INVALID"]
    for results in map(json.loads, (path.read_text() for path in tmp_path.glob("*/[0-9]*/results.json"))):
        assert all(kind["bit"] == kind["count"] > 0 for kind in results["faults"]["by_kind"].values())
        if results["outcome"] == "invalid":
            assert results["claims"]["linearizable"]["reason"].startswith(("stale-read", "lost-write"))


def test_a_system_leaves_nothing_on_the_hosts(five: Inventory, tmp_path: Path) -> None:
    plan = replace(load_plan(SYSTEMS / "redis.toml"), faults=(), time_limit_s=1.0)
    outcome = run(plan, world="hosts", out=tmp_path, inventory=find_inventory(five.cluster))
    assert "MASTER <-> REPLICA sync" in next((outcome.folder / "nodes" / "n2").iterdir()).read_text()
    for node in plan.node_names:
        assert (
            on(five, node, "ls -d /opt/quorate-redis /var/lib/quorate/redis /var/log/quorate-redis.log") == ""
        )
        assert on(five, node, "ss -Hltn sport = :6379") == ""


def test_a_process_that_writes_over_its_environment_is_known_again(five: Inventory, tmp_path: Path) -> None:
    """As Redis does when it sets its title."""

    async def story() -> None:
        world = HostsWorld(find_system(f"{SYSTEMS / 'redis.py'}:Redis")({}, ["n1"]), five, shift_clocks=False)
        try:
            await world.up()
            pid = (await world.process("n1")).pid
            assert on(five, "n1", f"tr -d '\\0' </proc/{pid}/cmdline") == "redis-server 0.0.0.0:6379"
            assert "QUORATE" not in on(five, "n1", f"cat /proc/{pid}/environ")
            await world.pause("n1")
            assert await world.process("n1") == ProcessState(pid, "stopped")
            await world.kill("n1")
            assert (await world.process("n1")).state == "gone"
            assert on(five, "n1", f"ls -d /proc/{pid}") == ""
        finally:
            await world.down()

    asyncio.run(story())


def test_the_clock_of_a_go_program_is_not_said_to_be_shifted(five: Inventory, tmp_path: Path) -> None:
    plan = load_plan(SYSTEMS / "etcd.toml")
    plan = replace(
        plan, faults=(FaultPlan(kind="clock", start_s=0.1, options={"offset_ms": 500.0}),), time_limit_s=1.0
    )
    outcome = run(plan, world="hosts", out=tmp_path, inventory=find_inventory(five.cluster))
    (fault,) = map(json.loads, (outcome.folder / "faults.jsonl").read_text().splitlines())
    assert not fault["bit"]
    assert "is a Go program, which reads the kernel's clock past libfaketime" in fault["note"]
    assert outcome.results["outcome"] == "unknown"


def test_what_the_system_itself_gets_wrong_is_told_with_its_line(five: Inventory, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        (SYSTEMS / "redis.py").read_text().replace('role[3] == b"connected"', 'role["state"]')
    )
    plan = replace(load_plan(SYSTEMS / "redis.toml"), system=f"{tmp_path / 'wrong.py'}:Redis", nodes=2)
    with pytest.raises(
        WorldError, match=r"redis cannot be asked whether n2 serves: TypeError: .*\(wrong.py, line \d+\)"
    ):
        run(plan, world="hosts", out=tmp_path, inventory=find_inventory(five.cluster))


def test_the_page_shows_the_file_as_it_is() -> None:
    """Less some lines, in their order."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        source = map(str.strip, (SYSTEMS / "redis.py").read_text().splitlines())
        for line in map(str.strip, block.splitlines()):
            assert not line or line in source, line
    (plan,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    source = iter((SYSTEMS / "redis.toml").read_text().splitlines())
    for line in plan.splitlines():
        assert line in source, line
