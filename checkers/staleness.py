"""How stale were the reads? Definite staleness, read by read; Delta and Gamma, for each key exactly.

Definite: a read of w's value missed every acknowledged w' with w.ret < w'.call and w'.ret < r.call: so many versions, and the first of them had
been acknowledged for so long when the read began. A lower bound that needs no assumption.

    Delta   the least d: the key is linearizable once every read's call is moved d earlier      reads are at most d out of date
    Gamma   the least g: the key is linearizable once every interval is g/2 longer at both ends

0 means linearizable; no shift mends a value that nobody wrote. A value's score is what its own conflicts need; a key's number is the greatest.
References: Golab, Li & Shah, PODC 2011; Golab, Hurwitz & Li, ICDCS 2013. The computation: `core/src/gamma.rs`.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from checkers.history import History
from checkers.stats import quantile
from checkers.verdict import Result, Verdict

QUANTILES: Final = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Shifts:
    """One key: Delta and Gamma in ns, None if no shift is enough; and the scores above 0 of its values, ascending."""

    key: Any
    delta_ns: int | None
    gamma_ns: int | None
    deltas_ns: Sequence[int]
    gammas_ns: Sequence[int]


def shifts(history: History, *, threads: int | None = None) -> tuple[list[Shifts], int]:
    """Delta and Gamma of each key that was read. Second: keys that could not be measured, as their values are not unique."""
    found, skipped = [], 0
    for key_id, measured, observations, delta, gamma, *packed in history.columns.shifts(threads or 0):
        if not measured:
            skipped += 1
        elif observations:
            deltas, gammas = array("q"), array("q")
            deltas.frombytes(packed[0])
            gammas.frombytes(packed[1])
            found.append(Shifts(history.key(key_id), delta, gamma, sorted(deltas), sorted(gammas)))
    return found, skipped


def spread_ms(ordered: Sequence[int]) -> dict[str, float]:
    """Quantiles and the greatest, in ms. Empty of nothing."""
    if not ordered:
        return {}
    quantiles = {f"p{n}": quantile(ordered, n / 100) / 1e6 for n in QUANTILES}
    return {**quantiles, "max": ordered[-1] / 1e6}


def atomicity(history: History, *, threads: int | None = None) -> Result:
    """Delta and Gamma: over the keys, over the scores of all values, and per key in `parts`. VALID only says that they were measured."""
    found, skipped = shifts(history, threads=threads)
    parts = {
        str(one.key) if isinstance(one.key, int) else repr(one.key): Result(
            "atomicity",
            Verdict.VALID,
            "Delta and Gamma were measured",
            key=one.key,
            stats={
                "delta_ms": None if one.delta_ns is None else one.delta_ns / 1e6,
                "gamma_ms": None if one.gamma_ns is None else one.gamma_ns / 1e6,
                "deltas_ms": spread_ms(one.deltas_ns),
                "gammas_ms": spread_ms(one.gammas_ns),
            },
        )
        for one in found
    }
    stats = {
        "keys": len(found),
        "keys_skipped": skipped,
        "keys_without_delta": sum(one.delta_ns is None for one in found),
        "keys_without_gamma": sum(one.gamma_ns is None for one in found),
        "delta_ms": spread_ms(sorted(one.delta_ns for one in found if one.delta_ns is not None)),
        "gamma_ms": spread_ms(sorted(one.gamma_ns for one in found if one.gamma_ns is not None)),
        "value_deltas_ms": spread_ms(sorted(score for one in found for score in one.deltas_ns)),
        "value_gammas_ms": spread_ms(sorted(score for one in found for score in one.gammas_ns)),
    }
    if not found:
        reason = "no read succeeded on a key with unique values"
        return Result("atomicity", Verdict.UNKNOWN, reason, stats=stats)
    if skipped:
        reason = f"{skipped} keys could not be measured: their written values are not unique, or need the general search"
        return Result("atomicity", Verdict.UNKNOWN, reason, stats=stats, parts=parts)
    return Result("atomicity", Verdict.VALID, f"{len(found)} keys were measured", stats=stats, parts=parts)


def stale_reads(history: History, *, threads: int | None = None) -> list[int]:
    """The calls of the reads that were definitely stale, by their index in the history, ascending."""
    at = array("I")
    at.frombytes(history.columns.staleness(threads or 0)[1])
    return sorted(at)


def versions_behind(history: History, *, threads: int | None = None) -> list[int]:
    """Of each read that was definitely stale, by how many acknowledged versions; ascending."""
    behind = array("I")
    behind.frombytes(history.columns.staleness(threads or 0)[2])
    return sorted(behind)


def ages_ns(history: History, *, threads: int | None = None) -> list[int]:
    """Of each read that was definitely stale, for how long the first write that it missed had been acknowledged when it began; ascending."""
    ages = array("q")
    ages.frombytes(history.columns.staleness(threads or 0)[3])
    return sorted(ages)


def staleness(history: History, *, threads: int | None = None) -> Result:
    """Numbers in `stats`; VALID only says that they could be measured."""
    reads, _, packed_versions, packed_ages, skipped = history.columns.staleness(threads or 0)
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
