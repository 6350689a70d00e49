"""Hosts of one's own: an inventory written by hand, another user, `sudo`; a whole run with faults from the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.control import Control
from harness.provision.inventory import Inventory

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("sudo") is None, reason="needs the package sudo"),
]

QUORATE = str(Path(sys.executable).parent / "quorate")
PLAN = """
name = "by-hand"
workload = "register"
claims = ["linearizable"]
seed = 7
nodes = 3
time_limit_s = 16

[system]
name = "kvstore"
mode = "register"

[[faults]]
kind = "partition"
start_s = 0.5
every_s = 20
for_s = 1.5

[[faults]]
kind = "kill"
start_s = 2.2
every_s = 20
for_s = 0.7

[[faults]]
kind = "pause"
start_s = 3.2
every_s = 20
for_s = 0.7

[[faults]]
kind = "clock"
offset_ms = 400
start_s = 4.2
every_s = 20
for_s = 1
"""
OF_LINKS = (("loss", 1.4, "share = 0.3"), ("flapping", 2.8, "down_ms = 300\nup_ms = 300"), ("reset", 1.4, "share = 0.1"), ("delay", 1.4, "delay_ms = 20"), ("rate", 4.0, "rate_kbit = 8"))  # fmt: skip
for place, (kind, for_s, option) in enumerate(OF_LINKS):
    PLAN += f'\n[[faults]]\nkind = "{kind}"\ntargets = "all"\n{option}\nstart_s = {5.3 + 1.5 * place}\nevery_s = 20\nfor_s = {for_s}\n'
KINDS = {"partition", "kill", "pause", "clock", *(kind for kind, _, _ in OF_LINKS)}
BEGIN_ANEW = """
pid=$(cat /run/sshd.pid)
rm /run/sshd.pid
kill -HUP $pid
until [ -s /run/sshd.pid ]; do sleep 0.02; done
"""
"""The sshd reads how it is set up: it writes its pid once it listens again."""
LET_IN = (
    """set -e
useradd --create-home --shell /bin/sh --password '*' admin
echo 'admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/admin
chmod 440 /etc/sudoers.d/admin
sed -i -e 's/^AllowUsers.*/AllowUsers root admin/' /etc/quorate/sshd_config
"""
    + BEGIN_ANEW
)
SEND_AWAY = (
    """
sed -i 's/^AllowUsers.*/AllowUsers root/' /etc/quorate/sshd_config
rm -f /etc/sudoers.d/admin
userdel --remove --force admin 2>/dev/null
"""
    + BEGIN_ANEW
)


@pytest.fixture
def root(five: Inventory) -> Iterator[Control]:
    """Root on three hosts that let in `admin`, who is root by `sudo -n` only."""
    control = Control({host.name: host for host in five.hosts[:3]})
    try:
        control.each(lambda _, connection: connection.shell(LET_IN))
        yield control
    finally:
        control.each(lambda _, connection: connection.shell(SEND_AWAY, check=False))
        control.close()


def by_hand(five: Inventory) -> str:
    """What somebody would write who was given these hosts."""
    lines = ['cluster = "lab"', 'user = "admin"', f'key = "{five.hosts[0].key}"', "sudo = true"]
    lines.append(f'known_hosts = "{five.hosts[0].known_hosts}"')
    for number, host in enumerate(five.hosts[:3], 1):
        lines += ["", "[[hosts]]", f'name = "rack-{number}"', f'address = "{host.address}"']
    return "\n".join(lines) + "\n"


def test_a_whole_run_as_another_user_with_sudo(five: Inventory, root: Control, tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text(by_hand(five))
    (tmp_path / "plan.toml").write_text(PLAN)
    before = root.each(lambda _, connection: connection.shell("ls -A /tmp").stdout)
    done = subprocess.run(
        [QUORATE, "run", "plan.toml", "--world", "hosts", "--inventory", "lab.toml", "--json", "--out", "runs"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr or json.loads(done.stdout)["reason"]
    folder = tmp_path / "runs" / "by-hand" / "latest"
    faults = [json.loads(line) for line in (folder / "faults.jsonl").read_text().splitlines()]
    assert {(fault["kind"], fault["bit"], fault["healed"]) for fault in faults} == {
        (kind, True, True) for kind in KINDS
    }
    assert all((folder / "nodes" / node).exists() for node in ("n1", "n2", "n3"))
    environment = json.loads((folder / "environment.json").read_text())
    assert (environment["cluster"], environment["kind"]) == ("lab", "ssh")
    left = "ls -d /opt/quorate-store /run/quorate-node /var/lib/quorate/store 2>/dev/null; iptables -w -S | grep QUORATE; tc qdisc show | grep htb; iptables -w -t mangle -S | grep QUORATE"
    assert root.each(lambda _, c: c.shell(left, check=False).stdout) == {"n1": "", "n2": "", "n3": ""}
    assert all("kvstore" not in text for text in root.each(lambda _, c: c.shell("ps -ef").stdout).values())
    assert root.each(lambda _, connection: connection.shell("ls -A /tmp").stdout) == before


def test_a_user_who_may_not_be_root_is_told_so(five: Inventory, root: Control, tmp_path: Path) -> None:
    root["n2"].shell("rm /etc/sudoers.d/admin")
    (tmp_path / "lab.toml").write_text(by_hand(five))
    (tmp_path / "plan.toml").write_text(PLAN)
    done = subprocess.run(
        [QUORATE, "run", "plan.toml", "--world", "hosts", "--inventory", "lab.toml", "--json", "--out", "runs"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 255
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("error: rack-2 (")
    assert "sudo" in sentence
