"""Machines of Vagrant: the Vagrantfile is valid for both providers, and what `vagrant ssh-config` prints becomes an inventory.

None is booted here (but in test_vagrant_machines.py). Where VirtualBox is not installed, a stand-in for its command tells a version and nothing else: Vagrant then looks
through the provider's settings, as it does for libvirt. In the last test a stand-in for `vagrant` prints the doors of namespaces.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.plan import PlanError
from harness.provision import vagrant
from harness.provision.inventory import Host, Inventory, load
from harness.worlds import WorldError
from tests.hosts.conftest import unique

ROOT = Path(__file__).parents[2]
QUORATE = str(Path(sys.executable).parent / "quorate")
PRINTED = """\
Host n1
  HostName 127.0.0.1
  User vagrant
  Port 2222
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  PasswordAuthentication no

  IdentityFile "/srv/ada/my cluster/.vagrant/machines/n1/virtualbox/private_key"
  IdentitiesOnly yes
  LogLevel FATAL

Host n2
  HostName 127.0.0.1
  User vagrant
  Port 2200
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  PasswordAuthentication no

  IdentityFile /srv/ada/n2/private_key

  IdentityFile /srv/ada/.vagrant.d/insecure_private_key
  IdentitiesOnly yes
  LogLevel FATAL

"""
"""As Vagrant 2.3.4 renders its template, with VirtualBox: a path with a blank is quoted, a machine may have two keys."""
KEY = "/srv/ada/my cluster/.vagrant/machines/n1/virtualbox/private_key"


def test_what_vagrant_prints_is_understood() -> None:
    shared = {"address": "127.0.0.1", "user": "vagrant", "sudo": True, "owns_clock": True}
    assert vagrant.parse(PRINTED) == [
        Host(name="n1", port=2222, key=KEY, **shared),
        Host(name="n2", port=2200, key="/srv/ada/n2/private_key", **shared),
    ]


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        ("  Port 2200\n", "", "does not tell port of machine n2"),
        ("  Port 2200\n", "  Port ssh\n", "does not tell the port of machine n2"),
        ("  User vagrant\n", "", "does not tell user of machine n1"),
        ("  Port 2200\n", "  Port 2200\n  ProxyCommand ssh far nc %h %p\n", r"n2 is reached through a proxy \(ssh"),
    ],
)  # fmt: skip
def test_what_cannot_be_reached_is_refused_by_name(line: str, instead: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        vagrant.parse(PRINTED.replace(line, instead))


def listing(*addresses: str) -> str:
    """What `ip -j address` says, cut to what is read."""
    pairs = [address.split("/") for address in addresses]
    return json.dumps([{"addr_info": [{"local": local, "prefixlen": int(length)}]} for local, length in pairs])  # fmt: skip


def test_machines_meet_where_each_has_an_address_of_its_own() -> None:
    nat = "10.0.2.15/24"  # of every machine of VirtualBox
    told = {f"n{n}": listing(nat, f"192.168.56.{10 + n}/24") for n in (1, 2, 3)}
    assert vagrant.meeting(told) == {"n1": "192.168.56.11", "n2": "192.168.56.12", "n3": "192.168.56.13"}
    with pytest.raises(PlanError, match=r"each of n1, n2, n3, n4 has an address of its own"):
        vagrant.meeting({**told, "n4": listing(nat)})


needs_vagrant = pytest.mark.skipif(
    shutil.which("vagrant") is None, reason="needs vagrant: scripts/system-packages vagrant"
)
VBOXMANAGE = '#!/bin/sh\n[ "$1" = --version ] && echo 7.0.20r163906\n'
PLUGIN = Path("/usr/share/doc/vagrant-libvirt")


def stand_in(folder: Path, name: str, script: str) -> str:
    """A PATH on which a program of this name does what the script says."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def validate(folder: Path, provider: str, text: str) -> subprocess.CompletedProcess[str]:
    """`vagrant validate` of a Vagrantfile in a directory of its own."""
    (folder / "Vagrantfile").write_text(text)
    path = os.environ["PATH"]
    if provider == "virtualbox" and shutil.which("VBoxManage") is None:
        path = stand_in(folder / "bin", "VBoxManage", VBOXMANAGE)
    told = {"VAGRANT_DEFAULT_PROVIDER": provider, "VAGRANT_HOME": str(folder / "home"), "PATH": path}
    return subprocess.run(["vagrant", "validate"], cwd=folder, env={**os.environ, **told}, capture_output=True, text=True, timeout=600)  # fmt: skip


