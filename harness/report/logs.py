"""What the nodes wrote to their logs, on the time of the history.

    simulator   `  5.016316 killed, pid 1000`                   seconds of the loop
    hosts       `2026-11-28T19:28:11.377Z n1 no connection …`    the wall clock of that host, which a clock fault shifts
                `{"ts":"2026-11-28T19:28:11.377Z", …}`            the same as JSON

`environment.json` says when the history `began`, in the same terms. Lines that do not begin with such a time belong to the one before them; a log
without any is of no use here and is counted. Of many lines the page keeps those near the proof and the ends of faults.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

NEAR_NS: Final = 1_000_000_000
LINES_MAX: Final = 3_000
CHARACTERS_MAX: Final = 300
_STAMP: Final = re.compile(
    r'(?:\{"ts":")?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))"?,?\s*'
)
_LOOP: Final = re.compile(r"\s*(\d+\.\d{6}) ")


class Line(NamedTuple):
    """One line, in nanoseconds since the history began; negative before."""

    at_ns: int
    node: str
    text: str


def lines_of(folder: Path, began: Any) -> list[Line]:
    """All lines with a time that can be told, in order; none if nobody noted when the history began."""
    found = list[Line]()
    for path in sorted((folder / "nodes").glob("*/*.log")):
        found += timed(path.parent.name, path.read_text(encoding="utf-8", errors="replace").splitlines(), began)  # fmt: skip
    return sorted(found)


def timed(node: str, lines: Iterable[str], began: Any) -> Iterator[Line]:
    """The lines of one log."""
    last: int | None = None
    for line in lines:
        at_ns, text = stamped(line, began)
        last = at_ns if at_ns is not None else last
        if last is not None and text.strip():
            yield Line(last, node, text[:CHARACTERS_MAX])


def stamped(line: str, began: Any) -> tuple[int | None, str]:
    """(when, the rest of the line); None if it does not begin with a time."""
    if isinstance(began, str) and (found := _STAMP.match(line)):
        try:
            since = datetime.fromisoformat(found[1]) - datetime.fromisoformat(began)
        except (ValueError, TypeError):
            return None, line
        return round(since.total_seconds() * 1e9), line if line.startswith("{") else line[found.end() :]
    if isinstance(began, int | float) and not isinstance(began, bool) and (found := _LOOP.match(line)):
        return round((float(found[1]) - began) * 1e9), line[found.end() :]
    return None, line


def kept(lines: Sequence[Line], moments_ns: Iterable[int], most: int = LINES_MAX) -> Sequence[Line]:
    """All of them, or of too many those nearest to the moments that matter, in order."""
    if len(lines) <= most:
        return lines
    moments = list(moments_ns) or [0]

    def far(place: int) -> int:
        return min(abs(lines[place].at_ns - moment) for moment in moments)

    return [lines[place] for place in sorted(sorted(range(len(lines)), key=far)[:most])]
