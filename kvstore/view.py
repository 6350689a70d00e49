"""What a node makes of the ring document it has adopted: for each key whom to ask, and who must have answered.

    View ──plans(n)[partition]──► Plan(epoch, replicas, reads, writes)
      ▲                                         │      └─ sets: a majority of every one of them, `kvstore.quorum`
      └── adopt(document), once it is durable   └─ whom to send to

Shared by node, replica and coordinator of one node. Nothing here goes back to an earlier epoch.
"""

from __future__ import annotations

from typing import NamedTuple

from kvstore.document import BOTH_OLD, NEW, OLD, Document
from kvstore.invariants import BrokenInvariantError
from kvstore.ring import PARTITIONS, Ring

Sets = tuple[tuple[str, ...], ...]


class Plan(NamedTuple):
    """How one partition is served at one epoch. One set in `reads` and `writes` unless it is in transit."""

    epoch: int
    replicas: tuple[str, ...]
    reads: Sets
    writes: Sets

    @property
    def moving(self) -> bool:
        """In transit: two sets must agree to a write, and no read takes a short cut."""
        return len(self.writes) > 1


def union(sets: Sets) -> tuple[str, ...]:
    """Every node of these sets once, in the order they stand."""
    return tuple(dict.fromkeys(node for nodes in sets for node in nodes))


class View:
    """The ring as this node knows it. `Ring` and the tables for clients are made anew at each epoch."""

    __slots__ = ("_dual", "_plans", "document", "joined", "name", "peers", "ring")

    def __init__(self, name: str, document: Document, bugs: frozenset[str] = frozenset()) -> None:
        self.name = name
        self._dual = "join.no_dual_write" not in bugs
        self._plans: dict[int, list[Plan | None]] = {}  # made when they are asked for
        self._take(document)

    def _take(self, document: Document) -> None:
        self.document = document
        self.ring = Ring(document.owners, document.epoch)
        self.joined = document.member(self.name) is not None
        self.peers = tuple(name for name in document.names if name != self.name)  # the other members

    @property
    def epoch(self) -> int:
        """The epoch adopted."""
        return self.document.epoch

    @property
    def members(self) -> tuple[str, ...]:
        """Every member's name."""
        return self.document.names

    def since(self, partition: int) -> int:
        """The epoch at which the partition last changed: what its requests carry."""
        return self.document.since[partition]

    def blank(self, partition: int) -> bool:
        """Whether this node has lost its data of the partition and must not be asked for it."""
        change = self.document.change
        return change is not None and change.lost == self.name and self.document.blank(self.name, partition)

    def plan(self, partition: int, n: int) -> Plan:
        """How a partition is served for buckets of n replicas."""
        plans = self._plans.get(n)
        if plans is None:
            plans = self._plans[n] = [None] * (PARTITIONS + 1)
        plan = plans[partition]
        if plan is None:
            plan = plans[partition] = self._made(partition, n)
        return plan

    @property
    def changing(self) -> bool:
        """Whether a change of the ring is under way."""
        return self.document.change is not None

    @property
    def under_way(self) -> str:
        """`join n6`, `replace n2 by n7`, `leave n4, taken back`; nothing while nothing changes."""
        change = self.document.change
        if change is None:
            return ""
        lost = f"{change.lost} by " if change.lost and change.lost != change.node else ""
        return f"{change.kind} {lost}{change.node}".strip() + (", taken back" if change.back else "")

    @property
    def departing(self) -> str:
        """The member that goes with this change and has its data still; nobody, if none does."""
        change = self.document.change
        goes = change is not None and change.kind == ("join" if change.back else "leave")
        return change.node if goes and change is not None else ""

    def preferences(self, n: int) -> tuple[tuple[str, ...], ...]:
        """For each partition every node that holds it, or is about to."""
        return tuple(self.plan(partition, n).replicas for partition in range(PARTITIONS))

    def adopt(self, document: Document) -> None:
        """Use a document that is durable here. Partitions that did not change keep their plans."""
        if document.epoch < self.document.epoch:
            raise BrokenInvariantError(
                f"the epoch would go back from {self.document.epoch} to {document.epoch}"
            )
        before = self.document.since
        changed = [p for p, epoch in enumerate(document.since) if epoch != before[p]]
        self._take(document)
        for plans in self._plans.values():
            for p in changed:
                plans[p] = None

    def _made(self, partition: int, n: int) -> Plan:
        document = self.document
        old, new = document.sets(partition, n)
        step, epoch = document.step(partition), document.since[partition]
        if step == OLD:
            return Plan(epoch, old, (old,), (old,))
        if step == NEW:
            return Plan(epoch, new, (new,), (new,))
        reads = old if step == BOTH_OLD else new
        writes = (old, new) if self._dual else (reads,)
        return Plan(epoch, union((reads, *writes)), (reads,), writes)
