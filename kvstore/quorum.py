"""Which replicas have answered, and whether they are enough.

A quorum is a *set* of replicas, never a count of messages: the network doubles replies, and two answers of
one replica are one member of the set. Replies of strangers are nobody's.

    replicas  A  B  C      need 2
    answers   ●        ●   A, A again, C    ->  satisfied
    refusals     ×         B                ->  hopeless once fewer than `need` can still answer
"""

from __future__ import annotations

from typing import Any


class Quorum:
    """The answers to one request sent to `replicas`, of which `need` must agree to serve."""

    __slots__ = ("answers", "need", "refusals", "replicas")

    def __init__(self, replicas: tuple[str, ...], need: int) -> None:
        self.replicas = replicas
        self.need = need
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
        return len(self.answers) >= self.need

    @property
    def hopeless(self) -> bool:
        """So many have refused that enough can never answer."""
        return len(self.replicas) - len(self.refusals) < self.need

    @property
    def complete(self) -> bool:
        """Every replica has answered or refused."""
        return len(self.answers) + len(self.refusals) == len(self.replicas)
