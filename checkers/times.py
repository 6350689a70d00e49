"""Times of a history in words.

    2_500_000     "2.500 ms"          3     "3 ns"

Histories that were recorded without times lie a nanosecond apart (`core/src/columns.rs`), and in ms all of it would be 0.000.
"""

from __future__ import annotations

from typing import Final

SHORT_NS: Final = 10_000  # before that a time is told in ns
AGO_NS: Final = 50_000  # what is less rounds to 0.0 ms


def at(ns: int) -> str:
    """An instant."""
    return f"{ns / 1e6:.3f} ms" if ns >= SHORT_NS else f"{ns} ns"


def from_to(begin_ns: int, end_ns: int) -> str:
    """An interval, both ends in the unit of its end."""
    if end_ns < SHORT_NS:
        return f"{begin_ns} to {end_ns} ns"
    return f"{begin_ns / 1e6:.3f} to {end_ns / 1e6:.3f} ms"


def ago(ns: int) -> str:
    """How long before, with the blank after it; "" where it would be 0.0 ms."""
    return f"{ns / 1e6:.1f} ms " if ns >= AGO_NS else ""
