"""Inventory: the SSH hosts a run may use, as data. Written by `quorate hosts up`, or by hand for hosts you have.

    cluster = "lab"                       [[hosts]]                [[hosts]]
    user = "admin"                        name = "n1"              name = "n2"
    key = "~/.ssh/id_ed25519"             address = "192.0.2.11"   address = "192.0.2.12"
    sudo = true

What stands at the top holds for every host that does not say otherwise. A host key that is not in `known_hosts` is
refused: whoever answers in a node's place could otherwise hand us any history it likes.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from harness.plan import PlanError

KINDS = ("docker", "netns", "qemu", "ssh", "vagrant")
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}")


class InventoryError(PlanError):
    """An inventory that cannot be used: which, where in it, and what to do. Exit status 254."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host that answers SSH. `address` is an IPv4 address or a name; peers reach the host by it too.

    `sudo`: commands need `sudo -n` to be root. `owns_clock`: its wall clock is its own and no other host shares it
    (true for a machine, false for a network namespace). `slowness`: time limits and leases are so many times longer than elsewhere (10.0 for a
    machine that is emulated). `key` "" means: ask the SSH agent.
    """

    name: str
    address: str
    port: int = 22
    user: str = "root"
    key: str = ""
    known_hosts: str = "~/.ssh/known_hosts"
    sudo: bool = False
    owns_clock: bool = False
    slowness: float = 1.0

    @property
    def label(self) -> str:
        """How messages name it: `n3 (10.213.1.3:22)`."""
        return f"{self.name} ({self.address}:{self.port})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Hosts of one cluster, in order: the first host becomes the plan's first node."""

    cluster: str
    kind: str  # one of KINDS: "ssh" is written by hand, the others are made by `quorate hosts up`
    hosts: tuple[Host, ...]

    def first(self, count: int) -> tuple[Host, ...]:
        """The first `count` hosts. Raises InventoryError if there are fewer."""
        if count > len(self.hosts):
            raise InventoryError(
                f"the plan wants {count} nodes and cluster {self.cluster!r} has {len(self.hosts)} hosts: "
                f"lower `nodes`, or make more hosts with `quorate hosts up -n {count}`."
            )
        return self.hosts[:count]

    def dumps(self) -> str:
        """The inventory as TOML, as `load` reads it."""
        lines = [f"cluster = {json.dumps(self.cluster)}", f"kind = {json.dumps(self.kind)}"]
        for host in self.hosts:
            lines += [
                "",
                "[[hosts]]",
                *(f"{name} = {json.dumps(value)}" for name, value in asdict(host).items()),
            ]
        return "\n".join(lines) + "\n"

    def dump(self, path: Path) -> None:
        """Write it, so that a reader finds either the old file or the whole new one."""
        unfinished = path.with_name(f".{path.name}.new")
        unfinished.write_text(self.dumps())
        unfinished.replace(path)


def load(path: Path) -> Inventory:
    """Read and check an inventory file. Raises InventoryError."""
    try:
        text = path.read_text()
    except OSError as error:
        raise InventoryError(
            f"cannot read the inventory {path}: {error.strerror}. Make hosts with `quorate hosts up --kind netns -n 5`."
        ) from None
    except UnicodeDecodeError:
        raise InventoryError(f"{path} is not a text file; an inventory is TOML.") from None
    return loads(text, where=str(path))


def loads(text: str, *, where: str = "the inventory") -> Inventory:
    """Check an inventory given as TOML text. Raises InventoryError with line and column, or with the host's position."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InventoryError(f"{where} is not valid TOML: {error}.") from None
    types = {entry.name: entry.type for entry in fields(Host)}
    defaults = {name: value for name, value in table.items() if name not in ("cluster", "kind", "hosts")}
    if unknown := sorted((set(defaults) - set(types)) | (set(defaults) & {"name", "address"})):
        raise InventoryError(
            f"{where}: unknown setting {unknown[0]!r} at the top; there are: cluster, kind, hosts, "
            f"{', '.join(name for name in types if name not in ('name', 'address'))}."
        )
    rows = table.get("hosts")
    if not isinstance(rows, list) or not rows:
        raise InventoryError(f"{where} names no host: add a [[hosts]] table with name and address for each.")
    hosts = tuple(
        _host(f"{where}, host {number}", {**defaults, **_table(where, row)})
        for number, row in enumerate(rows, 1)
    )
    _refuse_twins(where, hosts)
    cluster, kind = table.get("cluster", "hosts"), table.get("kind", "ssh")
    if not isinstance(cluster, str) or not NAME.fullmatch(cluster):
        raise InventoryError(f"{where}: cluster must be a short lower-case name, not {cluster!r}.")
    if kind not in KINDS:
        raise InventoryError(f"{where}: kind must be one of {', '.join(KINDS)}, not {kind!r}.")
    return Inventory(cluster=cluster, kind=kind, hosts=hosts)


def _table(where: str, row: object) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise InventoryError(f"{where}: hosts must be [[hosts]] tables, not {row!r}.")
    return row


def _host(where: str, row: Mapping[str, Any]) -> Host:
    """One host from its row, every field checked."""
    expected: dict[str, type] = {
        "name": str,
        "address": str,
        "port": int,
        "user": str,
        "key": str,
        "known_hosts": str,
    }
    expected |= {"sudo": bool, "owns_clock": bool, "slowness": float}
    for name, value in row.items():
        if name not in expected:
            raise InventoryError(f"{where}: unknown setting {name!r}; there are: {', '.join(expected)}.")
        if type(value) is not expected[name]:
            raise InventoryError(f"{where}: {name} must be of type {expected[name].__name__}, not {value!r}.")
    for name, pattern in (("name", HOST_NAME), ("address", ADDRESS)):
        if name not in row:
            raise InventoryError(f"{where} has no {name}.")
        if not pattern.fullmatch(row[name]):
            raise InventoryError(
                f"{where}: {name} {row[name]!r} is not usable (an IPv4 address or a plain name is)."
            )
    if not 1 <= row.get("slowness", 1.0) <= 100:
        raise InventoryError(f"{where}: slowness is from 1.0 to 100.0, not {row['slowness']}.")
    if not 1 <= row.get("port", 22) <= 65535:
        raise InventoryError(f"{where}: port {row['port']} is not between 1 and 65535.")
    return Host(**row)


def _refuse_twins(where: str, hosts: tuple[Host, ...]) -> None:
    """Two nodes on one host would share rules, ports and faults."""
    for what in ("name", "address"):
        seen: set[str] = set()
        for host in hosts:
            value = getattr(host, what)
            if value in seen:
                raise InventoryError(
                    f"{where}: two hosts have the {what} {value!r}; each node needs a host of its own."
                )
            seen.add(value)
