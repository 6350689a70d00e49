"""Two disks under one name: a data directory that was copied, or an old copy of one that was put back.

    n1   life 7 ──Ping(7, began 12:00)──► n2 remembers 7, 12:00
    a copy of n1's directory, made in life 5, is started:
         life 6 ──Ping(6, began 12:30)──► n2 ──Pong(7, 12:00)──► "somebody who is me is in a later life": it ends

A node raises its incarnation, durably, before it says anything. So one disk never has an incarnation twice, nor a lower one after a higher one, and
whoever hears of a life of its name that is later than its own, or has the same number and began at another time, is not alone. It ends, and says why. This is
sound, however messages are late or doubled: a late Pong tells of an earlier life, which is no sign of anything.

It is not complete. A copy made in the last life and put back before another has begun takes the next incarnation, as the disk itself would have; peers that
have started anew remember nothing; and until the first answer, half a second on the whole, the copy takes part. What it had forgotten until then, it has
forgotten: a node that was told so must be replaced. Of two that run at once the later start is taken for the node. Reference: the generation clock of
Joshi, "Patterns of Distributed Systems", 2023; Cassandra's gossip generations, which leave a second node of a name unnoticed, too.
"""

from __future__ import annotations

Life = tuple[int, int]
NO_LIFE: Life = (0, 0)


class Twins:
    """The lives that peers tell, and what they say of one's own."""

    __slots__ = ("_met", "_name", "life")

    def __init__(self, name: str) -> None:
        self._name = name
        self._met: dict[str, Life] = {}
        self.life = NO_LIFE

    def begin(self, incarnation: int, wall_ms: float) -> None:
        """This life begins, and is durable."""
        self.life = (incarnation, int(wall_ms))

    def met(self, peer: str, life: Life) -> Life:
        """A peer told its life; the latest of it that was met. Of two with one number, the first."""
        known = self._met.get(peer, NO_LIFE)
        if life[0] > known[0]:
            known = self._met[peer] = life
        return known

    def betrayed(self, peer: str, life: Life) -> str:
        """Why this node must end if a peer has met this life of its name; empty if it need not."""
        if self.life == NO_LIFE or life[0] < self.life[0] or life == self.life:
            return ""
        return (
            f"{self._name} is in its life {self.life[0]}, and {peer} has met another {self._name} in life {life[0]}: this data directory is a copy, or "
            f"an old one that was put back, and has forgotten what was acknowledged since. Stop both, begin with an empty disk and --replace, and send "
            f"KV.CLUSTER REPLACE {self._name} to a member"
        )
