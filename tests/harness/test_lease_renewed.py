"""Renewing a lease, on this machine in place of a host: what the shell does with the files."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from harness.control import CommandResult
from harness.worlds import WorldError
from harness.worlds.hosts import lease


class There:
    """A folder that runs scripts as a host would."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def shell(self, script: str) -> CommandResult:
        done = subprocess.run(
            ["sh", "-c", script], cwd=self._folder, capture_output=True, text=True, check=True
        )
        return CommandResult(script, done.returncode, done.stdout, done.stderr, 0.0)


def until(folder: Path) -> int:
    """The uptime at which it ends."""
    return int((folder / "lease").read_text())


def test_a_lease_is_renewed_as_long_as_nothing_was_healed(tmp_path: Path) -> None:
    here = cast(Any, There(tmp_path))
    (tmp_path / "lease").write_text("0\n")
    assert lease.renew(here, str(tmp_path), 20.0)
    first = until(tmp_path)
    assert first > 20
    assert lease.renew(here, str(tmp_path), 1000.0)
    assert until(tmp_path) >= first + 980
    assert [path.name for path in tmp_path.iterdir()] == ["lease"]


def test_a_lease_that_lapsed_is_told_also_if_a_renewal_came_between(tmp_path: Path) -> None:
    """The watchdog takes the lease away and heals; a renewal that had looked just before puts it back. The next one has to tell."""
    here = cast(Any, There(tmp_path))
    assert not lease.renew(here, str(tmp_path), 20.0)
    assert not (tmp_path / "lease").exists()
    (tmp_path / "lease").write_text("99999999\n")
    (tmp_path / "healed").write_text("")
    assert not lease.renew(here, str(tmp_path), 20.0)


def test_a_standstill_is_noticed_at_the_heal_though_no_renewal_came_before(tmp_path: Path) -> None:
    """The harness was stopped for longer than a lease: when it goes on it may heal first, and every fault had ended long ago."""
    folders = {node: tmp_path / node for node in ("n1", "n2", "n3")}

    async def each(call: Callable[[str, Any], Any], nodes: tuple[str, ...]) -> dict[str, Any]:
        return {node: call(node, There(folders[node])) for node in nodes}

    for folder in folders.values():
        folder.mkdir()
        (folder / "lease").write_text("0\n")
    leases = lease.Leases(each, tuple(folders), ".", 20.0)
    asyncio.run(leases.refuse_lapsed())
    (folders["n2"] / "lease").unlink()
    with pytest.raises(WorldError, match="the lease of n2 lapsed: nobody renewed it for 20 s"):
        asyncio.run(leases.refuse_lapsed())
