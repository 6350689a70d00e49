"""Who has connected and not said who they are: few, holding little, and not for long.

    connect ──► add ──► hold(bytes), hold(bytes) … ──► remove      known now, or gone
                 │            │
                 └─ too many ─┴─ too much ──► evicted, until the rest fits: the oldest of the address that has most of them

A client of ours is a stranger for milliseconds, whoever means ill stays: so the oldest is the one to lose. Whoever opens connections
faster than anybody can log in evicts themselves: their own address has most of them. Only clients that share it are kept out.
An address is what a host can choose freely from: of IPv6 the first 64 bits.
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
        self._source: dict[Stranger, str] = {}
        self._by_source: dict[str, dict[Stranger, None]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, stranger: Stranger) -> bool:
        return stranger in self._held

    def add(self, stranger: Stranger, source: str) -> None:
        """Somebody has connected from there (`source_of`)."""
        self._held[stranger] = 0
        self._source[stranger] = source
        self._by_source.setdefault(source, {})[stranger] = None
        self._make_room()

    def hold(self, stranger: Stranger, size: int) -> None:
        """A stranger makes this node hold so many bytes now. It may be evicted itself."""
        if stranger in self._held:
            self._bytes += size - self._held[stranger]
            self._held[stranger] = size
            self._make_room()

    def remove(self, stranger: Stranger) -> None:
        """It is gone, or no stranger any more."""
        if stranger not in self._held:
            return
        self._bytes -= self._held.pop(stranger)
        source = self._source.pop(stranger)
        del self._by_source[source][stranger]
        if not self._by_source[source]:
            del self._by_source[source]

    def all(self) -> list[Stranger]:
        """All of them, oldest first."""
        return list(self._held)

    def _make_room(self) -> None:
        while len(self._held) > self._count_max or self._bytes > self._bytes_max:
            most = max(self._by_source.values(), key=len)
            oldest = next(iter(most))
            self.remove(oldest)
            self.evicted += 1
            oldest.evict()


def source_of(address: object) -> str:
    """Where a socket's peer address says it comes from; "" if it is gone already."""
    if not isinstance(address, tuple) or not address:
        return ""
    host = str(address[0])
    return host if "." in host else ":".join(host.split(":")[:4])
