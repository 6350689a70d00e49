"""A run as Markdown, to paste into a ticket or a design document; and two runs side by side: what is new, what is gone, what costs more.

The same sentences as on the page (`words`); values of the system under test are put into code spans, in which they mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from harness.intervals import wilson
from harness.report import clocks, placement, words
from harness.report.folder import RunFiles
from harness.report.freshness import freshness
from harness.report.rows import (
    attribution_rows,
    behind_rows,
    claim_rows,
    clock_rows,
    documented_rows,
    error_rows,
    facts,
    fault_rows,
    freshness_rows,
    outage_rows,
    outcome_rows,
    staleness_rows,
    survival_rows,
)
from harness.report.survival import FATES
from harness.report.text import visible

DOCUMENTED = ("the documentation says", "where", "guarantee", "verdict", "evidence")
FRESHNESS = ("reads that began after", "writes", "read stale", "share", "95 % interval")


def run_markdown(run: RunFiles) -> str:
    """The whole report of one run, without plots."""
    return "\n".join([*_head(run), *_missing(run), *_proof(run), *_needs(run), *_scope(run), *_faults(run), *_numbers(run), *_again(run)]) + "\n"  # fmt: skip


def _head(run: RunFiles) -> Iterator[str]:
    results = run.results
    yield f"# {str(results['outcome']).upper()}: {cell(words.finding(run.plan, results))}"
    yield ""
    yield " · ".join(f"{name}: {cell(value)}" for name, value in facts(run))
    yield ""
    yield from table(("guarantee", "verdict", "in words"), ((row["name"] if row["claimed"] else f"{row['name']} (not claimed)", row["verdict"], row["words"]) for row in claim_rows(results)))  # fmt: skip
    yield from table(DOCUMENTED, ((f"“{row['says']}”", row["source"], row["name"], row["verdict"], row["evidence"]) for row in documented_rows(run)))  # fmt: skip
    yield f"Strongest kept: {words.join(results.get('strongest') or []) or 'none'}. Weakest broken: {words.join(results.get('weakest_refuted') or []) or 'none'}."
    yield ""


def _proof(run: RunFiles) -> Iterator[str]:
    core = run.results.get("core")
    if core:
        yield f"## {words.impossible(len(run.core_bars))}"
        yield ""
        yield cell(words.sentence(core.get("sentence") or run.results.get("reason") or ""))
        yield ""
        yield from fenced(core.get("drawing", ""))


def _needs(run: RunFiles) -> Iterator[str]:
    if run.attribution:
        yield "## What the violation needs"
        yield ""
        yield cell(words.sentence(run.attribution["sentence"]))
        yield ""
        yield from table(("the plan", "runs that show it", "chance", "verdict"), attribution_rows(run))


def _missing(run: RunFiles) -> Iterator[str]:
    if run.missing:
        yield from ("## What is missing here", "", *(f"- {cell(line)}" for line in run.missing), "")


def _scope(run: RunFiles) -> Iterator[str]:
    for title, lines in (("Tested", words.tested(run.plan, run.results, run.faults)), ("Not tested", words.not_tested(run.results, run.faults))):  # fmt: skip
        yield f"## {title}"
        yield ""
        yield from (f"- {cell(line)}" for line in lines)
        yield ""


def _faults(run: RunFiles) -> Iterator[str]:
    if run.faults:
        yield "## Faults"
        yield ""
        yield from table(("fault", "nodes", "from", "to", "bit", "evidence"), ((row["kind"], row["nodes"], row["start"], row["end"], "yes" if row["bit"] else "NO", row["evidence"]) for row in fault_rows(run)))  # fmt: skip
        yield from table(("fault", "nodes", "from", "calls meanwhile", "acknowledged", "longest silence", "recovered after"), outage_rows(run))  # fmt: skip
        yield cell(clocks.in_words(clocks.shifts_of(run.faults, run.end_ns), run.nodes, str(run.results.get("world"))))  # fmt: skip
        yield ""
        yield from table(("clock of", "from", "to", "asked", "measured", "measured after"), clock_rows(run))


def _numbers(run: RunFiles) -> Iterator[str]:
    yield "## Numbers"
    yield ""
    yield from table(("operation", "ok", "fail", "info", "p50 ms", "p95 ms", "p99 ms", "max ms"), ((row["f"], *row["cells"]) for row in outcome_rows(run.results)))  # fmt: skip
    yield from table(("operation", "outcome", "error", "how often", "first"), error_rows(run))
    yield from table(("staleness and availability", ""), staleness_rows(run.results))
    yield cell(placement.in_words(run))
    yield ""
    yield from table(("key of the finding", "partition", "from", "preference list", "going to"), placement.key_rows(run))  # fmt: skip
    yield from table(("versions behind", "stale reads", "share"), behind_rows(run))
    if kept := run.survival:
        yield cell(words.survived(kept))
        yield ""
        yield from table(("acknowledged writes", "all", *FATES), survival_rows(run))
    if found := freshness(run):
        yield cell(words.freshness(found))
        yield ""
        yield from table((*FRESHNESS, *(["predicted"] if found.curve else [])), freshness_rows(found))


def _again(run: RunFiles) -> Iterator[str]:
    if command := run.results.get("command"):
        yield "## Again"
        yield ""
        yield from fenced(str(command))


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


def compared(before: RunFiles, after: RunFiles) -> dict[str, Any]:
    """Of two runs: each guarantee's verdicts and what became of it, and the numbers with their change."""
    levels = [{**run.results.get("levels", {}), **run.results.get("claims", {})} for run in (before, after)]
    names = list(dict.fromkeys((*levels[0], *levels[1])))
    verdicts = {name: tuple(level.get(name, {}).get("verdict", "not judged") for level in levels) for name in names}  # fmt: skip
    return {
        "runs": [{"name": run.results["name"], "seed": run.results["seed"], "world": run.results.get("world"), "folder": str(run.folder)} for run in (before, after)],
        "plan_changes": list(_plan_changes(before.plan, after.plan)),
        "guarantees": [{"name": name, "before": old, "after": new, "became": became(old, new)} for name, (old, new) in verdicts.items()],
        "numbers": [{"name": name, "before": old, "after": new, "certain": certain} for name, old, new, certain in _measures(before.results, after.results)],
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
            yield f"{at}{key}: {one!r} became {other!r}"


def _measures(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any, bool]]:
    """(name, before, after, is the difference more than chance); shares have intervals, latencies of one run have none."""
    stale = [words.stats_of(results.get("staleness")) for results in (old, new)]
    if all(each.get("reads") for each in stale):
        parts = [(int(each.get("stale_reads") or 0), int(each["reads"])) for each in stale]
        yield "stale reads", share(parts[0]), share(parts[1]), apart(parts[0], parts[1])
    counts = [words.counts_by_f(results) for results in (old, new)]
    done = [(sum(row["ok"] for row in each.values()), sum(sum(row.values()) for row in each.values())) for each in counts]  # fmt: skip
    if all(total for _, total in done):
        yield "operations that succeeded", share(done[0]), share(done[1]), apart(done[0], done[1])
    latency = [results.get("latency_ms") or {} for results in (old, new)]
    for f in sorted(latency[0].keys() & latency[1].keys()):
        for quantile in ("p50", "p99"):
            yield f"{f} {quantile} ms", latency[0][f][quantile], latency[1][f][quantile], False


