"""Runs on hosts for whoever makes many: campaigns, matrices, pytest. Each process has hosts of its own.

    Place: kind = "netns"          local hosts of this process, made at the first run, used again by the next       own-<maker>-<process>
           inventory = "lab.toml"  hosts that are there; one run at a time, whoever asks

    plan, Place, folder ─► run folder ─► Made        trouble with the world ─► our hosts are taken down: the next try gets fresh ones

A seed says on hosts what is asked for and when; what happens is up to kernels and clocks. No run there is claimed to be another one again.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Final

from harness.made import Made, read_folder
from harness.plan import Plan, PlanError, nearest
from harness.provision import MAKERS, load
from harness.provision.local import require_root
from harness.provision.own import OwnHosts, sweep, sweep_left
from harness.results import OK, VIOLATION
from harness.runner import run
from harness.system import SystemFault
from harness.worlds import WorldError

SIM, HOSTS = "sim", "hosts"
WORLDS: Final = (SIM, HOSTS)
PLACE_KEYS: Final = ("kind", "inventory")
TRIES_MAX: Final = 3  # of a run for whose end the machine may be to blame


@dataclass(frozen=True, slots=True)
class Place:
    """Which hosts: those of an inventory if it is named, else local ones of a kind."""

    kind: str = "netns"
    inventory: str = ""

    def refuse(self, nodes: int) -> None:
        """Raise PlanError or WorldError if a plan of so many nodes cannot be run there, as far as it can be told beforehand."""
        if self.inventory:
            load(Path(self.inventory)).first(nodes)
        else:
            require_root()


def place_of(kind: str | None, inventory: str | None, folder: Path, plan: Plan) -> Place:
    """What a file says of hosts; paths are from its folder. Says it nothing, the plan's own [hosts] counts. Raises PlanError."""
    if kind is not None and inventory is not None:
        raise PlanError(
            "kind and inventory exclude each other: hosts are made, or are there; leave one of them out"
        )
    if kind is not None and kind not in MAKERS:
        raise PlanError(f"hosts of kind {kind!r} are not made by quorate{nearest(kind, tuple(MAKERS))}")
    if inventory is not None:
        return Place(inventory=str(folder / inventory))
    if kind is None and "inventory" in plan.hosts:
        return Place(inventory=str(plan.hosts["inventory"]))
    return Place(kind=kind or "netns")


def run_on_hosts(plan: Plan, place: Place, folder: Path) -> Made:
    """Run it there; its run folder is made in `folder`. Raises PlanError and WorldError, and KeyboardInterrupt when it was stopped."""
    clean = False
    try:
        with _inventory(place, plan.nodes) as inventory:
            outcome = run(plan, world=HOSTS, out=folder, inventory=inventory)
        if outcome.interrupted:
            raise KeyboardInterrupt
        clean = outcome.results["class"] in (OK, VIOLATION)
    except SystemFault as error:
        raise WorldError(str(error)) from error
    finally:
        if not clean:
            take_down()
    return read_folder(outcome.folder, outcome.results, outcome.verdict)


@contextmanager
def _inventory(place: Place, nodes: int) -> Iterator[Path]:
    """The inventory file; hosts that others may use, too, are held meanwhile."""
    if not place.inventory:
        yield own().inventory(place.kind, nodes)
        return
    load(Path(place.inventory)).first(nodes)
    with open(place.inventory, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield Path(place.inventory)


def tried_on_hosts(plan: Plan, place: Place, folder: Path) -> Made:
    """The same, tried again on fresh hosts after trouble with the world; raises that of the last try."""
    for _ in range(TRIES_MAX - 1):
        with suppress(WorldError):
            return run_on_hosts(plan, place, folder)
    return run_on_hosts(plan, place, folder)


_own: list[OwnHosts] = []


def own() -> OwnHosts:
    """The hosts of this process. They are taken down when it ends by itself; of a worker they are called after who began the work."""
    if not _own:
        parent = parent_process()
        maker = os.getpid() if parent is None else parent.pid
        assert maker is not None
        if parent is None:  # a worker's maker has done it
            sweep_left()
        _own.append(OwnHosts(maker))
        Finalize(None, take_down, exitpriority=1)
    return _own[0]


def take_down() -> None:
    """The hosts of this process. Idempotent."""
    for hosts in _own:
        hosts.down()


@contextmanager
def cleaned(wanted: bool) -> Iterator[None]:
    """What hosts this process and its workers make meanwhile are gone at the end, however it comes; before that, those that killed ones left."""
    if not wanted:
        yield
        return
    sweep_left()
    try:
        yield
    finally:
        take_down()
        sweep(os.getpid())