@needs_vagrant
@pytest.mark.slow
@pytest.mark.parametrize("provider", ["virtualbox", "libvirt"])
def test_the_vagrantfile_is_valid_and_one_with_a_mistake_is_not(provider: str, tmp_path: Path) -> None:
    if provider == "libvirt" and not PLUGIN.exists():
        pytest.skip("needs vagrant-libvirt: scripts/system-packages vagrant")
    text = (ROOT / "Vagrantfile").read_text()
    done = validate(tmp_path, provider, text)
    assert (done.returncode, done.stdout) == (0, "Vagrantfile validated successfully.\n"), done.stderr
    wrong = re.sub(rf'("{provider}"\).*)machine.memory', r"\1machine.memry", text)
    refused = validate(tmp_path, provider, wrong)
    assert refused.returncode == 1
    assert "The following settings shouldn't exist: memry" in refused.stderr


@needs_vagrant
@pytest.mark.slow
def test_machines_that_are_not_up_are_told_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    (tmp_path / "Vagrantfile").write_text((ROOT / "Vagrantfile").read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VAGRANT_DEFAULT_PROVIDER", "virtualbox")
    monkeypatch.setenv("PATH", stand_in(tmp_path / "bin", "VBoxManage", VBOXMANAGE))
    with pytest.raises(WorldError, match=r"is not yet ready for SSH\. Make the machines with `vagrant up`"):
        vagrant.up("lab", 5)
    assert not vagrant.inventory_file().exists()


def test_without_vagrant_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        WorldError, match=r"need vagrant, ssh-keyscan.*`scripts/system-packages vagrant` does"
    ):
        vagrant.up("lab", 5)


@pytest.mark.hosts
@pytest.mark.slow
def test_hosts_behind_such_doors_are_used_by_the_inventory(five: Inventory, tmp_path: Path) -> None:
    printed = "".join(
        f"Host {host.name}\n  HostName {host.address}\n  User root\n  Port {host.port}\n  IdentityFile {host.key}\n\n"
        for host in five.hosts
    )
    asked = f'#!/bin/sh\n[ "$*" = ssh-config ] || exit 9\necho asked >>{tmp_path}/asked\ncat <<END\n{printed}END\n'
    environment = {**os.environ, "PATH": stand_in(tmp_path / "bin", "vagrant", asked)}

    def quorate(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([QUORATE, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)  # fmt: skip

    name = unique("vagrant")
    made = quorate("hosts", "up", "--kind", "vagrant", "-n", "3", "--name", name, "--json")
    assert made.returncode == 0, made.stderr
    path = Path(json.loads(made.stdout)["inventory"])
    assert path == tmp_path / ".vagrant/quorate/inventory.toml"
    assert (tmp_path / "asked").read_text() == "asked\n", "once"
    inventory = load(path)
    assert (inventory.cluster, inventory.kind) == (name, "vagrant")
    assert [(host.name, host.address, host.owns_clock, host.sudo) for host in inventory.hosts] == [
        (host.name, host.address, True, False) for host in five.hosts[:3]
    ]
    healed = quorate("hosts", "heal", "--inventory", str(path))
    assert (healed.returncode, healed.stderr) == (
        0,
        "healing 3 hosts\nn1: no fault of ours\nn2: no fault of ours\nn3: no fault of ours\n",
    )
    many = quorate("hosts", "up", "--kind", "vagrant", "-n", "6")
    assert many.returncode == 254
    assert "`vagrant ssh-config` names 5 machines, and 6 are asked for" in many.stderr
