"""Two runs side by side, or two configurations: what is newly broken, what is mended, what is still there, and what costs more.

    RunFiles ─┐            ┌─► guarantees   valid ─► invalid: newly broken
              ├─► compared ┼─► numbers      18.1 % ─► 2.3 %, changed by -15.8 (-18.0 to -13.7) percentage points
    RunFiles ─┘            └─► changes of the plan

The intervals are of one run each, and count every operation as an independent draw, which neighbours in time are not: they are rather too narrow.
How much runs of one configuration differ among themselves is seen only in several seeds: `quorate matrix`, `quorate review`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from math import inf
from typing import Any, Final

from harness.intervals import Estimate, change, quantile_of, share_of
from harness.report import words
from harness.report.folder import RunFiles
from harness.report.marked import cell, table

NOTE: Final = "In brackets are 95 % intervals, which count each operation as an independent draw. It differs where that of the change does not contain 0."
GUARANTEES: Final = ("guarantee", "before", "after", "")
NUMBERS: Final = ("number", "before", "after", "change", "")
QUANTILES: Final = {"p50": 0.5, "p99": 0.99}


def compared(before: RunFiles, after: RunFiles, *, histories: bool = True) -> dict[str, Any]:
    """Of two runs: each guarantee's verdicts and what became of it, and the numbers with their change.

    Without the histories, which take long to read, nothing is known of how sure a latency is: its interval is without bounds.
    """
    levels = [{**run.results.get("levels", {}), **run.results.get("claims", {})} for run in (before, after)]
    names = list(dict.fromkeys((*levels[0], *levels[1])))
    verdicts = {name: tuple(level.get(name, {}).get("verdict", "not judged") for level in levels) for name in names}  # fmt: skip
    return {
        "runs": [{"name": run.results["name"], "seed": run.results["seed"], "world": run.results.get("world"), "folder": str(run.folder)} for run in (before, after)],
        "plan_changes": list(_plan_changes(before.plan, after.plan)),
        "guarantees": [{"name": name, "before": old, "after": new, "became": became(old, new)} for name, (old, new) in verdicts.items()],
        "numbers": [_number(name, old, new) for name, (old, new) in _both(before, after, histories)],
    }  # fmt: skip


def became(old: str, new: str) -> str:
    """What became of a violation."""
    if old == new:
        return "still broken" if new == "invalid" else "same"
    return "newly broken" if new == "invalid" else "mended" if (old, new) == ("invalid", "valid") else "changed"  # fmt: skip


def _plan_changes(old: Mapping[str, Any], new: Mapping[str, Any], at: str = "") -> Iterator[str]:
    for key in dict.fromkeys((*old, *new)):
        one, other = old.get(key), new.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from _plan_changes(one, other, f"{at}{key}.")
        elif one != other:
            yield f"{at}{key}: {_told(one)} became {_told(other)}"


def _told(value: Any) -> str:
    """A value of a plan; lists and tables without the marks of a program."""
    return "left out" if value is None else words.flat(value)


def _number(name: str, old: Estimate, new: Estimate) -> dict[str, Any]:
    by = change(old, new)
    return {
        "name": name, "before": old.value, "before_interval": old[1:], "after": new.value, "after_interval": new[1:],
        "change": by.value, "change_interval": by[1:], "certain": by.low > 0 or by.high < 0,
    }  # fmt: skip


def _both(
    before: RunFiles, after: RunFiles, histories: bool
) -> Iterator[tuple[str, tuple[Estimate, Estimate]]]:
    """What both runs measured."""
    one, other = ({**dict(_shares(run)), **dict(_latencies(run) if histories else _bare_latencies(run))} for run in (before, after))  # fmt: skip
    yield from ((name, (one[name], other[name])) for name in one if name in other)


def _shares(run: RunFiles) -> Iterator[tuple[str, Estimate]]:
    stale = words.stats_of(run.results.get("staleness"))
    if stale.get("reads"):
        yield "stale reads", share_of(int(stale.get("stale_reads") or 0), int(stale["reads"]))
    rows = words.counts_by_f(run.results).values()
    if total := sum(sum(row.values()) for row in rows):
        yield "operations that succeeded", share_of(sum(row["ok"] for row in rows), total)


def _latencies(run: RunFiles) -> Iterator[tuple[str, Estimate]]:
    history = run.history
    if history is None:
        return
    for f, *_, packed in history.columns.latencies():
        times = array("q")
        times.frombytes(packed)
        for name, share in QUANTILES.items() if times else ():
            of = quantile_of(times, share)
            yield f"{history.function(f)} {name} ms", Estimate(*(each / 1e6 for each in of))


def _bare_latencies(run: RunFiles) -> Iterator[tuple[str, Estimate]]:
    for f, quantiles in sorted((run.results.get("latency_ms") or {}).items()):
        yield from ((f"{f} {name} ms", Estimate(quantiles[name], -inf, inf)) for name in QUANTILES)


def measured(name: str, value: Any) -> str:
    """A number of `compared` for a person."""
    return words.number(float(value), 2) if name.endswith("ms") else words.percent(value)


def comparison_markdown(found: Mapping[str, Any]) -> str:
    """`compared` for a person."""
    lines = [f"# {cell(title(found))}", ""]
    lines += [f"- {cell(line)}" for line in found["plan_changes"]] or ["The plans are the same."]
    lines += ["", *table(GUARANTEES, guarantee_rows(found)), *table(NUMBERS, number_rows(found)), NOTE, ""]
    return "\n".join(lines)


def title(found: Mapping[str, Any]) -> str:
    """Which two they are."""
    return " against ".join(f"{run['name']}, seed {run['seed']}, {run['world']}" for run in found["runs"])


def news(found: Mapping[str, Any]) -> str:
    """In one sentence what became of the guarantees."""
    told = list[str]()
    for what in ("newly broken", "mended", "still broken", "changed"):
        if names := [each["name"] for each in found["guarantees"] if each["became"] == what]:
            told.append(f"{what}: {words.join(names)}")
    return words.sentence("; ".join(told) or "no guarantee has another verdict than before")


def guarantee_rows(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Each guarantee before and after."""
    return [(each["name"], each["before"], each["after"], each["became"]) for each in found["guarantees"]]


def number_rows(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Each number before and after, with the change."""
    return [
        (
            each["name"],
            *(_shown(each, part) for part in ("before", "after", "change")),
            "differs" if each["certain"] else "",
        )
        for each in found["numbers"]
    ]


def _shown(each: Mapping[str, Any], part: str) -> str:
    """`18.1 % (16.7 to 19.6)`, `1.94 ms (1.90 to 1.99)`; a change with its sign, of a share in percentage points."""
    latency, by = each["name"].endswith("ms"), "+" if part == "change" else ""
    value, low, high = (
        f"{one if latency else 100 * one:{by}.2f}" for one in (each[part], *each[f"{part}_interval"])
    )
    return f"{value} {'ms' if latency else 'points' if by else '%'} ({low} to {high})"
