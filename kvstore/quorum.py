"""Which replicas have answered, and whether they are enough.

While a partition moves, a write needs a majority of its old replicas and one of the new ones (`sets`): never a count over
both, which {A, B, C} -> {A, D, E} shows to be neither safe nor available.

A quorum is a *set* of replicas, never a count of messages: the network doubles replies, and two answers of
one replica are one member of the set. Replies of strangers are nobody's.

    replicas  A  B  C      need 2
    answers   ●        ●   A, A again, C    ->  satisfied
    refusals     ×         B                ->  hopeless once fewer than `need` can still answer
"""

from __future__ import annotations

from typing import Any


class Quorum:
    """The answers to one request sent to `replicas`, of which `need` must agree to serve.

    With `sets`, (replicas, need) for each, every set must have so many; `sets` None is one set, the usual case.
    """

    __slots__ = ("answers", "need", "refusals", "replicas", "sets")

    def __init__(self, replicas: tuple[str, ...], need: int) -> None:
        self.replicas = replicas
        self.need = need
        self.sets: tuple[tuple[tuple[str, ...], int], ...] | None = None
        self.answers: dict[str, Any] = {}  # in the order they came
        self.refusals: dict[str, Any] = {}

    def answer(self, replica: str, reply: Any) -> bool:
        """Count a reply; False if it changes nothing (a double, a stranger, after a refusal)."""
        if replica in self.answers or replica in self.refusals or replica not in self.replicas:
            return False
        self.answers[replica] = reply
        return True

    def refuse(self, replica: str, reply: Any) -> bool:
        """Count a refusal; False if it changes nothing."""
        if replica in self.answers or replica in self.refusals or replica not in self.replicas:
            return False
        self.refusals[replica] = reply
        return True

    @property
    def satisfied(self) -> bool:
        """Enough replicas have answered."""
        if self.sets is None:
            return len(self.answers) >= self.need
        return all(sum(r in self.answers for r in replicas) >= need for replicas, need in self.sets)

    @property
    def hopeless(self) -> bool:
        """So many have refused that enough can never answer."""
        if self.sets is None:
            return len(self.replicas) - len(self.refusals) < self.need
        return any(
            len(replicas) - sum(r in self.refusals for r in replicas) < need for replicas, need in self.sets
        )

    @property
    def complete(self) -> bool:
        """Every replica has answered or refused."""
        return len(self.answers) + len(self.refusals) == len(self.replicas)
