"""What can be wrong with a node's disk, in words that fit both worlds, and what a look at it shows. Pure.

full        ENOSPC   there is no room: nothing can be added to any file
read-only   EROFS    nothing can be written, as on an ext4 that met an error (`errors=remount-ro`); what is there can be read
broken      EIO      nothing can be read or written, and what was not synced is lost
slow        –        it stands still for `stall_ms`, goes on for a moment, stands still again
lying       –        a sync is answered, and keeps nothing: when the power goes, all that was written since is lost
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

FULL: Final = "full"
READ_ONLY: Final = "read-only"
BROKEN: Final = "broken"
SLOW: Final = "slow"
LYING: Final = "lying"
REFUSALS: Final[Mapping[str, str]] = {FULL: "ENOSPC", READ_ONLY: "EROFS", BROKEN: "EIO", SLOW: "", LYING: ""}
"""The error that a write gets."""


@dataclass(frozen=True, slots=True)
class DiskTrouble:
    """One trouble of a disk, until it is mended or another takes its place."""

    kind: str
    stall_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of writing a little to a disk and syncing it: the error's name, or nothing, and the longest that it took."""

    error: str
    took_ms: float
