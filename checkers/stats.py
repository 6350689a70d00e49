"""What was tested, how fast, and how available the system was. Nothing tested is UNKNOWN, never VALID."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from checkers.history import History
from checkers.op import Type
from checkers.verdict import Result, Verdict

_NONE = 2**32 - 1


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
    calls = done = calls_inside = done_inside = 0
    for at, ok in answered(history):
        calls += 1
        done += ok
        if any(start <= at < end for start, end in windows):
            calls_inside += 1
            done_inside += ok
    return {
        "overall": done / calls if calls else None,
        "under_faults": done_inside / calls_inside if calls_inside else None,
    }


def answered(history: History) -> Iterator[tuple[int, bool]]:
    """When (ns) each call of a client was made, in that order, and whether it ended ok."""
    time, pair, process = array("q"), array("I"), array("I")
    for column, name in ((time, "time"), (pair, "pair"), (process, "process")):
        column.frombytes(history.columns.column(name))
    kinds, clients = history.columns.column("type"), history.columns.clients()
    for at, kind in enumerate(kinds):
        if kind == Type.INVOKE and clients[process[at]]:
            yield time[at], pair[at] != _NONE and kinds[pair[at]] == Type.OK