def share(part: tuple[int, int]) -> float:
    """How many of how many, as a share."""
    return part[0] / part[1]


def apart(old: tuple[int, int], new: tuple[int, int]) -> bool:
    """Do the 95 % intervals of the two shares not overlap?"""
    low, high = wilson(*old)
    other_low, other_high = wilson(*new)
    return high < other_low or other_high < low


def comparison_markdown(found: Mapping[str, Any]) -> str:
    """`compared` for a person."""
    before, after = (f"{run['name']}, seed {run['seed']}, {run['world']}" for run in found["runs"])
    lines = [f"# {cell(before)} against {cell(after)}", ""]
    lines += [f"- {cell(line)}" for line in found["plan_changes"]] or ["The plans are the same."]
    lines += ["", *table(("guarantee", "before", "after", ""), ((each["name"], each["before"], each["after"], each["became"]) for each in found["guarantees"]))]  # fmt: skip
    lines += table(
        ("number", "before", "after", ""),
        ((each["name"], measured(each["name"], each["before"]), measured(each["name"], each["after"]), "differs" if each["certain"] else "") for each in found["numbers"]),
    )  # fmt: skip
    lines += ["*Differs*: the 95 % intervals of the two shares lie apart. Latencies of single runs have no interval.", ""]  # fmt: skip
    return "\n".join(lines)


def measured(name: str, value: Any) -> str:
    """A number of `compared` for a person."""
    return words.number(float(value), 2) if name.endswith("ms") else words.percent(value)
