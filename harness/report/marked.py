"""Markdown's own characters: cells in which a stranger's text means nothing, fences that it cannot end, and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from harness.report.text import visible


def cell(text: Any) -> str:
    """One line in which no character of a stranger's makes a table, a link or HTML."""
    flat = escape(visible(" ".join(str(text).split())), quote=False)
    for mark in "\\`|[]*_":
        flat = flat.replace(mark, f"\\{mark}")
    return flat


def fenced(text: str) -> list[str]:
    """A block of text as it is, in a fence longer than any in it."""
    longest = max((len(part) - len(part.lstrip("`")) for part in text.splitlines()), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *map(visible, text.splitlines()), fence, ""]


def table(header: Sequence[str], rows: Any) -> Iterator[str]:
    """A table; nothing if it has no row."""
    made = [" | ".join(cell(each) for each in row) for row in rows]
    if made:
        yield f"| {' | '.join(header)} |"
        yield "|" + "---|" * len(header)
        yield from (f"| {row} |" for row in made)
        yield ""
