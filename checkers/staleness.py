"""How stale were the reads? Definite staleness: a lower bound that needs no assumption.

A read of w's value missed every acknowledged w' with w.ret < w'.call and w'.ret < r.call: so many versions, and the first of them had been
acknowledged for so long when the read began.
"""

from __future__ import annotations

from array import array

from checkers.history import History
from checkers.stats import quantile
from checkers.verdict import Result, Verdict


def staleness(history: History) -> Result:
    """Numbers in `stats`; VALID only says that they could be measured."""
    reads, _, packed_versions, packed_ages, skipped = history.columns.staleness()
    versions, ages = array("I"), array("q")
    versions.frombytes(packed_versions)
    ages.frombytes(packed_ages)
    found = {
        "reads": reads,
        "stale_reads": len(ages),
        "stale_fraction": len(ages) / reads if reads else 0.0,
        "worst_staleness_ms": max(ages, default=0) / 1e6,
        "worst_staleness_versions": max(versions, default=0),
        "staleness_ms": {},
        "keys_skipped": skipped,
    }
    if ages:
        ordered = sorted(ages)
        found["staleness_ms"] = {f"p{n}": quantile(ordered, n / 100) / 1e6 for n in (50, 95, 99)}
    if not reads:
        return Result(
            "staleness", Verdict.UNKNOWN, "no read succeeded on a key with unique values", stats=found
        )
    if skipped:
        reason = f"{skipped} keys could not be measured because their written values are not unique"
        return Result("staleness", Verdict.UNKNOWN, reason, stats=found)
    return Result(
        "staleness", Verdict.VALID, f"{len(ages)} of {reads} reads were definitely stale", stats=found
    )
