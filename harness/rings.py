"""ring.json: who held what during a run, which changes of it went on, and when each node knew of them.

    looks (harness/worlds/rings.py) ──epoch, members, lists──► stages     a new one where members, lists or the change under way are others
                                                          └──► nodes      when each came to which epoch
    records of the history ──keys──► partitions

A *ring* cuts the keys into partitions and gives each a preference list: the nodes that hold it, the first one first (Dynamo, SOSP'07, section 6.2).
A system tells of it by `harness.system.RingedSystem`. Of one that does not, the file says so. `docs/results.md` has the meaning of each name.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

from harness.system import Ring

FILE: Final = "ring.json"
SCHEMA: Final = 1
KEYS_MAX: Final = 10_000


class RingLog:
    """What was seen, in order. `partition_of` a key as the history has it; None where a key cannot be told."""

    def __init__(self, partition_of: Callable[[Any], int | None]) -> None:
        self._partition_of = partition_of
        self._stages: list[dict[str, Any]] = []
        self._newest: Ring | None = None
        self._nodes: dict[str, list[list[int]]] = {}
        self._keys: dict[Hashable, int] = {}

    def use(self, key: Any) -> None:
        """A key that an operation has."""
        if isinstance(key, Hashable) and key not in self._keys and len(self._keys) < KEYS_MAX:
            partition = self._partition_of(key)
            if partition is not None:
                self._keys[key] = partition

    def see(self, at_ns: int, rings: Mapping[str, Ring]) -> None:
        """What nodes know at a time. Nobody goes back to an earlier epoch, so the newest is what counts."""
        for node, ring in rings.items():
            known = self._nodes.setdefault(node, [])
            if not known or known[-1][1] != ring.epoch:
                known.append([at_ns, ring.epoch])
        newest = max(rings.values(), key=lambda ring: ring.epoch, default=None)
        if newest is None or (self._newest is not None and newest.epoch <= self._newest.epoch):
            return
        if self._newest is not None and self._newest[1:] == newest[1:]:
            self._stages[-1]["epochs"][1] = newest.epoch
        else:
            lists, wanted = ([list(names) for names in table] for table in (newest.lists, newest.wanted))
            self._stages.append({"from_ns": at_ns, "epochs": [newest.epoch, newest.epoch], "members": list(newest.members), "change": newest.change, "lists": lists, "wanted": wanted})  # fmt: skip
        self._newest = newest

    def as_json(self) -> dict[str, Any]:
        """The file."""
        return {"schema": SCHEMA, "stages": self._stages, "nodes": self._nodes, "keys": {str(key): partition for key, partition in self._keys.items()}}  # fmt: skip


def told(log: RingLog | None, system: str) -> dict[str, Any]:
    """The file, also of a system without a ring."""
    if log is None:
        return {"schema": SCHEMA, "stages": [], "nodes": {}, "keys": {}, "why": f"the system {system} has no ring, or does not tell of it"}  # fmt: skip
    return log.as_json()
