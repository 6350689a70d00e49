"""A hybrid logical clock: time that never goes back behind what it has seen (Kulkarni et al. 2014).

    64 bits:  ┌──────── 48 bits of wall ms ────────┬── 16 bits of counter ──┐

Rule 1. `now` is greater than every time issued or observed before, and at least the wall clock.
Rule 2. A time too far ahead of the wall clock is not observed: one bad clock must not poison the others.
Rule 3. No time is issued beyond the *lease*, an upper bound that is durable. A restarted node starts at its
        lease, so a crash followed by a clock set back never issues a time twice or behind an earlier one.

         issued so far      lease (durable)
    ──────────●─────────────────┤            crash here, clock set back:
                                └──●──►      the next life starts at the lease

The lease is extended from the wall clock rather than from itself, so quick restarts do not push the clock
ahead of the wall without end. A full counter carries into the milliseconds, which keeps rule 1.

What it does not do: two nodes that have not heard of each other order their writes by wall clock alone.
"""

from __future__ import annotations

_BITS = 16
LEASE_MS = 5000  # how far ahead of the wall clock the lease is set
MARGIN_MS = 1000  # and at least so far ahead of what was issued


def from_ms(ms: float) -> int:
    """The first time of that millisecond."""
    return int(ms) << _BITS


def to_ms(hlc: int) -> int:
    """The millisecond part."""
    return hlc >> _BITS


_MARGIN, _MARGIN_LEAST, _LEASE_LEAST = from_ms(MARGIN_MS), from_ms(MARGIN_MS / 2), from_ms(LEASE_MS / 2)


class HybridClock:
    """One node's clock. It neither reads time nor writes storage; its owner does."""

    __slots__ = ("_count", "last", "lease", "max_skew_ms")

    def __init__(self, lease: int, max_skew_ms: float) -> None:
        self.last = lease  # rule 3: where the last life may have come to
        self.lease = lease
        self.max_skew_ms = max_skew_ms
        self._count = 0

    def now(self, wall_ms: float, after: int = 0) -> int:
        """A new time, greater than all before and than `after`.

        Issue nothing under it before `covered` holds.
        """
        self.last = max(self.last + 1, after + 1, int(wall_ms) << _BITS)
        return self.last

    def bare(self, wall_ms: float) -> int:
        """The bare wall clock, with a counter to tell apart writes of one millisecond.

        Breaks rule 1, on purpose.
        """
        self._count = (self._count + 1) & 0xFFFF
        return int(wall_ms) << _BITS | self._count

    def peek(self, wall_ms: float) -> int:
        """What `now` would at least be; issues nothing."""
        return max(self.last, int(wall_ms) << _BITS)

    def credible(self, hlc: int, wall_ms: float) -> bool:
        """Rule 2: whether a time is not too far ahead of the wall clock."""
        return hlc <= int(wall_ms + self.max_skew_ms) << _BITS | 0xFFFF

    def observe(self, hlc: int) -> None:
        """Take note of a credible time somebody else issued."""
        if hlc > self.last:
            self.last = hlc

    def covered(self, hlc: int) -> bool:
        """Rule 3: whether the durable lease covers this time."""
        return hlc <= self.lease

    def wanted(self, wall_ms: float, lease: int) -> int | None:
        """The lease to write next, if `lease` (the newest one written, durable or not) is running low."""
        ahead = max(from_ms(wall_ms + LEASE_MS), self.last + _MARGIN)
        low = lease - self.last < _MARGIN_LEAST or ahead - lease > _LEASE_LEAST
        return ahead if low and ahead > lease else None
