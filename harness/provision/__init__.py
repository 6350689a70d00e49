"""Making hosts: `up` gives an Inventory, `down` needs nothing but the cluster's name.

    netns    network namespaces: up in half a second, one kernel and one clock for all
    docker   containers of a small Debian, under a Docker daemon of their own
    qemu     emulated machines: slow, each with a kernel and a clock of its own
    vagrant  machines of a Vagrantfile that are up: nothing is made but an inventory of them

Other hosts are used through an inventory written by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.plan import PlanError
from harness.provision import docker, local, netns, qemu, vagrant
from harness.provision.inventory import Inventory, InventoryError, load
from harness.provision.state import STATE_ROOT, Cluster, list_clusters

MAKERS = {"netns": netns.up, "docker": docker.up, "qemu": qemu.up, "vagrant": vagrant.up}

__all__ = [
    "MAKERS",
    "Cluster",
    "Inventory",
    "InventoryError",
    "down",
    "find_cluster",
    "find_inventory",
    "list_clusters",
    "load",
    "up",
]


def up(kind: str, name: str, count: int, *, log: Callable[[str], None] = lambda text: None) -> Inventory:
    """Make `count` hosts. Raises PlanError for a kind that is not made by code, WorldError if it fails."""
    if kind not in MAKERS:
        raise PlanError(
            f"hosts of kind {kind!r} are not made by quorate; there are: {', '.join(MAKERS)}. "
            "For other hosts write an inventory of them and give it with --inventory."
        )
    return MAKERS[kind](name, count, log=log)


def down(name: str, *, log: Callable[[str], None] = lambda text: None) -> None:
    """Remove every trace of a cluster made by `up`. Idempotent."""
    local.down(name, log=log)


def find_cluster() -> str | None:
    """The only cluster of which there is any trace, None if there is none. Raises PlanError if there are several."""
    names = [cluster.name for cluster in list_clusters()]
    if len(names) > 1:
        raise PlanError(f"there are several clusters ({', '.join(names)}): say which with --name")
    return names[0] if names else None


def inventory_of(kind: str, name: str) -> Path:
    """Where the inventory is of a cluster that was just made."""
    return vagrant.inventory_file() if kind == "vagrant" else find_inventory(name)


def find_inventory(name: str | None = None) -> Path:
    """The inventory file of a cluster that is up; without a name, of the only one. Raises InventoryError."""
    clusters = list_clusters()
    ready = [cluster.name for cluster in clusters if cluster.ready]
    if name is None and len(ready) == 1:
        name = ready[0]
    if name in ready:
        return STATE_ROOT / name / "inventory.toml"
    if locked := [each.name for each in clusters if not each.readable and name in (None, each.name)]:
        raise InventoryError(f"the cluster {locked[0]} is another account's: run it with sudo.")
    if name is not None:
        raise InventoryError(f"no cluster {name!r} is up; there are: {', '.join(ready) or 'none'}.")
    if ready:
        raise InventoryError(
            f"several clusters are up ({', '.join(ready)}): name one with --cluster or --inventory."
        )
    raise InventoryError(
        "no hosts are up: make some with `quorate hosts up --kind netns -n 5`, or give --inventory."
    )
