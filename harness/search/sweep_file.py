"""Sweeps as lines of JSON: a file that grows while the machine has time, is gone on with, and from which every table is made again.

    {"bug": "hint.unsynced", "strategy": "pct", "repeat": 3, "seed": 300001, "limit_runs": 200, "limit_cpu_s": 10.0,
     "version": "111ee58", "runs": 2, "broken": ["convergence: diverged"], "blamed": 0, "crashes": 0, "unknown": 0, "cpu_s": 1.31}

A sweep that found nothing is a lower bound, which a later one with a higher limit replaces: of two lines of one name the later counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from harness.search.detection import Name, Sweep


class SweepFileError(Exception):
    """A line is no sweep."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A sweep ends after so many runs, or so much processor time."""

    runs: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Kept:
    """A sweep with its name, its first seed, how far it could go, and the version of the code that made it."""

    name: Name
    seed: int
    limits: Limits
    version: str
    sweep: Sweep

    def settles(self, limits: Limits) -> bool:
        """Whether nothing new would come of the sweep within these limits."""
        longer = limits.runs > self.limits.runs or limits.cpu_s > self.limits.cpu_s
        return bool(self.sweep.broken) or not longer


def as_line(kept: Kept) -> str:
    """The sweep as a line of the file, with its end."""
    bug, strategy, repeat = kept.name
    about = {"bug": bug, "strategy": strategy, "repeat": repeat, "seed": kept.seed}
    limits = {"limit_runs": kept.limits.runs, "limit_cpu_s": kept.limits.cpu_s}
    return json.dumps({**about, **limits, "version": kept.version, **asdict(kept.sweep)}) + "\n"


def read_sweeps(lines: Iterable[str]) -> dict[Name, Kept]:
    """The sweeps of a file by their names. Raises SweepFileError: a line is none; a last one without its end does not count."""
    found = dict[Name, Kept]()
    for number, line in enumerate(lines, 1):
        if line.endswith("\n"):
            kept = _parsed(line, number)
            found[kept.name] = kept
    return found


def _parsed(line: str, number: int) -> Kept:
    try:
        fields = json.loads(line)
        name = (str(fields.pop("bug")), str(fields.pop("strategy")), int(fields.pop("repeat")))
        seed, version = int(fields.pop("seed")), str(fields.pop("version"))
        limits = Limits(int(fields.pop("limit_runs")), float(fields.pop("limit_cpu_s")))
        return Kept(name, seed, limits, version, Sweep(**{**fields, "broken": tuple(fields["broken"])}))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SweepFileError(f"line {number} is no sweep: {error}") from None
