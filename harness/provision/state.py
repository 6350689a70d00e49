"""What is known on this machine of clusters that are up, half up, or left behind by a crash.

    /run/quorate/lock                  one taker of subnets at a time; goes with the last cluster
    /run/quorate/<name>/cluster.toml   written first of all: name, number of hosts, subnet
                       /inventory.toml written last: the cluster is ready
                       /<node>.log     what its init and sshd said
    /var/lib/quorate/hosts/<name>/     the nodes' data directories, on the real disk, so that fsync is real

A cluster is its name: every namespace is called `quorate.<name>.<node>`, the control group of its hosts `quorate.<name>`, so
it can be found and removed with no file left at all.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.plan import PlanError
from harness.provision.inventory import NAME, InventoryError, load
from harness.worlds import WorldError

STATE_ROOT: Final = Path("/run/quorate")
DISK_ROOT: Final = Path("/var/lib/quorate/hosts")
NETNS_ROOT: Final = Path("/run/netns")
CGROUP_ROOT: Final = Path("/sys/fs/cgroup")
SUBNETS: Final = tuple(ipaddress.IPv4Network(f"10.213.{number}.0/24") for number in range(256))


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster found on this machine. `ready`: `up` finished and it is there still; `subnet`, `kind` None if unknown.

    `readable`: this account may look at it. Clusters are root's, and of another's nothing but the name is known.
    """

    name: str
    nodes: tuple[str, ...]
    subnet: str | None
    ready: bool
    kind: str | None = None
    readable: bool = True


def check_name(name: str) -> None:
    """Raise PlanError unless it can name a cluster."""
    if not NAME.fullmatch(name):
        raise PlanError(
            f"{name!r} cannot name a cluster: use lower-case letters, digits and -, at most 31, a letter first."
        )


def namespace_prefix(name: str) -> str:
    """What the names of the cluster's namespaces begin with. No cluster name has a dot, so none is a prefix of another's."""
    return f"quorate.{name}."


def name_of_cgroup(name: str) -> str:
    """The control group, in each hierarchy that a kind uses, that all of the cluster's hosts are in."""
    return f"quorate.{name}"


def namespaces(name: str) -> list[str]:
    """Names of the cluster's network namespaces that exist now."""
    if not NETNS_ROOT.is_dir():
        return []
    return sorted(entry for entry in os.listdir(NETNS_ROOT) if entry.startswith(namespace_prefix(name)))


def cgroups(name: str) -> list[Path]:
    """The control groups that exist now of the cluster's hosts, one in each hierarchy."""
    return sorted(
        place
        for place in (CGROUP_ROOT / name_of_cgroup(name), *CGROUP_ROOT.glob(f"*/{name_of_cgroup(name)}"))
        if place.is_dir()
    )


def list_clusters() -> list[Cluster]:
    """Every cluster of which there is any trace, by name."""
    names = {
        path.name
        for root in (STATE_ROOT, DISK_ROOT)
        if root.is_dir()
        for path in root.iterdir()
        if path.is_dir()
    }
    if NETNS_ROOT.is_dir():
        names |= {
            entry.split(".")[1]
            for entry in os.listdir(NETNS_ROOT)
            if entry.startswith("quorate.") and entry.count(".") == 2
        }
    return [_find(name) for name in sorted(names) if NAME.fullmatch(name)]


def _find(name: str) -> Cluster:
    """What its files and namespaces say. Hosts of kind netns have a namespace each; of the others the inventory tells."""
    prefix, found = namespace_prefix(name), namespaces(name)
    nodes = [entry.removeprefix(prefix) for entry in found if entry != f"{prefix}sw"]
    nodes.sort(key=lambda node: (len(node), node))
    if (STATE_ROOT / name).is_dir() and not os.access(STATE_ROOT / name, os.R_OK | os.X_OK):
        return Cluster(name, (), None, ready=False, readable=False)
    kind, inventory = _told(name, "kind"), STATE_ROOT / name / "inventory.toml"
    if found and kind != "netns":
        with suppress(InventoryError):  # there is none yet, or none any more
            nodes = [host.name for host in load(inventory).hosts]
    return Cluster(name, tuple(nodes), _told(name, "subnet"), inventory.exists() and bool(nodes), kind)


def _told(name: str, what: str) -> str | None:
    try:
        value = tomllib.loads((STATE_ROOT / name / "cluster.toml").read_text()).get(what)
    except (OSError, tomllib.TOMLDecodeError):
        return None
    return value if isinstance(value, str) else None


@contextmanager
def lock() -> Iterator[None]:
    """Held while a subnet is chosen or a cluster's state appears or goes. The kernel frees it when the holder dies.

    The file goes with the last cluster: who waited for it meanwhile holds one that nobody else can find, and begins anew.
    """
    while True:
        STATE_ROOT.mkdir(parents=True, exist_ok=True)
        try:
            held = os.open(STATE_ROOT / "lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:  # its directory has just gone
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            if os.fstat(held).st_nlink:
                yield
                return
        finally:
            os.close(held)


def claim(kind: str, name: str, count: int) -> ipaddress.IPv4Network:
    """Reserve the name and a subnet that nothing on this machine uses. Raises PlanError if the name is taken."""
    with lock():
        if (STATE_ROOT / name).exists() or namespaces(name) or cgroups(name):
            raise PlanError(
                f"cluster {name!r} exists already: `quorate hosts down --name {name}` removes it."
            )
        subnet = _free_subnet()
        (STATE_ROOT / name).mkdir(mode=0o700)
        text = f"name = {json.dumps(name)}\nkind = {json.dumps(kind)}\nnodes = {count}\nsubnet = {json.dumps(str(subnet))}\n"
        (STATE_ROOT / name / "cluster.toml").write_text(text)
    return subnet


def forget(name: str) -> None:
    """Remove the cluster's files, and with the last cluster the directories they were in. To be called with the lock held."""
    for root in (DISK_ROOT, STATE_ROOT):
        shutil.rmtree(root / name, ignore_errors=True)
        if (root / name).exists():
            raise WorldError(
                f"cannot remove {root / name}: is something still using it? Look with `fuser -vm {root / name}`."
            )
    if os.listdir(STATE_ROOT) == ["lock"]:
        (STATE_ROOT / "lock").unlink()
        for empty in (STATE_ROOT, DISK_ROOT, DISK_ROOT.parent):
            with suppress(OSError):  # images are kept, or there is no such directory
                empty.rmdir()


def _free_subnet() -> ipaddress.IPv4Network:
    claimed = [cluster.subnet for cluster in list_clusters() if cluster.subnet is not None]
    listing = subprocess.run(
        ["ip", "-j", "-4", "route"], check=True, capture_output=True, text=True, timeout=10
    ).stdout
    routes = [row["dst"] for row in json.loads(listing or "[]") if row["dst"] != "default"]
    used = [ipaddress.IPv4Network(text, strict=False) for text in (*claimed, *routes)]
    for subnet in SUBNETS:
        if not any(subnet.overlaps(other) for other in used):
            return subnet
    raise WorldError(
        f"no subnet of {SUBNETS[0]} to {SUBNETS[-1]} is free: `quorate hosts list` names clusters to take down."
    )
