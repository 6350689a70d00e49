"""Hosts from Vagrant machines that are up: `vagrant ssh-config` is read once, and an inventory is written as for any other kind.

    vagrant ssh-config ──► Host n1, HostName, Port, User, IdentityFile      the door of a machine: with VirtualBox a port of 127.0.0.1
    ssh-keyscan        ──► its host key, of whoever answers now
    ip address, there  ──► the one network in which every machine has an address of its own: where peers meet, and we meet them
    systemd-detect-virt ─► is its processor emulated? Then it has more time (`slowness`)
                           └──► .vagrant/quorate/inventory.toml, known_hosts

The machines are made and removed by `vagrant up` and `vagrant destroy`, as the user whose they are: this needs no root here.
Reference: ssh_config(5); the template commands/ssh_config of Vagrant.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from harness.plan import PlanError
from harness.provision import debian, qemu
from harness.provision.inventory import Host, Inventory
from harness.provision.state import check_name
from harness.worlds import WorldError

TOOLS: Final = {"vagrant": "vagrant", "ssh-keyscan": "openssh-client"}  # tool: the Debian package that has it
PLACE: Final = Path(".vagrant/quorate")
TIMEOUT_S: Final = 120.0
SCAN_TIMEOUT_S: Final = "60"  # of an answer
EMULATED: Final = "qemu"  # in the words of systemd-detect-virt(1); with KVM it is "kvm"
NEEDED: Final = ("hostname", "port", "user", "identityfile")


def up(name: str, count: int, *, log: Callable[[str], None] = lambda text: None) -> Inventory:
    """The inventory of the first `count` machines of the Vagrantfile that Vagrant finds from here. Raises PlanError, WorldError."""
    check_name(name)
    _require()
    machines = parse(_ssh_config())
    if not 1 <= count <= len(machines):
        raise PlanError(
            f"`vagrant ssh-config` names {len(machines)} machines, and {count} are asked for: give -n, or set "
            "QUORATE_NODES and `vagrant up`."
        )
    place = PLACE.absolute()
    place.mkdir(parents=True, exist_ok=True)
    known = place / "known_hosts"
    keys = {machine.name: _keys(machine) for machine in machines[:count]}
    known.write_text("".join(f"{_door(at)} {key}\n" for at in machines[:count] for key in keys[at.name]))
    doors = [
        replace(machine, known_hosts=str(known), slowness=qemu.SLOWNESS) for machine in machines[:count]
    ]  # nobody knows yet whether it is slow
    told = _ask(doors, "ip -j -4 address show scope global; systemd-detect-virt --vm || true")
    met = meeting({name: text.splitlines()[0] for name, text in told.items()})
    pace = {name: qemu.SLOWNESS if text.split()[-1] == EMULATED else 1.0 for name, text in told.items()}
    hosts = tuple(replace(door, address=met[door.name], port=22, slowness=pace[door.name]) for door in doors)
    with known.open("a") as file:
        file.writelines(f"{host.address} {key}\n" for host in hosts for key in keys[host.name])
    for host in hosts:
        _ask([host], "true")
        log(f"{host.label} answers")
    inventory = Inventory(cluster=name, kind="vagrant", hosts=hosts)
    inventory.dump(inventory_file())
    return inventory


def inventory_file() -> Path:
    """Where `up` writes it."""
    return PLACE.absolute() / "inventory.toml"


def parse(text: str) -> list[Host]:
    """The doors of the machines, from what `vagrant ssh-config` prints. Raises PlanError."""
    blocks: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        words = shlex.split(line)
        if len(words) < 2:
            continue
        if words[0].lower() == "host":
            told = blocks.setdefault(words[1], {})
        elif blocks:
            told.setdefault(words[0].lower(), words[1])  # of several identities the first
    return [_host(name, told) for name, told in blocks.items()]


def _host(name: str, told: Mapping[str, str]) -> Host:
    lacking = [option for option in NEEDED if option not in told]
    if lacking or not told["port"].isdigit():
        raise PlanError(
            f"`vagrant ssh-config` does not tell {', '.join(lacking) or 'the port'} of machine {name}: see `vagrant status`."
        )
    if "proxycommand" in told:
        raise PlanError(
            f"machine {name} is reached through a proxy ({told['proxycommand']} …), which quorate does not do: write an inventory "
            "of addresses that can be reached from here."
        )
    return Host(
        name=name, address=told["hostname"], port=int(told["port"]), user=told["user"], key=told["identityfile"],
        sudo=told["user"] != "root", owns_clock=True,
    )  # fmt: skip


def meeting(told: Mapping[str, str]) -> dict[str, str]:
    """For each machine its address in a network where all have one, and no two the same. `told`: what `ip -j address` says there.

    VirtualBox gives every machine the same address in its first network, where they do not see each other.
    """
    found: dict[ipaddress.IPv4Network, dict[str, str]] = {}
    for name, listing in told.items():
        for row in (row for link in json.loads(listing) for row in link["addr_info"]):
            network = ipaddress.IPv4Network(f"{row['local']}/{row['prefixlen']}", strict=False)
            found.setdefault(network, {}).setdefault(name, row["local"])
    for addresses in found.values():
        if len(set(addresses.values())) == len(told):
            return addresses
    raise PlanError(
        f"there is no network in which each of {', '.join(told)} has an address of its own: give them a private_network in the Vagrantfile."
    )


def _require() -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise WorldError(
            f"hosts of kind vagrant need {', '.join(missing)}, not found here: install {', '.join(TOOLS[tool] for tool in missing)} "
            "(`scripts/system-packages vagrant` does)."
        )


def _ssh_config() -> str:
    try:
        done = subprocess.run(
            ["vagrant", "ssh-config"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise WorldError(f"`vagrant ssh-config` did not end within {TIMEOUT_S:g} s.") from None
    if done.returncode != 0:
        said = " ".join(done.stderr.split()).split(". ")[0]
        raise WorldError(
            f"`vagrant ssh-config` says: {said.rstrip('.') or 'nothing'}. Make the machines with `vagrant up`, in the directory of the Vagrantfile."
        )
    return done.stdout


def _keys(machine: Host) -> list[str]:
    """Its host keys, as `type key`. Raises WorldError if nobody answers."""
    scanned = debian.run(
        "ssh-keyscan", "-T", SCAN_TIMEOUT_S, "-p", str(machine.port), machine.address, env=os.environ
    ).splitlines()
    keys = [line.split(maxsplit=1)[1] for line in scanned if line and not line.startswith("#")]
    if not keys:
        raise WorldError(
            f"{machine.label} does not answer SSH: is it up? `vagrant status` tells, `vagrant up` starts it."
        )
    return keys


def _door(machine: Host) -> str:
    """As known_hosts names it."""
    return machine.address if machine.port == 22 else f"[{machine.address}]:{machine.port}"


def _ask(machines: Sequence[Host], command: str) -> dict[str, str]:
    """What a command says on each."""
    from harness.control import Control  # which itself needs what an inventory is

    control = Control({machine.name: machine for machine in machines})
    try:
        return control.each(lambda _, connection: connection.shell(command).stdout)
    finally:
        control.close()
