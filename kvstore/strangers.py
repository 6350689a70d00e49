"""Who has connected and not said who they are: few, holding little, and not for long.

    connect ──► add ──► hold(bytes), hold(bytes) … ──► remove      known now, or gone
                 │            │
                 └─ too many ─┴─ too much ──► evicted: whoever came first goes, until the rest fits

A client of ours is a stranger for milliseconds, whoever means ill stays: so the oldest is the one to lose. Those who
open connections fastest can still keep others out, but not fill the memory.
"""

from __future__ import annotations

from typing import Protocol


class Stranger(Protocol):
    """A connection before its login or handshake."""

    def evict(self) -> None:
        """Close at once, let go of everything held; `Strangers.remove` has been called."""


class Strangers:
    """The strangers at one port, oldest first, with the bytes each makes this node hold."""

    def __init__(self, *, count_max: int, bytes_max: int) -> None:
        self.evicted = 0
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._held: dict[Stranger, int] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, stranger: Stranger) -> bool:
        return stranger in self._held

    def add(self, stranger: Stranger) -> None:
        """Somebody has connected."""
        self._held[stranger] = 0
        self._make_room()

    def hold(self, stranger: Stranger, size: int) -> None:
        """A stranger makes this node hold so many bytes now. It may be evicted itself."""
        if stranger in self._held:
            self._bytes += size - self._held[stranger]
            self._held[stranger] = size
            self._make_room()

    def remove(self, stranger: Stranger) -> None:
        """It is gone, or no stranger any more."""
        self._bytes -= self._held.pop(stranger, 0)

    def all(self) -> list[Stranger]:
        """All of them, oldest first."""
        return list(self._held)

    def _make_room(self) -> None:
        while len(self._held) > self._count_max or self._bytes > self._bytes_max:
            oldest = next(iter(self._held))
            self.remove(oldest)
            self.evicted += 1
            oldest.evict()
