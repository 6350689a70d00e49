"""What was tested, how fast, and how available the system was. Nothing tested is UNKNOWN, never VALID."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, Final

from checkers.history import History
from checkers.verdict import Result, Verdict

ALWAYS: Final = (-(2**63), 2**63 - 1)
"""A window, in ns, with every call in it."""


def quantile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank quantile of an ordered, non-empty sequence; `share` is from 0 to 1."""
    return ordered[max(0, -(-int(share * 1e6) * len(ordered) // 1_000_000) - 1)]


def stats(history: History) -> Result:
    """Counts by function and outcome, and latency quantiles of ok operations in ms."""
    counts: dict[str, dict[str, int]] = {}
    latency: dict[str, dict[str, float]] = {}
    for f, ok, fail, info, open_, packed in history.columns.latencies():
        name = history.function(f)
        counts[name] = {"ok": ok, "fail": fail, "info": info + open_}
        times = array("q")
        times.frombytes(packed)
        if times:
            latency[name] = {
                "p50": quantile(times, 0.5) / 1e6,
                "p95": quantile(times, 0.95) / 1e6,
                "p99": quantile(times, 0.99) / 1e6,
                "max": times[-1] / 1e6,
            }
    found = {"ops": sum(sum(c.values()) for c in counts.values()), "by_f": counts, "latency_ms": latency}
    if not counts:
        return Result("stats", Verdict.UNKNOWN, "no client did anything, so nothing was tested", stats=found)
    if idle := [name for name, count in counts.items() if not count["ok"]]:
        reason = f"no {', no '.join(idle)} succeeded, so that was not tested"
        return Result("stats", Verdict.UNKNOWN, reason, stats=found)
    return Result("stats", Verdict.VALID, "every kind of operation succeeded at least once", stats=found)


def availability(history: History, windows: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Share of calls that ended ok: `overall`, and `under_faults` for calls within the windows (ns); None without calls."""
    shares = {"overall": done_within(history, [ALWAYS]), "under_faults": done_within(history, windows)}
    return {name: done / calls if calls else None for name, (done, calls) in shares.items()}


def done_within(history: History, windows: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """(ended ok, all) of the calls of clients made in one of the windows at least, from its start to before its end, in ns."""
    return history.columns.done_within(list(windows))
