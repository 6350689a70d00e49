"""Nodes that are cut off and healed: what each holds meanwhile, and what is kept for it."""

from __future__ import annotations

from kvstore.events import Record
from kvstore.hints import PREFIX
from tests.kvstore.cluster import Cluster

QUIET = {"anti_entropy_ms": 0.0, "scrub_ms": 0.0}
MORTAL = {
    "anti_entropy_ms": 1_000.0,
    "tombstone_grace_ms": 20_000.0,
    "max_clock_skew_ms": 1_000.0,
    "scrub_ms": 0.0,
}


def cut_off(made: Cluster, name: str) -> None:
    for other in made.machines:
        made.network.cut |= {(name, other), (other, name)}


def heal(made: Cluster) -> None:
    made.network.cut.clear()


def held(made: Cluster, name: str, key: bytes) -> Record | None:
    return made.machines[name].disk.get("default", key)


def hints_for(made: Cluster, target: str) -> list[Record]:
    return [
        record
        for machine in made.machines.values()
        for record in machine.disk.records()
        if record.bucket == PREFIX + target
    ]


def suspected(made: Cluster, name: str) -> None:
    """Let time pass until the others suspect this node."""
    made.idle(6_000)
    others = [each for each in made.machines if each != name and made.machines[each].node is not None]
    assert all(not made.node(each).upkeep.alive(name) for each in others)


def contents(made: Cluster, name: str) -> list[Record]:
    return [record for record in made.machines[name].disk.records() if not record.bucket.startswith("!")]
