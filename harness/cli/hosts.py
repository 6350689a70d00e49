"""`quorate hosts`: local hosts, up, down and listed."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from harness.cli.console import BROKEN, emit, out, say, waiting
from harness.provision import down as take_down
from harness.provision import find_cluster, find_inventory, inventory_of, list_clusters
from harness.provision import up as bring_up


def up(kind: str, count: int, name: str, *, json: bool) -> int:
    """Make hosts; the answer is the path of the inventory."""
    done = 0
    with waiting(f"making {count} hosts of kind {kind}", quiet=json) as tick:

        def log(text: str) -> None:
            nonlocal done
            done += 1
            tick(done / (count + 1), text)

        inventory = bring_up(kind, name, count, log=log)
    path = inventory_of(kind, name)
    if json:
        emit({"cluster": name, "inventory": str(path), "hosts": [plain(host) for host in inventory.hosts]})
    else:
        print(path)
        which, remove = f"--cluster {name}", f"quorate hosts down --name {name}"
        if kind == "vagrant":
            which, remove = f"--inventory {path}", "vagrant destroy"
        say(
            f"{len(inventory.hosts)} hosts are up; run on them with `quorate run PLAN --world hosts {which}`, remove them with `{remove}`"
        )
    return 0


def compose(folder: Path, name: str, count: int, subnet: str, *, json: bool) -> int:
    """Write a compose file and all it needs; the answer is the path of the inventory."""
    from harness.provision.compose import write

    with waiting(f"writing {count} hosts to {folder}", quiet=json) as tick:
        inventory = write(folder, name, count, subnet, log=lambda text: tick(0.5, text))
    path = folder.absolute() / "inventory.toml"
    if json:
        emit({"cluster": name, "inventory": str(path), "hosts": [plain(host) for host in inventory.hosts]})
        return 0
    print(path)
    file = folder / "docker-compose.yml"
    say(
        f"start them with `docker-compose -f {file} up -d --build`, run on them with `quorate run PLAN --world hosts --inventory {path}`"
    )
    return 0


def down(name: str | None, *, json: bool) -> int:
    """Remove a cluster; without a name, the only one."""
    if name is None:
        name = find_cluster()
    if name is None:
        emit({"cluster": None, "removed": False}) if json else say(
            "there is no cluster, so nothing to remove"
        )
        return 0
    with waiting(f"removing the cluster {name}", quiet=json) as tick:
        take_down(name, log=lambda text: tick(0.5, text))
    emit({"cluster": name, "removed": True}) if json else say(f"cluster {name}: nothing is left of it")
    return 0


def heal(name: str | None, inventory: Path | None, *, json: bool) -> int:
    """Remove every fault of ours from the hosts, and say what was found. The exit status is 255 if something is left."""
    from harness.control import Control
    from harness.provision import load
    from harness.worlds.hosts.lease import heal as heal_one
    from harness.worlds.hosts.world import RUN_DIRECTORY

    hosts = load(inventory or find_inventory(name)).hosts
    control = Control({host.name: host for host in hosts})
    try:
        with waiting(f"healing {len(hosts)} hosts", quiet=json):
            found = control.each(lambda _, connection: heal_one(connection, RUN_DIRECTORY))
    finally:
        control.close()
    left = [node for node, lines in found.items() if any("LEFT" in line for line in lines)]
    if json:
        emit({"hosts": found, "left": left})
    for node, lines in found.items() if not json else ():
        say(f"{node}: {'; '.join(lines) or 'no fault of ours'}")
    return BROKEN if left else 0


def show_list(*, json: bool) -> int:
    """The clusters."""
    clusters = list_clusters()
    if json:
        emit({"clusters": [plain(cluster) for cluster in clusters]})
        return 0
    if not clusters:
        say("no cluster is up; make one with `sudo quorate hosts up --kind netns -n 5`")
        return 0
    from rich.table import Table

    rows = [{key: in_words(value) for key, value in plain(cluster).items()} for cluster in clusters]
    table = Table(*rows[0], box=None, header_style="bold")
    for row in rows:
        table.add_row(*row.values())
    out().print(table)
    return 0


def in_words(value: Any) -> str:
    """A cell of the list."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def plain(value: Any) -> dict[str, Any]:
    """A dataclass as plain data."""
    assert is_dataclass(value)
    assert not isinstance(value, type)
    return asdict(value)
