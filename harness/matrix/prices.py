"""What a configuration costs: staleness, loss, availability and latency, each number with its 95 % interval *from how the runs differ*.

    stale, lost_keys, available      {count, of, share, low, high}         a ratio over runs (`harness.intervals.ratio`)
    available_under                  the same for each kind of fault that bit, of calls made while it was there; "any" of them
    behind_ms, behind_versions       {p50, p99: {value, low, high}, max}   of the stale reads: Delta and k, as every read shows them at least
    delta_ms                         {p50: …, max}                         of the runs: how far reads must be moved for a run to be linearizable
    latency_ms, latency_between_ms   the median over runs of each run's quantile, and its interval

An end of a quantile that is null is further out than these runs show (`harness.clustered`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from harness.clustered import Pooled, Quantile, Values, median_of
from harness.intervals import middle, ratio
from harness.matrix.measure import Measured

FUNCTIONS: Final = ("read", "write")
QUANTILES: Final = (("p50", 0.5), ("p99", 0.99))


def prices(runs: Sequence[Measured]) -> dict[str, Any]:
    """All of it, of the runs of a cell."""
    return {
        "stale": share([run.stale for run in runs]),
        "behind_ms": behind([Values(run.stale[0], run.behind_ms) for run in runs], max((run.behind_max[1] for run in runs), default=0.0)),
        "behind_versions": behind([Values(run.stale[0], run.behind_versions) for run in runs], max((run.behind_max[0] for run in runs), default=0)),
        "delta_ms": deltas([run.delta_ms for run in runs]),
        "lost_keys": share([run.lost_keys for run in runs]),
        "available": share([run.done for run in runs]),
        "available_under": available_under(runs),
        **latencies(runs),
    }  # fmt: skip


def share(parts: Sequence[tuple[int, int]]) -> dict[str, Any] | None:
    """How many of how many, and the interval of the share, from how the runs differ."""
    found = ratio(parts)
    if found is None:
        return None
    return {
        "count": sum(hits for hits, _ in parts),
        "of": sum(trials for _, trials in parts),
        "share": round(found[0], 6),
        "low": round(found[1], 6),
        "high": round(found[2], 6),
    }


def behind(runs: Sequence[Values], most: float) -> dict[str, Any] | None:
    """How far stale reads were behind; None if none was."""
    pooled = Pooled(runs)
    if not pooled.count:
        return None
    return {**{name: as_json(pooled.quantile(at)) for name, at in QUANTILES}, "max": rounded(most)}


def deltas(found: Sequence[float | None]) -> dict[str, Any] | None:
    """Of the runs. None without a run, or if in one of them no shift is enough."""
    known = [delta for delta in found if delta is not None]
    if not known or len(known) < len(found):
        return None
    return {"p50": as_json(median_of(known)), "max": rounded(max(known))}


def available_under(runs: Sequence[Measured]) -> dict[str, Any]:
    """For each kind of fault that bit in a run, and for any of them. A kind under which nothing was called is None."""
    kinds = sorted({kind for run in runs for kind in run.done_under})
    return {kind: share([run.done_under.get(kind, (0, 0)) for run in runs]) for kind in kinds}


def latencies(runs: Sequence[Measured]) -> dict[str, Any]:
    """Medians over the runs of each run's quantile, and how sure each is."""
    found = {
        f: {q: [run.latency_ms[f][q] for run in runs if f in run.latency_ms] for q, _ in QUANTILES}
        for f in FUNCTIONS
    }
    return {
        "latency_ms": {f: {q: middle(each) for q, each in of.items()} for f, of in found.items()},
        "latency_between_ms": {f: {q: ends(median_of(each)) for q, each in of.items()} for f, of in found.items()},
    }  # fmt: skip


def as_json(found: Quantile | None) -> dict[str, Any] | None:
    """A quantile for a program."""
    return None if found is None else {"value": rounded(found.value), **ends(found)}


def ends(found: Quantile | None) -> dict[str, Any]:
    """Of its interval."""
    low, high = (None, None) if found is None else found[1:]
    return {"low": rounded(low), "high": rounded(high)}


def rounded(value: float | None) -> float | None:
    """To a microsecond, if it is in ms; a count stays one."""
    return value if value is None or isinstance(value, int) else round(value, 3)
