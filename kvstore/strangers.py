"""Who has connected and not said who they are: together they make a node hold less than 1 MiB, over all its ports, and not for long.

    connect ──► add(cost) ──► hold(bytes), hold(bytes) … ──► remove      known now, or gone
                 │                 │
                 └──── too much ───┴──► evicted, until the rest fits: the oldest of the address that has most of them

A connection costs something before it says a word. The costs are what the memory of a process grew by for each of 100 more (Linux, CPython
3.11, OpenSSL 3.0; KiB): plain 1.1 to 2.2; with TLS, in a handshake 52 to 56, with half a record behind it 104, while a chain of
certificates comes 192, and after it 48, with half a record 78. What is left of the mebibyte, more than a quarter, is for what one reading may bring.

A client of ours is a stranger for milliseconds, whoever means ill stays: so the oldest is the one to lose. Whoever opens connections
faster than anybody can log in evicts themselves: their own address has most of them. Only clients that share it are kept out.
An address is what a host can choose freely from: of IPv6 the first 64 bits.
"""

from __future__ import annotations

from typing import Final, Protocol

PLAIN_COST: Final = 3 << 10
TLS_COST: Final = 80 << 10
HANDSHAKE_COST: Final = 112 << 10
CERTIFICATES_COST: Final = 224 << 10  # of a handshake in which the other side shows its own
ROOM: Final = 448 << 10  # for all strangers of a node, without TLS
TLS_ROOM: Final = 384 << 10  # with it, and then
HANDSHAKES_ROOM: Final = 336 << 10  # for those that are in a handshake


class Stranger(Protocol):
    """A connection before its login or handshake."""

    def evict(self) -> None:
        """Close at once, let go of everything held; `Strangers.remove` has been called."""


class Strangers:
    """Strangers, oldest first, with the bytes each makes this node hold."""

    def __init__(self, bytes_max: int) -> None:
        self.evicted = 0
        self._bytes_max = bytes_max
        self._cost: dict[Stranger, int] = {}
        self._held: dict[Stranger, int] = {}
        self._source: dict[Stranger, str] = {}
        self._by_source: dict[str, dict[Stranger, None]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, stranger: Stranger) -> bool:
        return stranger in self._held

    def fits(self, cost: int) -> bool:
        """Whether there is room for one more that costs so much."""
        return self._bytes + cost <= self._bytes_max

    def add(self, stranger: Stranger, source: str, cost: int) -> None:
        """Somebody has connected from there (`source_of`), and makes this node hold so many bytes by that."""
        self._cost[stranger] = self._held[stranger] = cost
        self._bytes += cost
        self._source[stranger] = source
        self._by_source.setdefault(source, {})[stranger] = None
        self._make_room()

    def hold(self, stranger: Stranger, size: int) -> None:
        """A stranger makes this node hold so many bytes now, beside what it costs. It may be evicted itself."""
        if stranger in self._held:
            size += self._cost[stranger]
            self._bytes += size - self._held[stranger]
            self._held[stranger] = size
            self._make_room()

    def remove(self, stranger: Stranger) -> None:
        """It is gone, or no stranger any more."""
        if stranger not in self._held:
            return
        self._bytes -= self._held.pop(stranger)
        del self._cost[stranger]
        source = self._source.pop(stranger)
        del self._by_source[source][stranger]
        if not self._by_source[source]:
            del self._by_source[source]

    def all(self) -> list[Stranger]:
        """All of them, oldest first."""
        return list(self._held)

    def _make_room(self) -> None:
        while self._bytes > self._bytes_max:
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
