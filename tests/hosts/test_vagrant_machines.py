"""Machines that Vagrant makes of our Vagrantfile: three are booted, and a plan has its verdict there, with the inventory that is read from Vagrant.

The box is made here (libvirt_box.py), for those that others publish are not to be had everywhere; the provider is libvirt, with an emulated processor and a daemon
of its own (private_libvirt.py). `make kinds` runs this: it takes minutes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.provision import qemu
from harness.provision.inventory import load
from tests.hosts.libvirt_box import NAME, box
from tests.hosts.private_libvirt import private_libvirt
from tests.hosts.test_kinds import PLAN, rules_here, text

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.slow,
    pytest.mark.skipif(os.environ.get("QUORATE_KIND") != "vagrant", reason="slow: `make kinds` runs this"),
]
ROOT = Path(__file__).parents[2]
QUORATE = str(Path(sys.executable).parent / "quorate")
PATIENCE_S = 3000.0  # three machines with systemd, on processors that are emulated and have other work


def links_here() -> list[str]:
    """Bridges and cards of libvirt on this machine."""
    return sorted(link for link in os.listdir("/sys/class/net") if link.startswith(("virbr", "vnet")))


def running(folder: Path) -> list[str]:
    """Processes that were told of a folder."""
    commands = (text(entry / "cmdline") for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [command for command in commands if str(folder) in command]


def test_three_are_booted_and_a_plan_is_valid_there(tmp_path: Path) -> None:
    before = links_here(), rules_here()
    lab = tmp_path / "lab"
    lab.mkdir()
    shutil.copy(ROOT / "Vagrantfile", lab)
    (lab / "plan.toml").write_text(PLAN.replace("MODE", "register"))
    told = {"VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_DEFAULT_PROVIDER": "libvirt", "QUORATE_BOX": NAME, "QUORATE_NODES": "3"}  # fmt: skip
    with private_libvirt(tmp_path / "libvirt") as there:

        def call(*words: str) -> str:
            done = subprocess.run([*there, f"--wdns={lab}", "--", *words], env={**os.environ, **told}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S)  # fmt: skip
            assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr[-2000:])
            return done.stdout

        call("vagrant", "box", "add", "--name", NAME, str(box(lambda text: None)))
        call("vagrant", "up")
        made = json.loads(call(QUORATE, "hosts", "up", "--kind", "vagrant", "-n", "3", "--json"))
        hosts = load(Path(made["inventory"])).hosts
        assert len({host.address for host in hosts}) == 3
        assert [(host.name, host.owns_clock, host.sudo, host.slowness) for host in hosts] == [
            (f"n{n}", True, True, qemu.SLOWNESS) for n in (1, 2, 3)
        ]
        results = json.loads(
            call(QUORATE, "run", "plan.toml", "--world", "hosts", "--inventory", made["inventory"], "--json")
        )
        assert results["outcome"] == "valid", results["reason"]
        assert all(counts["bit"] == counts["count"] > 0 for counts in results["faults"]["by_kind"].values())
        assert len([command for command in running(tmp_path) if "qemu-system" in command]) == 3
        call("vagrant", "destroy", "--force")
    assert running(tmp_path) == []
    assert (links_here(), rules_here()) == before
