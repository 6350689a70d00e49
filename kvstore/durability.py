"""When a write is on disk, and whether its answer waits for that: the `durability` of a bucket.

                    answered          fsync                      what a replica may forget when its power fails
    always          when on disk      at once                    nothing it has answered
    group:<ms>      when on disk      within ms, many at once    nothing it has answered
    interval:<s>    when taken in     within s                   what it took in during the last s
    never           when taken in     as another write has one   whatever it took in since then

    always    taken in ─── fsync ─► answer
    group:20  taken in ── others join, 20 ms ── fsync ─► answer
    interval  taken in ─► answer ── readable in 10 ms ── … s … fsync
    never     taken in ─► answer ── readable in 10 ms

The four are Redis' `appendfsync` (always, everysec, no) and Cassandra's `commitlog_sync` (batch, group, periodic), per bucket.

Rule 1. Modes `register` and `cas` take the first two only. Their promise is that two majorities meet; a replica that forgets
what it has acknowledged is in a majority that no longer meets the other.
Rule 2. What is not a client's write is always durable before it is answered: hints, copies that travel between replicas, promises,
leases, the ring. So only what a client wrote, and only while it is young, can be forgotten.
Rule 3. A replica that may have forgotten dots gives out none under the same name: see `kvstore.actors`.
"""

from __future__ import annotations

import functools
import re
from typing import Final, NamedTuple

from kvstore.config_checks import ConfigError

USUAL: Final = "always"
GROUP_MS_MAX: Final = 100.0  # nobody wants to wait longer for one fsync
INTERVAL_S_MAX: Final = 3600.0
READABLE_MS: Final = 10.0  # until a write that nobody waits for is handed to the operating system
_FORM: Final = re.compile(r"(always|never)|(group|interval):([0-9]{1,9}(?:\.[0-9]{1,9})?)")


class Durability(NamedTuple):
    """What a bucket asks of a write: `within_ms` after it was taken in the fsync begins; `awaited`, it is answered after that."""

    within_ms: float
    awaited: bool


ALWAYS: Final = Durability(0.0, True)
NEVER: Final = Durability(float("inf"), False)


@functools.cache
def durability_of(words: str) -> Durability:
    """What the words of a configuration mean. Raises ConfigError, which says what is wrong with them."""
    found = _FORM.fullmatch(words)
    if found is None:
        raise ConfigError("it is not known; choose always, group:<ms>, interval:<s> or never")
    if found[1]:
        return ALWAYS if words == USUAL else NEVER
    number = float(found[3])
    most, unit = (GROUP_MS_MAX, "ms") if found[2] == "group" else (INTERVAL_S_MAX, "s")
    if not 0 < number <= most:
        raise ConfigError(f"choose more than 0 and at most {most:g} {unit}")
    return Durability(number, True) if found[2] == "group" else Durability(1000 * number, False)


def durability_checked(where: str, words: object, *, atomic: bool, mode: str) -> str:
    """The words, if the bucket may have them. Raises ConfigError."""
    try:
        meant = durability_of(words if isinstance(words, str) else "")
    except ConfigError as error:
        raise ConfigError(f'In {where}, durability = "{words}": {error}.') from None
    if atomic and not meant.awaited:
        raise ConfigError(
            f'In {where}, durability = "{words}" acknowledges writes that a crash may undo, and mode {mode} promises that '
            f"none is lost: choose always or group:<ms>, or another mode."
        )
    assert isinstance(words, str)
    return words
